"""The webshop: buy what was asked for, in a real web application, as text or through a browser."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from agentgym.core.errors import UnknownNameError, UsageError
from agentgym.core.task import Split
from agentgym.environments.webshop.tasks import ENV_ID, WebshopSuite

if TYPE_CHECKING:
    from agentgym.environments.webshop.env import WebshopEnv

Mode = Literal["text", "browser"]
_MAX_STEPS: dict[Mode, int] = {"text": 15, "browser": 40}
_RENDERS: dict[Mode, tuple[str | None, ...]] = {
    "text": (None, "ansi"),
    "browser": (None, "ansi", "rgb_array"),
}


class WebshopSpec:
    """How to make the shop and its suite."""

    id = ENV_ID
    name = "webshop"
    summary = "WebShop's task in a real web shop of 20,480 products, as text or through Chromium"

    def make(
        self,
        split: Split,
        *,
        mode: Mode = "text",
        difficulty: str | None = None,
        max_steps: int | None = None,
        results: int = 10,
        admissible: bool = True,
        screenshots: bool = False,
        render_mode: str | None = None,
        expert: str = "careful",
    ) -> WebshopEnv:
        """Build an environment over a split.

        `mode` is the way in: `text` (`search[words]`, `click[label]`) or `browser` (`click(id)`, `fill(id, text)`,
        ...). `results` is the number of products on a page of results; `max_steps` is 15, 40 in a browser;
        `admissible=False` leaves `admissible_actions` out of `info`; `screenshots` puts a picture of the page
        beside its text. Raises `UsageError` where a browser is asked for and there is none.
        """
        if mode not in _MAX_STEPS:
            raise UnknownNameError("mode", str(mode), _MAX_STEPS)
        if render_mode not in _RENDERS[mode] or (screenshots and mode == "text"):
            raise UsageError(
                f"In mode {mode!r}, render_mode is one of {_RENDERS[mode]} and screenshots need mode 'browser'; got "
                f"{render_mode!r} and screenshots={screenshots}."
            )
        _must_have("starlette", "jinja2", "rapidfuzz")
        from agentgym.environments.webshop.app import open_shop
        from agentgym.environments.webshop.doors import TextDoor
        from agentgym.environments.webshop.env import WebshopEnv

        shop = open_shop()
        if mode == "text":
            door = TextDoor(shop)
        else:
            from agentgym.environments.browser.chromium import must_have_browser

            must_have_browser()
            _must_have("uvicorn")
            from agentgym.environments.webshop.browsing import BrowserDoor

            door = BrowserDoor(shop, pictures=screenshots or render_mode == "rgb_array")
        return WebshopEnv(
            self.suite(difficulty=difficulty),
            split,
            shop.stock,
            door,
            max_steps=_MAX_STEPS[mode] if max_steps is None else max_steps,
            results=results,
            admissible=admissible,
            render_mode=render_mode,
            expert=expert,
        )

    def suite(self, *, difficulty: str | None = None) -> WebshopSuite:
        """Return the suite, all of it or one difficulty: `easy`, `medium` or `hard`."""
        return _suite(difficulty)


@lru_cache(maxsize=8)
def _suite(difficulty: str | None) -> WebshopSuite:
    return WebshopSuite(difficulty)


def _must_have(*modules: str) -> None:
    from importlib.util import find_spec as find_module

    missing = [module for module in modules if find_module(module) is None]
    if missing:
        raise UsageError(
            f"The webshop needs {', '.join(missing)}; install it with `pip install 'agentgym-harness[shop]'`."
        )


SPEC = WebshopSpec()
"""The webshop as registered."""
