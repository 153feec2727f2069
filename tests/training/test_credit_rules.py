"""Credit that does not fit is refused when the recipe is read."""

from __future__ import annotations

import pytest

from agentgym.core.errors import ConfigError
from agentgym.training.recipe import load_recipe


@pytest.mark.parametrize(
    ("setting", "reason"), [("replay=recent", "replay.*new ones"), ("guidance=expert", "another policy")]
)
def test_tracked_outcomes_are_the_policys_own_and_new(setting: str, reason: str) -> None:
    assert load_recipe("spo").advantage.name == "tracker"
    with pytest.raises(ConfigError, match=f"(?s){reason}.*'group_mean'"):
        load_recipe("spo", [setting])
