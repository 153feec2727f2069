"""The tools of a memory that a trained policy goes with, ready to be called."""

from __future__ import annotations

from agentgym.core.errors import UsageError
from agentgym.core.memory import Memory
from agentgym.memory.recall import RecallSettings
from agentgym.memory.store.store import MemoryStore
from agentgym.memory.tools.rounds import InRounds, apart
from agentgym.memory.tools.runner import ToolRunner
from agentgym.memory.tools.toolbox import Toolbox
from agentgym.sandboxes.backends import sandbox


def equipped(memory: Memory, store: MemoryStore, settings: RecallSettings) -> Toolbox:
    """Return a memory whose tools can be called as far as it shows tools: in sandboxes, and in rounds, so that a run
    that is resumed comes to the same numbers."""
    return Toolbox(memory, store, InRounds(ToolRunner(sandbox)), space=settings.space, kinds=settings.kinds)


def must_have_sandbox(memory: Toolbox) -> None:
    """Raise `UsageError` where the memory has tools and this machine has no sandbox to call them in."""
    names = ", ".join(tool.name for tool in memory.held)
    if not names:
        return
    try:
        apart(ToolRunner(sandbox).try_out())
    except UsageError as error:
        raise UsageError(
            f"The memory has tools ({names:.200}), and tools are called in a sandbox and nowhere else. {error} "
            'To train without them, leave "tool" out of `memory.kinds`.'
        ) from None
