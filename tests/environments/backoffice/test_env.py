from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgym.core.env import Stepping
from agentgym.core.errors import StepError, TaskError, UnknownNameError, UsageError
from agentgym.core.task import Split, Task
from agentgym.core.tool import ToolCall, ToolSpec
from agentgym.environments.backoffice import SPEC
from agentgym.environments.backoffice.env import BackofficeEnv

EASY = SPEC.suite(difficulty="easy", domains="retail").tasks("train")


def easy(need: str, *, pending: bool = True) -> Task:
    """An easy task of the shop; of those about an order, one that the policy allows or forbids."""
    for task in EASY:
        if task.task_type == f"retail-{need}" and bool(SPEC.suite().script(task).goal) is pending:
            return task
    raise LookupError(need)


def begin(task: Task, **options: Any) -> tuple[BackofficeEnv, str]:
    env = SPEC.make(task.split, **options)
    observation, info = env.reset(seed=0, options={"task": task})
    assert (info["success"], info["valid"], info["task_id"]) == (False, True, task.id)
    return env, observation


def do(env: BackofficeEnv, name: str, **arguments: Any) -> tuple[str, dict[str, Any]]:
    observation, _, _, _, info = env.step(ToolCall(name, arguments))
    return observation, info


def solve(env: BackofficeEnv) -> tuple[float, dict[str, Any]]:
    total, info = 0.0, {"success": False}
    while (call := env.oracle()) is not None:
        _, reward, terminated, truncated, info = env.step(call)
        assert info["valid"], call
        total += reward
        if terminated or truncated:
            break
    return total, info


def test_an_episode_from_the_users_wish_to_the_reward() -> None:
    env, opening = begin(easy("cancel"))
    order = env.task.params["needs"][0][1]["order"]
    assert opening.startswith("You work at the order desk of a shop. Cancel pending orders only;")
    assert opening.endswith(f"User: Please cancel order {order} and tell me what I get back.")
    shown, info = do(env, "get_order", order_id=order)
    assert json.loads(shown)["status"] == "pending"
    assert info["progress"] == 0.0
    done, info = do(env, "cancel_order", order_id=order)
    refund = json.loads(done)["refund"]
    assert 0.0 < info["progress"] < 1.0
    said, info = do(env, "reply", message="It is cancelled.")
    assert (said, info["success"]) == ("User: You have not told me the refund.", False)
    goodbye, reward, terminated, truncated, info = env.step(
        ToolCall("reply", {"message": f"You get ${refund:.2f} back!"})
    )
    assert (goodbye, reward, terminated, truncated) == ("User: Thank you, that is all.", 1.0, True, False)
    assert (info["success"], info["progress"]) == (True, 1.0)
    with pytest.raises(StepError, match="over after 4 steps"):
        env.step("more")


def test_who_does_what_the_policy_forbids_fails_although_the_tool_lets_them() -> None:
    env, _ = begin(easy("cancel", pending=False))
    order = env.task.params["needs"][0][1]["order"]
    result, info = do(env, "cancel_order", order_id=order)
    assert info["valid"], result
    _, reward, terminated, _, info = env.step(ToolCall("reply", {"message": "Done."}))
    assert (reward, terminated, info["success"]) == (0.0, True, False)
    assert info["progress"] < 1.0


def test_who_changes_more_than_was_asked_for_fails() -> None:
    env, _ = begin(easy("total", pending=False))
    do(env, "place_order", customer_id="C12", product_id="P15", quantity=1)
    _, reward, *_ = env.step(env.oracle())
    assert reward == 0.0
    while env.oracle() is not None:
        _, reward, *_ = env.step(env.oracle())
    assert reward == 0.0


def test_a_user_who_is_not_told_goes_on_without_after_a_while() -> None:
    env, _ = begin(easy("total", pending=False))
    heard = [do(env, "reply", message="Hello.")[0] for _ in range(3)]
    assert heard == ["User: You have not told me the total."] * 2 + ["User: Thank you, that is all."]


def test_telling_everything_tells_nothing() -> None:
    env, _ = begin(easy("total", pending=False))
    _, info = do(env, "reply", message=" ".join(map(str, range(10000)))[:1900])
    assert not info["success"]


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (ToolCall("get_ordr", {}), "Error: Unknown tool 'get_ordr'. Did you mean 'get_order'? Known: "),
        (ToolCall("get_order", {}), "Error: get_order needs the argument 'order_id' (a text)."),
        (ToolCall("get_order", {"order": "O12"}), "Error: get_order has no argument \"order\". Did you mean 'order_id'?"),
        (ToolCall("get_order", {"order_id": 12}), "Error: The argument 'order_id' of get_order must be a text, got 12."),
        (ToolCall("get_order", {"order_id": "O999"}), "Error: There is no order 'O999'. Did you mean 'O"),
        (
            ToolCall("place_order", {"customer_id": "C12", "product_id": "P12", "quantity": 0}),
            "Error: The argument 'quantity' of place_order must be a whole number from 1 to 1000, got 0.",
        ),
        (
            ToolCall("place_order", {"customer_id": "C12", "product_id": "P12", "quantity": True}),
            "Error: The argument 'quantity' of place_order must be a whole number from 1 to 1000, got true.",
        ),
        (ToolCall("reply", {"message": ["x"] * 1000}), "Error: The argument 'message' of reply must be a text, got [\"x\", "),
        (ToolCall("reply", {"message": "\ud800"}), "Error: The argument 'message' of reply must be a text, got \"\\ud800\"."),
        ("Shall I cancel it?", "Error: That is text, not a call. Nobody reads it. Call one of your tools: get_order, "),
        ("", "Error: That is empty. Nobody reads it."),
        ('{"name": "get_order"}', "Error: That is a call written as text, and was not run: make it as a call."),
        ("[" + ", ".join(['{"name": "get_order"}'] * 1000) + "]", "Error: Those are 1000 calls at once, and none was run"),
        ('<tool_call>{"name": "get_order", </tool_call>', "Error: That looks like a call, but is not"),
        ("<tool_call>{}</tool_call>" * 1000, "Error: Those are 1000 calls at once, and none was run"),
        ("[" * 100_000, "Error: That is text, not a call."),
    ],
)  # fmt: skip
def test_what_cannot_be_done_teaches_and_changes_nothing(call: ToolCall | str, told: str) -> None:
    env, _ = begin(easy("reorder"))
    before = env.state_key()
    observation, reward, terminated, _, info = env.step(call)
    assert observation.startswith(told)
    assert observation in env.observation_space
    assert (reward, terminated, info["valid"]) == (0.0, False, False)
    assert env.state_key() == before
    assert solve(env)[0] == 1.0


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner, max_size=3), max_leaves=4
)  # fmt: skip


SHOP = SPEC.make(Split.TRAIN, difficulty="medium", domains="retail", max_steps=100_000)
SHOP.reset(seed=1)


@settings(max_examples=60)
@given(st.sampled_from(SHOP.tools), st.data())
def test_no_arguments_make_a_step_raise(spec: ToolSpec, data: st.DataObject) -> None:
    if SHOP.oracle() is None:
        SHOP.reset(seed=1)
    arguments = {key: data.draw(_JSON) for key in spec.input_schema["properties"]}
    observation, _, _, _, info = SHOP.step(ToolCall(spec.name, arguments))
    assert info["valid"] or observation.startswith("Error: ")
    assert observation in SHOP.observation_space


@pytest.mark.parametrize("difficulty", ["easy", "medium", "hard"])
@pytest.mark.parametrize("domain", ["retail", "travel", "office"])
def test_from_a_snapshot_everything_goes_on_as_it_did(difficulty: str, domain: str) -> None:
    env, other = (SPEC.make(Split.SELECT, difficulty=difficulty, domains=domain) for _ in range(2))
    env.reset(seed=4)
    other.reset(seed=5)
    info: dict[str, Any] = {}
    while (call := env.oracle()) is not None:
        saved, key = env.snapshot(), env.state_key()
        after = env.step(call)
        other.restore(saved)
        assert (other.state_key(), other.oracle()) == (key, call)
        assert other.step(call) == after
        assert other.state_key() == env.state_key()
        info = after[4]
        if after[2]:
            break
    assert info["success"]


def test_bytes_that_are_no_snapshot_are_refused() -> None:
    env, _ = begin(easy("cancel"))
    saved = env.snapshot()
    for wrong in (b"", b"household", saved[:-1]):
        with pytest.raises(UsageError, match="snapshot"):
            env.restore(wrong)
    with pytest.raises(TaskError, match="belongs to split 'train'"):
        SPEC.make(Split.SELECT).restore(saved)


def test_reading_leaves_the_state_and_its_key_alone() -> None:
    env, _ = begin(easy("cancel"))
    order, before = env.task.params["needs"][0][1]["order"], env.state_key()
    do(env, "get_order", order_id=order)
    assert env.state_key() == before
    do(env, "cancel_order", order_id=order)
    assert env.state_key() != before


def test_a_voice_puts_the_lines_and_the_script_stays_the_same() -> None:
    talks: list[tuple[tuple[str, str], ...]] = []

    def voice(line: str, talk: tuple[tuple[str, str], ...]) -> str:
        talks.append(talk)
        return f"Well, {line}"

    env, opening = begin(easy("total", pending=False), voice=voice)
    assert env.stepping is Stepping.THREAD
    assert "User: Well, What is the total" in opening
    observation, _ = do(env, "reply", message="One moment.")
    assert observation == "User: Well, You have not told me the total."
    assert [who for who, _ in talks[-1]] == ["user", "agent"]
    assert solve(env)[0] == 1.0


def test_unknown_names_are_refused_with_what_was_meant() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'retail'"):
        SPEC.suite(domains=["retial"])
    with pytest.raises(UnknownNameError, match="Did you mean 'easy'"):
        SPEC.make(Split.TRAIN, difficulty="eazy")
    with pytest.raises(UsageError, match="max_steps must be at least 1"):
        SPEC.make(Split.TRAIN, max_steps=0)
    with pytest.raises(UsageError, match="voice must be a function"):
        SPEC.make(Split.TRAIN, voice="x")  # pyright: ignore[reportArgumentType]
    with pytest.raises(UsageError, match="no such tasks in split 'train'"):
        SPEC.make(Split.TRAIN, domains="helpdesk")
    with pytest.raises(TaskError, match=r"Did you mean 'train-easy-...1'"):
        SPEC.make(Split.TRAIN).reset(options={"task": "train-easy-OOO1"})
    env, _ = begin(easy("cancel"))
    with pytest.raises(UsageError, match="ToolCall, or a text, got int"):
        env.step(3)


def test_render_tells_what_has_changed() -> None:
    env, _ = begin(easy("cancel"), render_mode="ansi")
    do(env, "cancel_order", order_id=env.task.params["needs"][0][1]["order"])
    text = env.render()
    assert text is not None
    assert "added orders: " in text
    assert "gone orders: " in text
