import asyncio
from collections import Counter
from typing import Any

import pytest

from agentgym.agents.scripted import OracleAgent, RandomAgent, ScriptedAgent
from agentgym.core.agent import Agent, EpisodeStart
from agentgym.core.errors import ConfigError, UsageError
from agentgym.core.task import Split
from agentgym.environments.household import SPEC
from agentgym.environments.household.env import HouseholdEnv


def _play(agent: Agent, seed: int = 0, max_turns: int = 40, **options: Any) -> tuple[list[Any], bool]:
    """Play one episode and return the actions and whether it was solved."""
    env = SPEC.make(Split.TRAIN, difficulty="easy", **options)
    return asyncio.run(_episode(agent, env, seed, max_turns))


async def _episode(agent: Agent, env: HouseholdEnv, seed: int, max_turns: int) -> tuple[list[Any], bool]:
    observation, info = env.reset(seed=5)
    session = agent.start(EpisodeStart("episode", env.task, seed, env))
    actions: list[Any] = []
    for _ in range(max_turns):
        decision = await session.act(observation, info)
        actions.append(decision.action)
        observation, _, terminated, truncated, info = env.step(decision.action)
        if terminated or truncated:
            break
    session.close()
    return actions, bool(info["success"])


def test_the_oracle_solves_the_task() -> None:
    actions, solved = _play(OracleAgent())
    assert solved
    assert len(actions) <= 12
    assert OracleAgent().name == "oracle"


def test_a_noisy_oracle_strays_and_recovers() -> None:
    straight, _ = _play(OracleAgent())
    runs = [_play(OracleAgent(noise=0.4), seed) for seed in range(20)]
    assert sum(solved for _, solved in runs) >= 18
    assert sum(len(actions) > len(straight) for actions, _ in runs) >= 10
    assert OracleAgent(noise=0.4).name == "oracle (noise 0.4)"


@pytest.mark.parametrize("agent", [OracleAgent(noise=0.5), RandomAgent()])
def test_the_seed_decides_everything(agent: Agent) -> None:
    assert _play(agent, 3) == _play(agent, 3)
    assert _play(agent, 3) != _play(agent, 4)


def test_the_random_player_is_fair() -> None:
    env = SPEC.make(Split.TRAIN, difficulty="easy")
    _, info = env.reset(seed=5)
    starts = [RandomAgent().start(EpisodeStart("e", env.task, seed, env)) for seed in range(900)]
    counts = Counter(asyncio.run(start.act("", info)).action for start in starts)
    expected = 900 / len(info["admissible_actions"])
    assert set(counts) == set(info["admissible_actions"])
    assert all(0.6 * expected < count < 1.4 * expected for count in counts.values())


def test_without_admissible_actions_the_action_space_is_sampled() -> None:
    actions, _ = _play(RandomAgent(), seed=1, max_turns=5, admissible=False)
    assert len(set(actions)) == 5
    assert actions == _play(RandomAgent(), seed=1, max_turns=5, admissible=False)[0]


def test_a_script_is_followed_to_its_end() -> None:
    agent = ScriptedAgent(["look", "inventory"], name="looker")
    assert agent.name == "looker"
    assert _play(agent, max_turns=2) == (["look", "inventory"], False)
    assert _play(agent, max_turns=2) == (["look", "inventory"], False)
    with pytest.raises(UsageError, match="after 2 actions"):
        _play(agent, max_turns=3)


def test_a_world_without_an_oracle_is_said_to_be_one() -> None:
    class Silent(HouseholdEnv):
        def oracle(self) -> str | None:
            return None

    env = Silent(SPEC.suite(), Split.TRAIN)
    with pytest.raises(UsageError, match="no oracle"):
        asyncio.run(_episode(OracleAgent(), env, 0, 1))


@pytest.mark.parametrize("noise", [-0.1, 1.5])
def test_noise_must_be_a_probability(noise: float) -> None:
    with pytest.raises(ConfigError, match="probability"):
        OracleAgent(noise=noise)
