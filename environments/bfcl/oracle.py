"""The expert: the benchmark's right calls, turn by turn, each turn ended with a message."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from agentgym.core.tool import ToolCall

FAREWELL = "Done."


def next_action(right_calls: Sequence[ToolCall], made: Iterable[ToolCall]) -> ToolCall | str:
    """Return the first right call of a turn that has not been made in it, in order; after the last, a message.

    It does not undo what other calls have done, so that it may fail after them.
    """
    left = list(right_calls)
    for call in made:
        if left and str(call) == str(left[0]):
            left.pop(0)
    return left[0] if left else FAREWELL
