import asyncio
import io
from typing import Any

import pytest
from rich.console import Console

from agentgym.agents.human import HumanAgent, PlayerQuit
from agentgym.core.agent import EpisodeStart
from agentgym.core.task import Split
from agentgym.environments.household import SPEC


def _play(typed: str, *, turns: int = 1, hints: int = 3, **options: Any) -> tuple[list[Any], str]:
    """Type into one episode; return the actions chosen and everything shown."""
    env = SPEC.make(Split.TRAIN, difficulty="easy", **options)
    observation, info = env.reset(seed=3)
    console = Console(file=io.StringIO(), width=100)
    agent = HumanAgent(console, io.StringIO(typed), hints)
    session = agent.start(EpisodeStart("episode", env.task, 0, env))
    actions: list[Any] = []

    async def play() -> None:
        nonlocal observation, info
        for _ in range(turns):
            decision = await session.act(observation, info)
            actions.append(decision.action)
            observation, *_, info = env.step(decision.action)

    asyncio.run(play())
    session.close()
    assert isinstance(console.file, io.StringIO)
    return actions, console.file.getvalue()


def test_a_command_is_taken_as_typed() -> None:
    actions, shown = _play("  go to sofa 1 \n")
    assert actions == ["go to sofa 1"]
    assert "Your task is to: find a vase" in shown


def test_a_number_stands_for_a_hint() -> None:
    actions, shown = _play("2\n")
    assert "  2 go to coffeetable 1" in shown
    assert actions == ["go to coffeetable 1"]


def test_some_hints_are_shown_and_all_on_demand() -> None:
    actions, shown = _play("?\n9\n")
    before, _, after = shown.partition("... and 6 more; ? lists them")
    assert "3 go to garbagecan 1" in before
    assert "9 look" not in before
    assert "9 look" in after
    assert actions == ["look"]


def test_the_expert_can_be_asked() -> None:
    actions, shown = _play("hint\nlook\n")
    env = SPEC.make(Split.TRAIN, difficulty="easy")
    env.reset(seed=3)
    assert f"The expert would: {env.oracle()}\n" in shown
    assert actions == ["look"]


def test_slips_are_pointed_out() -> None:
    actions, shown = _play("77\n\ngo to sofa 2\n")
    assert "no action 77; they go from 1 to 9" in shown
    assert "Did you mean 'go to sofa 1'?" in shown
    assert actions == ["go to sofa 2"]


@pytest.mark.parametrize("typed", ["quit\n", ""])
def test_the_player_can_leave(typed: str) -> None:
    with pytest.raises(PlayerQuit):
        _play(typed)


def test_plays_where_admissible_actions_are_not_known() -> None:
    actions, shown = _play("look\n1\nlook\n", turns=2, admissible=False)
    assert actions == ["look", "look"]
    assert "no action 1; type a command" in shown


def test_brackets_in_a_text_are_shown_as_they_are() -> None:
    console = Console(file=io.StringIO(), width=80)
    env = SPEC.make(Split.TRAIN)
    env.reset(seed=1)
    session = HumanAgent(console, io.StringIO("look\n")).start(EpisodeStart("e", env.task, 0, env))
    asyncio.run(session.act({"text": "a [bold]sign[/bold]"}, {}))
    assert isinstance(console.file, io.StringIO)
    assert "a [bold]sign[/bold]" in console.file.getvalue()
