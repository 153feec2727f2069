from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from agentgym.core.errors import StoreFault, UsageError
from agentgym.store.values import dump_value, load_value

Same = Callable[[Any, Any], bool]

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None))
arrays = hnp.arrays(
    hnp.integer_dtypes() | hnp.floating_dtypes() | hnp.boolean_dtypes() | hnp.unicode_string_dtypes(),
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
)
values = st.recursive(
    scalars | arrays | arrays.filter(lambda array: array.size > 0).map(lambda array: array.reshape(-1)[0]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(values)
def test_values_come_back_exactly(same: Same, value: Any) -> None:
    assert same(load_value(dump_value(value)), value)


def test_an_image_observation_comes_back_and_is_compressed(same: Same) -> None:
    image: NDArray[np.uint8] = np.zeros((240, 320, 3), np.uint8)
    image[40:80, 100:200] = (255, 0, 127)
    observation = {"text": "a screen", "image": image}
    data = dump_value(observation)
    assert same(load_value(data), observation)
    assert len(data) < image.nbytes / 50


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"a": [1, {2, 3}]}, "value['a'][1] is a set"),
        ({1: "a"}, "has the key 1"),
        (np.array([object()]), "array of Python objects"),
    ],
)
def test_what_cannot_be_kept_is_named(value: Any, place: str) -> None:
    with pytest.raises(UsageError, match=place.replace("[", r"\[")):
        dump_value(value)


@given(st.binary(max_size=50))
def test_damaged_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(StoreFault, match="damaged"):
        load_value(data)


def test_truncated_bytes_are_refused() -> None:
    data = dump_value({"text": "x", "image": np.arange(300, dtype=np.uint8)})
    for end in range(0, len(data), 7):
        with pytest.raises(StoreFault, match="damaged"):
            load_value(data[:end])
