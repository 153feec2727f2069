from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym.core.errors import TaskError, UnknownNameError
from agentgym.core.task import Split, Task, content_hash

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.text(max_size=4), JSON, max_size=4), st.integers(0, 9), st.text(max_size=4))
def test_a_task_survives_json(params: dict[str, object], seed: int, name: str) -> None:
    task = Task(name, "e", Split.SELECT, seed, params, difficulty="hard", group="seen")
    again = Task.from_json(task.to_json())
    assert again == task
    assert again.key == task.key


def test_the_key_is_of_the_content_alone() -> None:
    one = Task("a", "e", Split.TRAIN, 1, {"x": 1, "y": 2})
    assert one.key == Task("b", "e", Split.HELDOUT, 1, {"y": 2, "x": 1}).key
    assert one.key != Task("a", "e", Split.TRAIN, 2, {"x": 1, "y": 2}).key


def test_hashes_tell_values_apart() -> None:
    assert len({content_hash(value) for value in (1, "1", [1], {"1": 1}, None, "None", [[1]])}) == 7


def test_what_is_no_task_is_refused() -> None:
    with pytest.raises(TaskError, match=r"missing fields \['env_id'\], unknown fields \['envid'\]"):
        Task.from_json({"id": "a", "envid": "e", "split": "train"})
    with pytest.raises(UnknownNameError, match="Did you mean 'train'"):
        Task.from_json({"id": "a", "env_id": "e", "split": "trian"})


@pytest.mark.parametrize(
    ("field", "value"),
    [("id", 1), ("env_id", None), ("split", 3), ("seed", "7"), ("seed", True), ("params", []), ("group", {})],
)
def test_a_field_of_another_type_is_named(field: str, value: object) -> None:
    with pytest.raises(TaskError, match=f"{field} must be of type"):
        Task.from_json({"id": "a", "env_id": "e", "split": "train", field: value})
