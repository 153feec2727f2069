"""Every check is seen to pass on a sound world and to fail on one that is broken in just that way."""

import itertools
import json
import os
import random
import re
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest

from agentgym.conformance import CHECKS, CheckResult, Status, check_env
from agentgym.conformance.subject import Limits
from agentgym.core.env import AgentEnv, StepResult
from agentgym.core.errors import StepError, TaskError, UnknownNameError
from agentgym.core.spaces import Utf8Text
from agentgym.core.task import Split, Task, TaskSuite

ENV_ID = "tests/Corridor-v0"


class CorridorSuite:
    """Walk to a door; which one differs between the splits."""

    name = "corridor"
    version = "1"
    env_id = ENV_ID
    heldout_differs = "The doors of held-out tasks are further off."

    def tasks(self, split: Split | str) -> Sequence[Task]:
        split = Split.parse(split)
        doors = {Split.TRAIN: range(4, 8), Split.SELECT: range(8, 10), Split.HELDOUT: range(10, 12)}[split]
        return [self._task(split, door) for door in doors]

    def _task(self, split: Split, door: int) -> Task:
        kind = "odd" if door % 2 else "even"
        return Task(f"{split}-{door}", self.env_id, split, params={"task_type": kind, "door": door})


class Corridor(AgentEnv):
    """Go left and right, light the lamp, and knock at the right door with the lamp lit."""

    suite: TaskSuite = CorridorSuite()
    metadata = {"render_modes": ["ansi"], "render_fps": 1}  # noqa: RUF012 - as Gymnasium declares it

    def __init__(
        self, split: Split = Split.TRAIN, render_mode: str | None = None, max_steps: int = 60
    ) -> None:
        self.split = split
        self.render_mode = render_mode
        self.max_steps = max_steps
        self.observation_space = Utf8Text()
        self.action_space = Utf8Text()
        self.place = 0
        self.lit = False
        self.steps = 0
        self.over = True
        self.won = False
        self._task: Task | None = None

    @property
    def task(self) -> Task:
        if self._task is None:
            raise StepError("call reset() first")
        return self._task

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        super().reset(seed=seed)
        tasks = self.suite.tasks(self.split)
        chosen = tasks[int(self.np_random.integers(len(tasks)))]
        given: Task | str = (options or {}).get("task", chosen)
        self._task = self.accept(given, tasks)
        self.place, self.lit, self.steps, self.over, self.won = 0, False, 0, False, False
        return f"You want door {self.door}.", self.info(True)

    def accept(self, given: Task | str, tasks: Sequence[Task]) -> Task:
        found = next((task for task in tasks if given in (task, task.id)), None)
        if found is None:
            raise TaskError(f"no task {given!r} here")
        return found

    @property
    def door(self) -> int:
        return int(self.task.params["door"])

    def step(self, action: Any) -> StepResult:
        if self.over:
            raise StepError("call reset()")
        self.steps += 1
        valid = action in self.admissible()
        if valid:
            self.do(action)
        truncated = self.steps >= self.max_steps and not self.over
        terminated, self.over = self.over, self.over or truncated
        return self.tell(), float(self.won), terminated, truncated, self.info(valid)

    def do(self, action: str) -> None:
        if action in ("left", "right"):
            self.place += 1 if action == "right" else -1
        elif action == "lamp":
            self.lit = not self.lit
        elif action == "knock":
            self.over = True
            self.won = self.place == self.door and self.lit

    def admissible(self) -> list[str]:
        return [*(["left"] if self.place else []), *(["right"] if self.place < 12 else []), "lamp", "knock"]

    def tell(self) -> str:
        return f"Door {self.place}, {'light' if self.lit else 'dark'}."

    def info(self, valid: bool) -> dict[str, Any]:
        progress = 1.0 if self.won else max(0.0, 1 - abs(self.door - self.place) / self.door) / 2
        return {
            "success": self.won,
            "progress": progress,
            "valid": valid,
            "task_id": self.task.id,
            "admissible_actions": self.admissible(),
        }

    def state_key(self) -> str:
        return f"{self.door} {self.place} {self.lit} {self.over}"

    def snapshot(self) -> bytes:
        state = [self.task.to_json(), self.place, self.lit, self.steps, self.over, self.won]
        return json.dumps(state).encode()

    def restore(self, snapshot: bytes) -> None:
        task, self.place, self.lit, self.steps, self.over, self.won = json.loads(snapshot)
        self._task = Task.from_json(task)

    def oracle(self) -> str | None:
        if self.place != self.door:
            return "right" if self.place < self.door else "left"
        return "knock" if self.lit else "lamp"

    def render(self) -> str | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self.tell() if self.render_mode else None


class Spec:
    """A spec for whatever class of environment."""

    id = ENV_ID
    name = "corridor"
    summary = "A corridor with doors"

    def __init__(self, kind: type[Corridor]) -> None:
        self.kind = kind

    def make(self, split: Split, **options: Any) -> AgentEnv:
        return self.kind(split, **options)

    def suite(self, **options: Any) -> TaskSuite:
        return self.kind.suite


# --- one broken world for each way of being broken ------------------------------------------------------


class WarnsGymnasium(Corridor):
    metadata = {"render_modes": ["ansi"]}  # noqa: RUF012 - no frames per second: Gymnasium warns


class ProgressBeyondOne(Corridor):
    def info(self, valid: bool) -> dict[str, Any]:
        return {**super().info(valid), "progress": 1.5}


class NoSuccess(Corridor):
    def info(self, valid: bool) -> dict[str, Any]:
        return {key: value for key, value in super().info(valid).items() if key != "success"}


class WrongTaskId(Corridor):
    def info(self, valid: bool) -> dict[str, Any]:
        return {**super().info(valid), "task_id": "another"}


class UnspeakableAction(Corridor):
    def info(self, valid: bool) -> dict[str, Any]:
        return {**super().info(valid), "admissible_actions": ["left", 7]}


class InvalidAtFirst(Corridor):
    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        observation, info = super().reset(seed=seed, options=options)
        return observation, {**info, "valid": False}


class StepsBeforeReset(Corridor):
    def step(self, action: Any) -> StepResult:
        return ("too early", 0.0, False, False, {}) if self._task is None else super().step(action)


class StepsAfterTheEnd(Corridor):
    def step(self, action: Any) -> StepResult:
        if self._task is not None and self.over:
            return "still here", 0.0, True, False, self.info(False)
        return super().step(action)


class RaisesSomethingElse(Corridor):
    def step(self, action: Any) -> StepResult:
        if self.over:
            raise KeyError("episode")
        return super().step(action)


class IgnoresTheTask(Corridor):
    def accept(self, given: Task | str, tasks: Sequence[Task]) -> Task:
        return tasks[-1]


class TakesAnySplit(Corridor):
    def accept(self, given: Task | str, tasks: Sequence[Task]) -> Task:
        if isinstance(given, Task) and given.env_id == ENV_ID:
            return given
        return super().accept(given, tasks)


class KnowsNoIds(Corridor):
    def accept(self, given: Task | str, tasks: Sequence[Task]) -> Task:
        if isinstance(given, str):
            raise TaskError("give me a Task")
        return super().accept(given, tasks)


class RewardsTooMuch(Corridor):
    def step(self, action: Any) -> StepResult:
        observation, reward, *rest = super().step(action)
        return observation, reward * 10, *rest  # pyright: ignore[reportReturnType]


class RewardsNothingAtAll(Corridor):
    def step(self, action: Any) -> StepResult:
        observation, _, *rest = super().step(action)
        return observation, float("nan"), *rest  # pyright: ignore[reportReturnType]


class LeakySuite(CorridorSuite):
    def tasks(self, split: Split | str) -> Sequence[Task]:
        split = Split.parse(split)
        return [*super().tasks(split), *([self._task(split, 5)] if split is Split.HELDOUT else [])]


class Leaky(Corridor):
    suite = LeakySuite()


class EmptySuite(CorridorSuite):
    def tasks(self, split: Split | str) -> Sequence[Task]:
        return [] if Split.parse(split) is Split.SELECT else super().tasks(split)


class NothingToSelectOn(Corridor):
    suite = EmptySuite()


class ShuffledSuite(CorridorSuite):
    def tasks(self, split: Split | str) -> Sequence[Task]:
        tasks = list(super().tasks(split))
        self.turns = getattr(self, "turns", 0) + 1
        return tasks[self.turns % 2 :] + tasks[: self.turns % 2]


class Shuffled(Corridor):
    suite = ShuffledSuite()


class NamesakeSuite(CorridorSuite):
    def _task(self, split: Split, door: int) -> Task:
        task = super()._task(split, door)
        return Task("the same for all", task.env_id, split, params=task.params)


class Namesakes(Corridor):
    suite = NamesakeSuite()


class MislabelledSuite(CorridorSuite):
    def _task(self, split: Split, door: int) -> Task:
        return super()._task(Split.TRAIN, door)


class Mislabelled(Corridor):
    suite = MislabelledSuite()


class SilentSuite(CorridorSuite):
    heldout_differs = " "


class DoesNotSayHowItDiffers(Corridor):
    suite = SilentSuite()


class ForeignSuite(CorridorSuite):
    env_id = "tests/Other-v0"


class OfAnotherWorld(Corridor):
    suite = ForeignSuite()


class RollsDice(Corridor):
    def do(self, action: str) -> None:
        super().do(
            "left" if action == "right" and self.place and random.SystemRandom().random() < 0.3 else action
        )


class ChoosesTasksByTheClock(Corridor):
    counter = itertools.count()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        if not options:
            options = {"task": self.suite.tasks(self.split)[next(self.counter) % 4]}
        return super().reset(seed=seed, options=options)


class LeavesTheLampOn(Corridor):
    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        lit = self.lit
        begun = super().reset(seed=seed, options=options)
        self.lit = lit
        return begun


class ForgetsTheLamp(Corridor):
    def restore(self, snapshot: bytes) -> None:
        super().restore(snapshot)
        self.lit = False


class ForgetsTheSteps(Corridor):
    def restore(self, snapshot: bytes) -> None:
        super().restore(snapshot)
        self.steps = 0

    def tell(self) -> str:
        return f"{super().tell()} Step {self.steps}."


class CountsStepsInTheKey(Corridor):
    def state_key(self) -> str:
        return f"{super().state_key()} {self.steps}"


class KeyOfItsOwnEachTime(Corridor):
    counter = itertools.count()

    def state_key(self) -> str:
        return f"{super().state_key()} {next(self.counter)}"


class KeyOfTheEnvironment(Corridor):
    def state_key(self) -> str:
        return f"{super().state_key()} {id(self)}"


class KeyWithoutTheLamp(Corridor):
    def state_key(self) -> str:
        return f"{self.door} {self.place} {self.over}"

    def tell(self) -> str:
        return f"Door {self.place}."


class ConstantKey(Corridor):
    def state_key(self) -> str:
        return "always"

    def snapshot(self) -> bytes:
        return AgentEnv.snapshot(self)


class GivesUpOnOddDoors(Corridor):
    def oracle(self) -> str | None:
        return None if self.door % 2 and self.place == 3 else super().oracle()


class WalksInCircles(Corridor):
    def oracle(self) -> str | None:
        return "right" if self.place < 2 else "left"


class WinsByItself(Corridor):
    def do(self, action: str) -> None:
        super().do(action)
        self.over = self.won = self.over or self.place == 1


class WinsByWaiting(Corridor):
    def step(self, action: Any) -> StepResult:
        if action == "" and not self.over:
            self.over = self.won = True
            return "Well waited.", 1.0, True, False, self.info(True)
        return super().step(action)


class TakesItsTime(Corridor):
    def step(self, action: Any) -> StepResult:
        time.sleep(0.002)
        return super().step(action)


class TakesItsTimeToBegin(Corridor):
    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        time.sleep(0.01)
        return super().reset(seed=seed, options=options)


class Hoarder(Corridor):
    """Opens something at each reset and never lets go of it; the test cleans up after it."""

    files: list[int] = []  # noqa: RUF012 - shared by all of them on purpose
    stop = threading.Event()
    processes: list[subprocess.Popen[bytes]] = []  # noqa: RUF012

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        self.hoard()
        return super().reset(seed=seed, options=options)

    def hoard(self) -> None:
        raise NotImplementedError

    @classmethod
    def clean_up(cls) -> None:
        for file in cls.files:
            os.close(file)
        cls.files.clear()
        cls.stop.set()
        for process in cls.processes:
            process.kill()
            process.wait()
        cls.processes.clear()


class HoardsFiles(Hoarder):
    def hoard(self) -> None:
        self.files.append(os.open(os.devnull, os.O_RDONLY))


class HoardsThreads(Hoarder):
    stop = threading.Event()

    def hoard(self) -> None:
        threading.Thread(target=self.stop.wait, daemon=True).start()


class HoardsProcesses(Hoarder):
    def hoard(self) -> None:
        command = [sys.executable, "-c", "import time; time.sleep(60)"]
        self.processes.append(subprocess.Popen(command, stdin=subprocess.DEVNULL))


class BreaksDown(Corridor):
    def do(self, action: str) -> None:
        raise ZeroDivisionError("out of order")


BROKEN = [
    (WarnsGymnasium, "contract.gymnasium", "render_fps"),
    (ProgressBeyondOne, "contract.info", r"\[0, 1\], got 1.5"),
    (NoSuccess, "contract.info", "needs 'success'"),
    (WrongTaskId, "contract.info", "'another'"),
    (UnspeakableAction, "contract.info", "admissible 7"),
    (InvalidAtFirst, "contract.info", "True after reset"),
    (StepsBeforeReset, "contract.step_errors", "before the first reset was accepted; raise StepError"),
    (StepsAfterTheEnd, "contract.step_errors", "after the end was accepted; raise StepError"),
    (RaisesSomethingElse, "contract.step_errors", "raised KeyError"),
    (IgnoresTheTask, "contract.tasks", "env.task is"),
    (TakesAnySplit, "contract.tasks", "another split was accepted; raise TaskError"),
    (KnowsNoIds, "contract.tasks", "give me a Task"),
    (RewardsTooMuch, "contract.reward", "score of 10.0, outside"),
    (RewardsNothingAtAll, "contract.reward", "score of nan"),
    (Leaky, "suite.splits", "same content in 'train' and in"),
    (NothingToSelectOn, "suite.splits", "'select' has no tasks"),
    (Shuffled, "suite.splits", "order must be fixed"),
    (Namesakes, "suite.splits", "ids must be unique"),
    (Mislabelled, "suite.splits", "says it is of split 'train'"),
    (DoesNotSayHowItDiffers, "suite.splits", "heldout_differs is empty"),
    (OfAnotherWorld, "suite.splits", "tests/Other-v0"),
    (RollsDice, "semantic.determinism", "Draw everything random from"),
    (ChoosesTasksByTheClock, "semantic.determinism", "draw the task from self.np_random"),
    (LeavesTheLampOn, "semantic.replay", "turn 0: state_key was recorded .* Keep nothing from one episode"),
    (ForgetsTheLamp, "semantic.snapshot", "everything that state_key reads"),
    (ForgetsTheSteps, "semantic.snapshot", "leaves out a part of the state"),
    (CountsStepsInTheKey, "semantic.state_key_false_splits", "changed the state key"),
    (KeyOfItsOwnEachTime, "semantic.state_key_false_splits", "different keys"),
    (KeyOfTheEnvironment, "semantic.state_key_false_splits", "different keys"),
    (KeyWithoutTheLamp, "semantic.state_key_collisions", "what 'knock' leads to"),
    (ConstantKey, "semantic.state_key_collisions", "differ in"),
    (GivesUpOnOddDoors, "semantic.oracle", "train-5"),
    (WalksInCircles, "semantic.oracle", "did not solve"),
    (WinsByItself, "semantic.floor", "random player solves"),
    (WinsByWaiting, "semantic.floor", "empty player solves 100%"),
    (TakesItsTime, "resources.latency", "A step takes"),
    (TakesItsTimeToBegin, "resources.latency", "A reset takes"),
    (HoardsFiles, "resources.leaks", "left 5 open files"),
    (HoardsThreads, "resources.leaks", "left 5 threads"),
    (HoardsProcesses, "resources.leaks", "5 child processes"),
    (BreaksDown, "semantic.determinism", "raised ZeroDivisionError: out of order"),
]

STRICT = Limits(reset_s=0.005, step_s=0.001)


def test_a_sound_world_passes_everything() -> None:
    report = check_env(Spec(Corridor), limits=STRICT)
    assert report.passed, report
    assert [result.id for result in report.results] == list(CHECKS)
    assert {result.status for result in report.results} == {Status.PASS}


@pytest.mark.parametrize(("kind", "check_id", "message"), BROKEN, ids=[case[0].__name__ for case in BROKEN])
def test_a_broken_world_fails_and_is_told_why(kind: type[Corridor], check_id: str, message: str) -> None:
    try:
        (result,) = check_env(Spec(kind), only=[check_id], limits=STRICT).results
    finally:
        if issubclass(kind, Hoarder):
            kind.clean_up()
    assert result.id == check_id
    assert result.status is Status.FAIL
    assert re.search(message, result.message), result.message


def test_what_one_episode_leaves_to_the_next_is_found_by_replay_alone() -> None:
    report = check_env(Spec(LeavesTheLampOn), only=["semantic.determinism", "semantic.replay"])
    assert [result.id for result in report.failures] == ["semantic.replay"]


def test_every_check_is_seen_failing() -> None:
    assert {check_id for _, check_id, _ in BROKEN} == set(CHECKS)


class Unforkable(Corridor):
    def snapshot(self) -> bytes:
        return AgentEnv.snapshot(self)


class WithoutOracle(Corridor):
    def oracle(self) -> str | None:
        return None


@pytest.mark.parametrize(
    ("kind", "check_id", "reason"),
    [
        (Unforkable, "semantic.snapshot", "no snapshots"),
        (WithoutOracle, "semantic.oracle", "no oracle"),
    ],
)
def test_what_a_world_does_not_offer_is_skipped(kind: type[Corridor], check_id: str, reason: str) -> None:
    report = check_env(Spec(kind), limits=STRICT)
    assert report.passed
    (skipped,) = [result for result in report.results if result.status is not Status.PASS]
    assert (skipped.id, skipped.status) == (check_id, Status.SKIP)
    assert reason in skipped.message


def test_the_household_world_passes_everything() -> None:
    report = check_env("household", options={"difficulty": "easy"})
    assert report.passed, report
    assert {result.status for result in report.results} == {Status.PASS}


def test_options_reach_the_environment() -> None:
    (result,) = check_env(Spec(Corridor), options={"max_steps": 1}, only=["semantic.oracle"]).results
    assert result.status is Status.FAIL


def test_checks_can_be_chosen_by_their_beginnings() -> None:
    report = check_env(Spec(Corridor), only=["suite", "contract.info"])
    assert [result.id for result in report.results] == ["contract.info", "suite.splits"]
    with pytest.raises(UnknownNameError, match=r"Did you mean 'semantic\.oracle'"):
        check_env(Spec(Corridor), only=["semantic.orcle"])
    with pytest.raises(UnknownNameError, match="Did you mean"):
        check_env("houshold")


def test_results_are_told_as_they_come_and_reported() -> None:
    told: list[CheckResult] = []
    report = check_env(Spec(Leaky), only=["suite", "contract.tasks"], on_result=told.append)
    assert told == list(report.results)
    assert [result.id for result in report.failures] == ["suite.splits"]
    assert json.loads(json.dumps(report.to_json()))["passed"] is False
    lines = str(report).splitlines()
    assert lines[0].startswith("pass  contract.tasks")
    assert lines[1].startswith("fail  suite.splits")
    assert lines[-1] == f"{ENV_ID}: 1 of 2 checks failed"
