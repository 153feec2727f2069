"""Cases: single episodes as memory, good and bad ones (Memento, arXiv 2508.16153).

Without parameters, cases are selected by likeness: `Recall` with the kind `case`. `agentgym.memory.case_selector` learns
which of the like ones help.
"""

from __future__ import annotations

from agentgym.core.memory import ItemKind, MemoryItem, Provenance
from agentgym.core.task import content_hash
from agentgym.core.trace import Episode
from agentgym.memory.transcripts import Transcript


def case_of(episode: Episode, *, space: str = "", run: str = "") -> tuple[MemoryItem, Provenance]:
    """Return an episode as a case: found by its first observation, shown as what was done and what came of it.

    Two episodes of one task with the same actions and outcome are one case with two sources. Raises `LeakError` for
    a task that agents are evaluated on, `UsageError` for an episode without a score, which is neither good nor bad.
    """
    transcript = Transcript.of(episode)
    done = [
        f"{number}. {step.action}{'' if step.valid else ' (not possible)'}"
        for number, step in enumerate(transcript.steps, 1)
    ]
    worked = (
        "What was done solved the task:"
        if transcript.success
        else "What was done did not solve the task; beware:"
    )
    item = MemoryItem(
        ItemKind.CASE,
        f"case-{content_hash([episode.task.key, done, transcript.outcome])}",
        transcript.situation,
        "\n".join([worked, *done, f"Then: {transcript.ending}"]),
        space=space,
        env_id=transcript.env_id,
        meta={"outcome": transcript.outcome, "task_type": transcript.task_type, "steps": len(done)},
    )
    return item, Provenance.of(episode, run=run)
