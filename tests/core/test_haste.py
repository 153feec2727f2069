from __future__ import annotations

from typing import Any

import pytest

import agentgym
from agentgym.core.errors import UnknownNameError
from agentgym.core.haste import in_haste, known_expert

WORLDS: dict[str, dict[str, Any]] = {
    "phone": {"apps": ["Settings"]},
    "webshop": {"results": 4},
    "backoffice": {"domains": ["office"]},
}


@pytest.mark.parametrize("name", WORLDS)
def test_the_hasty_expert_errs_on_some_tasks_and_always_on_the_same(name: str) -> None:
    options = {"difficulty": "easy", **WORLDS[name]}
    careful, hasty = (agentgym.make(name, expert=expert, **options) for expert in ("careful", "hasty"))

    def solved(env: agentgym.AgentEnv) -> list[bool]:
        found: list[bool] = []
        for task in env.suite.tasks("train")[:40]:
            info = env.reset(seed=0, options={"task": task})[1]
            while (action := env.oracle()) is not None:
                info = env.step(action)[4]
            found.append(bool(info["success"]))
        return found

    assert all(solved(careful))
    once = solved(hasty)
    assert 10 <= sum(once) < 40
    assert solved(hasty) == once
    hurried = [in_haste("hasty", task) for task in hasty.suite.tasks("train")[:40]]
    assert all(won or late for won, late in zip(once, hurried, strict=True))
    careful.close()
    hasty.close()


def test_an_unknown_expert_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'hasty'"):
        known_expert("hastily")
    with pytest.raises(UnknownNameError, match="careful"):
        agentgym.make("phone", expert="best")
