"""Episodes come back from the store exactly as they were."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from agentgym.core.errors import UsageError
from agentgym.core.message import Message
from agentgym.core.task import Split, Task
from agentgym.core.tool import ToolCall
from agentgym.core.trace import Episode, Origin, Outcome, StopReason, Thought, Turn, Versions
from agentgym.store.store import Store

text = st.text(max_size=20)
any_text = st.text(st.characters(codec=None), max_size=20)  # lone surrogates included
names = st.text(st.characters(codec="ascii"), max_size=10)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | any_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=5,
)
json_objects = st.dictionaries(names, json_values, max_size=3)
int64 = st.integers(-(2**63), 2**63 - 1)
tool_calls = st.builds(ToolCall, any_text, json_objects, any_text)
messages = st.builds(
    Message,
    st.sampled_from(["system", "user", "assistant", "tool"]),
    any_text,
    st.lists(tool_calls, max_size=2).map(tuple),
    st.none() | any_text,
)
observations = (
    any_text
    | st.none()
    | json_values
    | st.fixed_dictionaries(
        {"text": any_text, "image": hnp.arrays(np.uint8, st.tuples(st.just(2), st.just(3), st.just(3)))}
    )
)


def tokens(dtype: Any, size: int) -> st.SearchStrategy[Any]:
    return hnp.arrays(dtype, size)


@st.composite
def thoughts(draw: st.DrawFn) -> Thought:
    size = draw(st.integers(0, 3))
    return Thought(
        policy_version=draw(int64),
        prompt_start=draw(int64),
        prompt_ids=draw(tokens(np.int32, draw(st.integers(0, 3)))),
        completion_ids=draw(tokens(np.int32, size)),
        logprobs=draw(tokens(np.float32, size)),
        loss_mask=draw(tokens(np.int8, size)),
        policy_versions=draw(st.just(np.empty(0, np.int32)) | tokens(np.int32, size)),
    )


@st.composite
def turns(draw: st.DrawFn) -> Turn:
    size = draw(st.integers(0, 4))
    ones = np.ones(size, np.int8)
    return Turn(
        observation=draw(observations),
        action=draw(any_text | tool_calls),
        reward=draw(st.floats()),
        terminated=draw(st.booleans()),
        truncated=draw(st.booleans()),
        valid=draw(st.booleans()),
        state_key=draw(text),
        policy_version=draw(int64),
        prompt_start=draw(int64),
        prompt_ids=draw(tokens(np.int32, draw(st.integers(0, 4)))),
        completion_ids=draw(tokens(np.int32, size)),
        logprobs=draw(tokens(np.float32, size)),
        loss_mask=draw(st.just(ones) | tokens(np.int8, size)),
        messages_delta=tuple(draw(st.lists(messages, max_size=2))),
        shown_items=tuple(draw(st.lists(any_text, max_size=2))),
        withheld_items=tuple(draw(st.lists(any_text, max_size=2))),
        timing=draw(st.dictionaries(any_text, st.floats(), max_size=2)),
        policy_versions=draw(st.just(np.empty(0, np.int32)) | tokens(np.int32, size)),
        thoughts=tuple(draw(st.lists(thoughts(), max_size=2))),
    )


tasks = st.builds(
    Task, any_text.filter(lambda s: s.isascii()), names, st.sampled_from(Split), st.integers(), json_objects
)


@st.composite
def episodes(draw: st.DrawFn) -> Episode:
    outcome = draw(st.sampled_from(Outcome))
    return Episode(
        id="",
        task=draw(tasks),
        group_id=draw(text),
        turns=tuple(draw(st.lists(turns(), max_size=3))),
        outcome=outcome,
        score=draw(st.floats()) if outcome.scored else None,
        stop_reason=draw(st.sampled_from(StopReason)),
        seed=draw(st.integers()),
        versions=draw(st.builds(Versions, int64, text, text, text)),
        error=draw(st.none() | text),
        final_observation=draw(observations),
        origin=draw(st.none() | st.builds(Origin, text, st.integers(0, 2**63 - 1))),
    )


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Episode], Episode]]:
    """Write an episode under a fresh id and read it back."""
    ids = count()
    path: Path = tmp_path_factory.mktemp("records") / "store.db"
    with Store(path) as store:
        store.create_run("run", "train", config={}, versions={})

        def through(episode: Episode) -> Episode:
            fresh = str(next(ids))
            store.write_episodes("run", [replace(episode, id=fresh)], iteration=0)
            return replace(store.episode(fresh), id=episode.id)

        yield through


@given(episode=episodes())
def test_episodes_come_back_exactly(
    same: Callable[[Any, Any], bool], shared: Callable[[Episode], Episode], episode: Episode
) -> None:
    assert same(shared(episode), episode)


def test_arrays_that_come_back_can_be_written_to(
    shared: Callable[[Episode], Episode], make_episode: Callable[[str], Episode]
) -> None:
    turn = shared(make_episode("")).turns[0]
    assert all(a.flags.writeable for a in (turn.prompt_ids, turn.completion_ids, turn.logprobs))


def test_a_score_goes_with_the_outcome(store: Store, make_episode: Callable[[str], Episode]) -> None:
    with pytest.raises(UsageError, match="has a score exactly where"):
        store.write_episodes("run", [replace(make_episode("a"), outcome=Outcome.ENV_ERROR)], iteration=0)
    with pytest.raises(UsageError, match="has a score exactly where"):
        store.write_episodes("run", [replace(make_episode("a"), score=None)], iteration=0)


def test_wrong_dtypes_are_refused(store: Store, make_episode: Callable[[str], Episode]) -> None:
    good = make_episode("a")
    turn = replace(good.turns[0], completion_ids=np.zeros(5, np.int64))
    with pytest.raises(UsageError, match="completion_ids has dtype int64"):
        store.write_episodes("run", [replace(good, turns=[turn])], iteration=0)


def test_an_error_text_without_utf8_is_kept_readable(
    shared: Callable[[Episode], Episode], make_episode: Callable[[str], Episode]
) -> None:
    assert shared(replace(make_episode(""), error="bad \ud800 byte")).error == "bad \\ud800 byte"
