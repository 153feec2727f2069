"""States as sets of facts, for worlds that can tell theirs."""

from __future__ import annotations

from typing import Protocol, TypeAlias, runtime_checkable

Fact: TypeAlias = tuple[str, ...]
"""What holds, and of what: `("in", "mug 1", "fridge 1")`."""

Facts: TypeAlias = frozenset[Fact]
"""Everything that holds in a state; what is not in it does not hold."""


@runtime_checkable
class TellsFacts(Protocol):
    """An environment that can tell its whole state, whatever of it the agent has seen."""

    def facts(self) -> Facts:
        """Return the facts of the current state. The things in them are called as in actions."""
        ...
