"""Turns, tools that appear, calls that cannot be made, states, snapshots; and no state from one episode to the next."""

import asyncio
import decimal
import json
import re
import subprocess
import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pytest

import agentgym
from agentgym.agents.scripted import OracleAgent
from agentgym.agents.toolcalling import ToolCallingAgent
from agentgym.conformance import check_env
from agentgym.core.env import Action
from agentgym.core.errors import TaskError, UnknownNameError, UsageError
from agentgym.core.task import Split, Task, content_hash
from agentgym.core.tool import ToolCall
from agentgym.core.trace import Outcome
from agentgym.environments import bfcl
from agentgym.environments.bfcl import SPEC, official
from agentgym.environments.bfcl.env import BfclEnv
from agentgym.rollout.collect import collect, plan_groups
from tests.agents.playing import Parrot, call

SUITE = SPEC.suite()
QUESTION = "Create a file name based on the number of byte used. It should be in 'number.pdf' format."
README = Path(bfcl.__file__).with_name("README.md").read_text("utf-8")


def begin(task_id: str) -> BfclEnv:
    env = SPEC.make(SUITE.task(task_id).split)
    env.reset(options={"task": task_id})
    return env


def every_task() -> Iterable[Task]:
    return (task for split in Split for task in SUITE.tasks(split))


def test_the_contract_is_kept() -> None:
    report = check_env("bfcl")
    assert report.passed, report


def test_missing_functions_appear_at_their_turn() -> None:
    env = begin("multi_turn_miss_func_29")
    assert "du" not in [tool.name for tool in env.tools]
    observation, *_, info = env.step("There is no tool for that.")
    assert "du" in [tool.name for tool in env.tools]
    assert json.loads(observation.splitlines()[0])["name"] == "du"
    assert observation.splitlines()[-1] == info["instruction"] == official.reveal_text()
    assert len(SPEC.make(Split.TRAIN).tools) > 10  # before any reset, too


def test_withheld_functions_are_not_told_of() -> None:
    withheld = [(task, SUITE.problem(task)) for task in every_task() if task.task_type == "miss_func"]
    for task, problem in withheld:
        (turn,) = [turn for turn in range(problem.turns) if problem.appearing(turn)]
        new = {tool.name for tool in problem.appearing(turn)}
        assert not new & {tool.name for tool in problem.tools(turn - 1)}, task.id
        assert new <= {tool.name for tool in problem.tools(turn)}
    assert len(withheld) == 200


def test_schemas_are_json_schemas() -> None:
    def types(schema: Any) -> Iterable[str]:
        if isinstance(schema, dict):
            yield from [schema["type"]] if isinstance(schema.get("type"), str) else []
            yield from (name for each in cast(dict[str, Any], schema).values() for name in types(each))

    tools = [tool for task in every_task() for tool in SUITE.problem(task).tools(9)]
    found = {name for tool in tools for name in types(dict(tool.input_schema))}
    assert found == {"object", "string", "number", "integer", "array", "boolean"}


@pytest.mark.parametrize(
    ("call", "answer", "valid"),
    [
        (ToolCall("cdd", {"folder": "VisionX"}), r"Unknown tool 'cdd'\. Did you mean 'cd'", False),
        (ToolCall("_load_scenario", {"scenario": {}}), "Unknown tool", False),
        (ToolCall("cd", {}), "cd: missing a required argument: 'folder'", False),
        (ToolCall("cd", {"folder": "VisionX", "fast": True}), "unexpected keyword argument 'fast'", False),
        (ToolCall("cd", {"folder": ["VisionX"]}), "Error during execution", True),
        (ToolCall("cd", {"folder": "x" * 1_000_000}), "No such file or directory", True),
        (ToolCall("cd", {"folder": "nowhere"}), "No such file or directory", True),
    ],
)
def test_calls_that_cannot_be_made_say_why(call: ToolCall, answer: str, valid: bool) -> None:
    env = begin("multi_turn_base_29")
    observation, reward, terminated, truncated, info = env.step(call)
    assert re.search(answer, observation)
    assert (reward, terminated, truncated, info["valid"]) == (0.0, False, False, valid)


@pytest.mark.parametrize(
    "call",
    [
        ToolCall("power", {"base": 10**1000, "exponent": 10**9}),
        ToolCall("logarithm", {"value": 2, "base": 10, "precision": 10**12}),
        ToolCall("square_root", {"number": 2, "precision": 10**12}),
        ToolCall("round_number", {"number": 5, "decimal_places": -(10**12)}),
    ],
)
def test_endless_calculations_are_refused(call: ToolCall) -> None:
    with_math = next(task for task in SUITE.tasks("train") if "MathAPI" in task.params["apis"])
    assert "too large" in begin(with_math.id).step(call)[0]


def test_a_thousand_calls_end_in_a_truncation() -> None:
    env = SPEC.make(Split.TRAIN, max_steps=1000)
    env.reset(options={"task": "multi_turn_base_29"})
    for number in range(1000):
        *_, terminated, truncated, _ = env.step(ToolCall("mkdir", {"dir_name": f"d{number}"}))
        assert (terminated, truncated) == (False, number == 999)


def test_calls_that_change_nothing_leave_the_state() -> None:
    env = begin("multi_turn_base_45")
    keys = [env.state_key()]
    for action in [
        ToolCall("ls", {"a": True}),
        ToolCall("pwd", {}),
        ToolCall("mkdir", {"dir_name": "new"}),
        ToolCall("rm", {"file_name": "new"}),
        ToolCall("cd", {"folder": "ResearchDocs"}),
    ]:
        env.step(action)
        keys.append(env.state_key())
    fresh, looked, looked_again, made, unmade, elsewhere = keys
    assert looked == looked_again == unmade
    assert len({fresh, looked, made, elsewhere}) == 4


def test_snapshots_come_back_in_another_environment() -> None:
    env, other = begin("multi_turn_long_context_29"), SPEC.make(Split.TRAIN)
    for _ in range(3):
        env.step(env.oracle())
    other.restore(env.snapshot())
    assert other.state_key() == env.state_key()
    assert [tool.name for tool in other.tools] == [tool.name for tool in env.tools]
    assert other.step(other.oracle()) == env.step(env.oracle())
    with pytest.raises(UsageError, match="no snapshot of a BFCL environment"):
        env.restore(b"{}")


def constants() -> str:
    """What the official modules hold besides code, apart from the one that each use overwrites."""
    modules: list[ModuleType] = [
        module
        for name, module in sys.modules.items()
        if name.startswith("bfcl_eval.eval_checker.multi_turn_eval.func_source_code.")
    ]
    held = {
        f"{module.__name__} {name}": repr(value)
        for module in modules
        for name, value in vars(module).items()
        if name.isupper() and name != "LONG_WEATHER_EXTENSION"
    }
    return content_hash(held)


def test_episodes_leave_nothing_behind() -> None:
    travel = import_module("bfcl_eval.eval_checker.multi_turn_eval.func_source_code.travel_booking")
    (card_id, card), *_ = travel.CREDIT_CARD_EXTENSION.items()
    task = next(
        task
        for task in every_task()
        if task.task_type == "long_context" and SUITE.problem(task).start().instances.keys() & {"TravelAPI"}
    )
    before, balance = constants(), card["balance"]
    env = begin(task.id)
    held: Any = env._apis.instances["TravelAPI"].credit_card_list  # pyright: ignore[reportPrivateUsage]
    held[card_id]["balance"] -= 1
    assert card["balance"] == balance
    mp: Any = import_module("mpmath").mp
    precision: tuple[int, int] = decimal.getcontext().prec, mp.dps
    for each in list(every_task())[::4]:
        env = begin(each.id)
        while (action := env.oracle()) is not None:
            env.step(action)
    assert (decimal.getcontext().prec, mp.dps) == precision
    assert constants() == before


def test_arguments_are_copied() -> None:
    """Posts keep the list of tags that they are given, and mentioning somebody extends such lists."""
    for task in every_task():
        before = str(SUITE.problem(task).right_calls)
        assert SUITE.problem(task).aftermaths
        assert str(SUITE.problem(task).right_calls) == before


def test_splits_share_no_problem_and_no_start() -> None:
    starts: dict[str, set[Split]] = {}
    numbers: dict[str, set[Split]] = {}
    for task in every_task():
        numbers.setdefault(task.id.rpartition("_")[2], set()).add(task.split)
    for entry in official.entries("base"):
        start = content_hash(entry["initial_config"])
        starts.setdefault(start, set()).add(SUITE.task(entry["id"]).split)
    assert len(numbers) == 200
    assert {len(splits) for splits in [*starts.values(), *numbers.values()]} == {1}
    unseen = {api for task in SUITE.tasks("heldout") if task.group == "unseen" for api in task.params["apis"]}
    seen = {
        api for split in ("train", "select") for task in SUITE.tasks(split) for api in task.params["apis"]
    }
    assert unseen - seen == {"TradingBot"}


def test_what_is_not_there_is_named() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'miss_func'"):
        agentgym.suite("bfcl", categories=["miss_funk"])
    with pytest.raises(TaskError, match="Did you mean 'multi_turn_base_1"):
        SUITE.task("multi_turn_bas_1")
    assert {task.task_type for task in agentgym.suite("bfcl", categories="base").tasks("train")} == {"base"}


@pytest.mark.parametrize("missing", ["bfcl_eval", "mpmath"])
def test_without_the_package_it_says_what_to_install(missing: str) -> None:
    script = f"import sys; sys.modules[{missing!r}] = None; import agentgym; agentgym.make('bfcl')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "UsageError" in done.stderr.splitlines()[-1]
    assert "`pip install --no-deps bfcl-eval mpmath`" in done.stderr


def test_rollouts_play_it() -> None:
    plans = plan_groups(SUITE.tasks("train")[:8], 2, label="bfcl", seed=0)
    episodes = asyncio.run(
        collect(plans, OracleAgent(), lambda: SPEC.make(Split.TRAIN), concurrency=8, max_turns=50)
    )
    assert [episode.outcome for episode in episodes] == [Outcome.SUCCESS] * 16
    assert all(turn.valid for episode in episodes for turn in episode.turns)


def test_an_agent_with_tools_talks_with_the_user() -> None:
    policy = Parrot(
        "There is no tool that measures a folder.",
        call("cd", folder="VisionX"),
        call("dv", human_readable=True),
        call("du", human_readable=True),
        "It is 79 bytes.",
        call("touch", file_name="79.pdf"),
        "Done.",
        call("echo", content=QUESTION, file_name="79.pdf"),
        "Done.",
    )
    plans = plan_groups([SUITE.task("multi_turn_miss_func_29")], 1, label="bfcl", seed=0)
    agent = ToolCallingAgent(policy)
    (episode,) = asyncio.run(
        collect(plans, agent, lambda: SPEC.make(Split.TRAIN), concurrency=1, max_turns=20)
    )
    assert (episode.outcome, episode.score) == (Outcome.SUCCESS, 1.0)
    assert [turn.valid for turn in episode.turns] == [True, True, False, *[True] * 6]
    assert "du" not in [tool.name for tool in policy.requests[0].tools]
    asked = [message.content for message in policy.requests[1].messages]
    assert '"name": "du"' in asked[-1]


def _action(text: str) -> Action:
    called = re.fullmatch(r"(\w+)\((\{.*\})\)", text)
    return ToolCall(called[1], json.loads(called[2])) if called else text


def test_the_readmes_transcript_is_what_happens() -> None:
    (transcript,) = re.findall(r"```text\n(.*?)```", README, re.DOTALL)
    (task_id,) = re.findall(r"Task `(\w+)`", README)
    opening, *turns = transcript.rstrip("\n").split("\n> ")
    env = SPEC.make(SUITE.task(task_id).split)
    assert env.reset(options={"task": task_id})[0] == opening
    reward, over = 0.0, False
    for turn in turns:
        action, shown = turn.split("\n", 1)
        observation, reward, over, *_ = env.step(_action(action))
        assert observation == shown
    assert (reward, over) == (1.0, True)


def test_the_readmes_code_runs_and_its_figures_hold() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, capture_output=True)
    for split in Split:
        for group in {task.group for task in SUITE.tasks(split)}:
            name = f"`{split.value}`, group `{group}`" if group else f"`{split.value}`"
            count = sum(task.group == group for task in SUITE.tasks(split))
            assert f"| {name} | {count} |" in README
