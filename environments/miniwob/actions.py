"""The action space: any text, of which samples are clicks and keys."""

from __future__ import annotations

from typing import Any

from agentgym.core.spaces import Utf8Text

_ELEMENTS = 12
_TOP = 50
"""Above it stands what is asked for."""


class PageActions(Utf8Text):
    """Any text. Samples are clicks on one of the first elements or at a point of the page, keys, and waiting."""

    def __init__(self, width: int, height: int) -> None:
        self._width, self._height = width, height
        super().__init__()

    def sample(self, mask: Any = None, probability: Any = None) -> str:
        """Return an action that can be read, whether or not it can be done on the page as it is."""
        rng = self.np_random
        x, y = int(rng.integers(self._width)), int(rng.integers(_TOP, self._height))
        actions = (
            f"click({int(rng.integers(1, _ELEMENTS + 1))})",
            f"mouse_click({x}, {y})",
            f'keyboard_type("{super().sample()[:6]}")',
            'keyboard_press("Tab")',
            "noop()",
        )
        return actions[int(rng.choice(len(actions), p=(0.5, 0.3, 0.1, 0.05, 0.05)))]
