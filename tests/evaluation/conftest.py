"""A small world: guess which of four doors the task's prize is behind, within three tries."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from agentgym.core.agent import Agent, Decision, EpisodeStart
from agentgym.core.env import AgentEnv, StepResult
from agentgym.core.errors import EnvironmentFault, UsageError
from agentgym.core.spaces import Utf8Text
from agentgym.core.task import Split, Task, content_hash
from agentgym.core.trace import Outcome, StopReason
from agentgym.evaluation.report import EpisodeResult, Evaluation

DOORS = 4


class DoorSuite:
    name = "doors"
    env_id = "test/Doors-v0"
    heldout_differs = "other seeds"

    def __init__(self, version: str) -> None:
        self.version = version

    def tasks(self, split: Split | str) -> Sequence[Task]:
        """Twenty tasks: ten of group `red` (first all of kind `odd`, then `even`), then ten of `blue`."""
        return [
            Task(
                id=f"{group}-{number}",
                env_id=self.env_id,
                split=Split.parse(split),
                seed=number,
                params={"task_type": kind, "door": number % DOORS, "group": group, "split": str(split)},
                group=group,
            )
            for group in ("red", "blue")
            for kind in ("odd", "even")
            for number in range(10)
            if number % 2 == (kind == "odd")
        ]


class DoorEnv(AgentEnv):
    """The environment fails by a fault on the tasks named in `faulty`."""

    def __init__(self, split: Split, version: str = "1", faulty: Sequence[str] = ()) -> None:
        self.suite = DoorSuite(version)
        self.split = split
        self.faulty = faulty
        self.action_space = self.observation_space = Utf8Text()
        self._task: Task | None = None
        self._tries = 0

    @property
    def task(self) -> Task:
        assert self._task is not None
        return self._task

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._task = (options or {})["task"]
        self._tries = 0
        return "Four doors.", self._info(True)

    def step(self, action: Any) -> StepResult:
        if self.task.id in self.faulty:
            raise EnvironmentFault("The house fell down.")
        self._tries += 1
        right = action == f"open {self.task.params['door']}"
        info = {**self._info(str(action).startswith("open ")), "success": right}
        return "Opened.", float(right), right, self._tries == 3 and not right, info

    def state_key(self) -> str:
        return content_hash([self.task.key, self._tries])

    def _info(self, valid: bool) -> dict[str, Any]:
        return {"success": False, "progress": 0.0, "valid": valid, "task_id": self.task.id}


class DoorSpec:
    id = "test/Doors-v0"
    name = "doors"
    summary = "Guess the door"

    def make(self, split: Split, **options: Any) -> AgentEnv:
        return DoorEnv(split, **options)

    def suite(self, **options: Any) -> DoorSuite:
        raise UsageError(f"Not asked for by an evaluation: {options}.")


class DoorAgent:
    """Knows the door with probability `skill`, decided by the episode's seed; else mumbles."""

    def __init__(self, skill: float) -> None:
        self.skill = skill

    @property
    def name(self) -> str:
        return f"skill {self.skill:g}"

    def start(self, start: EpisodeStart) -> "DoorSession":
        knows = np.random.default_rng(start.seed).random() < self.skill
        return DoorSession(f"open {start.task.params['door']}" if knows else "mumble")


class DoorSession:
    def __init__(self, action: str) -> None:
        self.action = action

    async def act(self, observation: Any, info: Mapping[str, Any]) -> Decision:
        return Decision(self.action)

    def close(self) -> None:
        pass


@pytest.fixture(scope="session")
def doors() -> DoorSpec:
    return DoorSpec()


@pytest.fixture(scope="session")
def door_agent() -> Callable[[float], Agent]:
    return DoorAgent


MakeEvaluation = Callable[..., Evaluation]


@pytest.fixture(scope="session")
def make_evaluation() -> MakeEvaluation:
    """Make an evaluation from the outcomes of each task, such as `["SF", "SS"]`.

    S is success, F failure, T truncated, A an agent's error, E an environment's, I the inference's.
    Even tasks are of group `seen` and odd ones of `unseen`; kinds alternate in pairs.
    """
    codes = {
        "S": Outcome.SUCCESS,
        "F": Outcome.FAILURE,
        "T": Outcome.TRUNCATED,
        "A": Outcome.AGENT_ERROR,
        "E": Outcome.ENV_ERROR,
        "I": Outcome.INFERENCE_ERROR,
    }
    stops = {"T": StopReason.MAX_TURNS, "A": StopReason.ERROR, "E": StopReason.ERROR, "I": StopReason.ERROR}

    def make(tasks: Sequence[str], **changes: Any) -> Evaluation:
        results = tuple(
            EpisodeResult(
                episode_id=f"eval/{number}/{sample}",
                task_id=f"task-{number}",
                task_key=f"key-{number}",
                task_type=("put", "find")[number // 2 % 2],
                group=("seen", "unseen")[number % 2],
                sample=sample,
                seed=100 * number + sample,
                outcome=codes[code],
                score=float(code == "S") if codes[code].scored else None,
                stop_reason=stops.get(code, StopReason.COMPLETED),
                turns=10,
                invalid_turns=2,
                sampled_tokens=50,
                policy_version=3,
            )
            for number, outcomes in enumerate(tasks)
            for sample, code in enumerate(outcomes)
        )
        fields: dict[str, Any] = {
            "env_id": "test/Test-v0",
            "suite": "test",
            "suite_version": "1",
            "split": Split.HELDOUT,
            "agent": "someone",
            "seed": 0,
            "samples": max(map(len, tasks), default=1),
            "max_turns": 20,
            "options": {},
            "created": "2030-01-01T00:00:00+00:00",
            "results": results,
        }
        return Evaluation(**{**fields, **changes})

    return make
