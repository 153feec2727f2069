"""The phone: a device with applications to be touched and typed into, as Android's are."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from agentgym.core.task import Split
from agentgym.environments.phone.env import PhoneEnv
from agentgym.environments.phone.tasks import ENV_ID, PhoneSuite


class PhoneSpec:
    """How to make the phone and its suite."""

    id = ENV_ID
    name = "phone"
    summary = (
        "An Android-like phone in process: ten applications, screens as lists, uiautomator's XML and pictures"
    )

    def make(
        self,
        split: Split,
        *,
        difficulty: str | None = None,
        apps: Iterable[str] | None = None,
        templates: Iterable[str] | None = None,
        max_steps: int = 50,
        pictures: bool = False,
        text: str = "list",
        interruptions: float = 0.0,
        admissible: bool = True,
        render_mode: str | None = None,
        expert: str = "careful",
    ) -> PhoneEnv:
        """Build an environment; see `PhoneSuite` and `PhoneEnv` for the options."""
        return PhoneEnv(
            self.suite(difficulty=difficulty, apps=apps, templates=templates),
            split,
            max_steps=max_steps,
            pictures=pictures,
            text=text,
            interruptions=interruptions,
            admissible=admissible,
            render_mode=render_mode,
            expert=expert,
        )

    def suite(
        self,
        *,
        difficulty: str | None = None,
        apps: Iterable[str] | None = None,
        templates: Iterable[str] | None = None,
    ) -> PhoneSuite:
        """Return the suite, all of it or the given difficulty, applications and templates."""
        return _suite(difficulty, _names(apps), _names(templates))


def _names(names: Iterable[str] | None) -> tuple[str, ...] | None:
    return (names,) if isinstance(names, str) else None if names is None else tuple(names)


@lru_cache(maxsize=64)
def _suite(
    difficulty: str | None, apps: tuple[str, ...] | None, templates: tuple[str, ...] | None
) -> PhoneSuite:
    return PhoneSuite(difficulty, apps, templates)


SPEC = PhoneSpec()
