"""How true a model is to its environment, on episodes that it has not learned from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agentgym.core.errors import InfrastructureError
from agentgym.core.trace import Episode
from agentgym.training.imagination.buffer import Transition, transitions
from agentgym.training.imagination.env import ImaginedEnv, ImaginedSuite, imagined_task
from agentgym.training.imagination.model import Consequence, ExperienceModel, Opening


@dataclass(frozen=True, slots=True)
class Fidelity:
    """How often a model says what the environment said. Shares are of `steps`; those of nothing are 0."""

    steps: int
    faults: int
    """Steps for which the model had no answer. They agree in nothing."""
    observation: float
    """The same text."""
    reward: float
    terminal: float
    """The same end, or none."""
    valid: float
    """The same judgement whether the action could be taken."""
    rewarded: int
    """Steps that the environment rewarded."""
    recall: float
    """The share of these that the model rewards."""
    precision: float
    """The share of the steps that the model rewards that the environment rewards too."""


def one_step(model: ExperienceModel, episodes: Iterable[Episode]) -> Fidelity:
    """Ask for every transition of episodes what comes next, after what really came before."""
    pairs: list[tuple[Consequence, Consequence | None]] = []
    for transition in (each for episode in episodes for each in transitions(episode)):
        try:
            told = model.predict(transition.moment, 0)
        except InfrastructureError:
            told = None
        pairs.append((transition.consequence, told))
    return _fidelity(pairs)


def free_running(model: ExperienceModel, episodes: Iterable[Episode]) -> Fidelity:
    """Play the actions of episodes in the model from the beginning: it goes on from what it has itself said.

    What the environment did after the model had ended the episode is told by nobody: faults.
    """
    pairs: list[tuple[Consequence, Consequence | None]] = []
    for episode in episodes:
        way = list(transitions(episode))
        if way:
            told = _played(model, episode, way)
            pairs += zip((each.consequence for each in way), told, strict=True)
    return _fidelity(pairs)


def _played(model: ExperienceModel, episode: Episode, way: Sequence[Transition]) -> list[Consequence | None]:
    """Return what the model says to an episode's actions, one answer for each, None where there is none."""
    first = way[0].moment
    task = imagined_task(episode.task, Opening(first.observation, "", first.state))
    env = ImaginedEnv(model, ImaginedSuite([task]), max_steps=len(way))
    env.reset(seed=episode.seed, options={"task": task})
    told: list[Consequence | None] = []
    try:
        for each in way:
            observation, reward, ended, truncated, info = env.step(each.moment.action)
            told.append(Consequence(observation, reward, ended, info["success"], info["valid"]))
            if ended or truncated:
                break
    except InfrastructureError:
        pass
    return told + [None] * (len(way) - len(told))


def _fidelity(pairs: Sequence[tuple[Consequence, Consequence | None]]) -> Fidelity:
    answered = [(true, told) for true, told in pairs if told is not None]
    rewarded = [told for true, told in pairs if true.reward > 0]
    claimed = [true for true, told in answered if told.reward > 0]

    def share(hits: int, of: int) -> float:
        return hits / of if of else 0.0

    return Fidelity(
        steps=len(pairs),
        faults=len(pairs) - len(answered),
        observation=share(sum(a.observation == b.observation for a, b in answered), len(pairs)),
        reward=share(sum(a.reward == b.reward for a, b in answered), len(pairs)),
        terminal=share(sum(a.terminated == b.terminated for a, b in answered), len(pairs)),
        valid=share(sum(a.valid == b.valid for a, b in answered), len(pairs)),
        rewarded=len(rewarded),
        recall=share(sum(told is not None and told.reward > 0 for told in rewarded), len(rewarded)),
        precision=share(sum(true.reward > 0 for true in claimed), len(claimed)),
    )
