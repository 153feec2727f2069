"""Playing episodes: one (`episode`), many at once (`collect`), others from the middle of one (`forks`), one again
(`replay`)."""
