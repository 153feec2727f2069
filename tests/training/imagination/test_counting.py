"""The counting model: what it knows, how it backs off, and how true it is to the household world."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agentgym.core.errors import EnvironmentFault, LeakError
from agentgym.core.task import Split
from agentgym.core.trace import Episode, Outcome
from agentgym.training.imagination.buffer import ReplayBuffer, transitions
from agentgym.training.imagination.counting import CountingModel
from agentgym.training.imagination.fidelity import free_running, one_step
from agentgym.training.imagination.model import Consequence, Moment, Step
from tests.memory.episodes import episode
from tests.training.imagination.conftest import TASKS, play


def moment(action: str, observation: str = "", *history: Step, state: str = "?", task: str = "?") -> Moment:
    return Moment(task, "find things", state, history, observation, action)


def test_what_was_seen_is_said_again_word_for_word(played: list[Episode], buffer: ReplayBuffer) -> None:
    model = CountingModel(buffer)
    for transition in (each for known in played for each in transitions(known)):
        found = model.foresee(transition.moment)
        assert found.level == "state"
        # The household world leaves nothing to chance; where an episode was cut off the state is not known.
        assert replace(found.consequence, state="") == replace(transition.consequence, state="")


def test_a_known_task_is_foreseen_better_than_a_new_one_and_that_better_than_nothing(
    buffer: ReplayBuffer,
) -> None:
    model = CountingModel(buffer)
    known = one_step(model, play(TASKS[:8], 2, "held"))
    new = one_step(model, play(TASKS[8:], 2, "new"))
    unlearned = one_step(CountingModel(ReplayBuffer()), play(TASKS[8:], 2, "new"))
    assert known.observation > new.observation + 0.1 > 0.5
    assert (known.faults, new.faults) == (0, 0)
    assert known.reward > 0.98
    assert known.recall > 0.8
    assert (new.recall, new.precision) == (0.0, 0.0), "a success elsewhere is no evidence of one here"
    assert unlearned.observation < new.observation / 2, "it knows what the episode itself has shown"
    assert unlearned.faults > unlearned.steps / 2


def test_played_freely_it_solves_what_it_has_seen_solved(played: list[Episode], buffer: ReplayBuffer) -> None:
    won = [each for each in played if each.success]
    again = free_running(CountingModel(buffer), won)
    assert (again.rewarded, again.recall, again.precision) == (len(won), 1.0, 1.0)
    assert again.observation == 1.0


def test_it_goes_on_learning(played: list[Episode]) -> None:
    buffer = ReplayBuffer()
    model = CountingModel(buffer)
    with pytest.raises(EnvironmentFault, match="met nothing like 'open fridge 1'"):
        model.predict(moment("open fridge 1"), 0)
    buffer.add(played)
    assert model.predict(moment("open fridge 1"), 0).observation.startswith("You open the fridge 1.")


def test_back_off_fills_in_the_names_of_the_moment(buffer: ReplayBuffer) -> None:
    model = CountingModel(buffer)
    arrived = "You arrive at fridge 7. The fridge 7 is closed."
    opened = model.foresee(moment("open fridge 7", arrived))
    assert opened.level == "thing"
    assert opened.consequence.observation.startswith("You open the fridge 7. The fridge 7 is open.")
    assert opened.consequence.state == ""
    flown = model.foresee(moment("go to zeppelin 2"))
    assert (flown.level, flown.consequence.observation[:26]) == ("action", "You arrive at zeppelin 2. ")


def test_what_an_action_brought_in_the_episode_it_brings_again(buffer: ReplayBuffer) -> None:
    done = (
        Step("A room.", "go to desk 9"),
        Step("You arrive at desk 9. On the desk 9, you see a pen 5.", "look"),
    )
    again = CountingModel(buffer).foresee(moment("go to desk 9", "Hm.", *done))
    assert (again.level, again.consequence.observation) == ("episode", done[1].observation)


def test_what_no_world_takes_is_refused_as_the_world_refuses() -> None:
    wrong = episode(actions=("dance", "open fridge 1"))
    first, second = wrong.turns
    refused = replace(
        wrong, turns=(replace(first, valid=False), replace(second, observation="Nothing happens."))
    )
    buffer = ReplayBuffer()
    buffer.add([refused])
    told = CountingModel(buffer).foresee(moment("sing a song"))
    assert (told.level, told.consequence) == ("refused", Consequence("Nothing happens.", valid=False))


def test_a_world_that_takes_anything_goes_on_as_it_did_there() -> None:
    buffer = ReplayBuffer()
    buffer.add([episode(actions=("one", "two"))])
    (first, _) = buffer.transitions
    other = moment("three", first.moment.observation, task=first.moment.task)
    told = CountingModel(buffer).foresee(other)
    assert (told.level, told.consequence.observation) == ("spot", "You did one.")


def test_the_buffer_takes_scored_train_episodes_of_the_environment_alone(played: list[Episode]) -> None:
    buffer = ReplayBuffer()
    lost = replace(played[0], outcome=Outcome.ENV_ERROR, score=None)
    imagined = replace(played[0], task=replace(played[0].task, env_id="imagined:agentgym/Household-v0"))
    buffer.add([lost, imagined])
    assert len(buffer) == 0
    with pytest.raises(LeakError, match="split 'select'"):
        buffer.add([episode(split=Split.SELECT)])


def test_similar_transitions_are_found(buffer: ReplayBuffer) -> None:
    arrived = "You arrive at fridge 1. The fridge 1 is closed."
    found = buffer.similar(moment("open fridge 1", arrived), 3)
    assert [each.moment.action for each in found] == ["open fridge 1"] * 3
    assert buffer.similar(moment("open fridge 1", arrived), 0) == []
