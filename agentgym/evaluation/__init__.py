"""Whether a policy is good, and whether it got better: runs over fixed tasks, intervals, paired comparison."""
