from __future__ import annotations

from typing import Any

import torch
from hypothesis import given
from hypothesis import strategies as st

from agentgym.policies.sampling import sample_tokens


def filled(count: int, value: float) -> torch.Tensor:
    return torch.full((count,), value)


def listed(ids_B: torch.Tensor) -> list[int]:
    tensor: Any = ids_B
    return tensor.tolist()


def test_evenly_spread_uniforms_give_the_distribution() -> None:
    count = 4000
    logits = torch.tensor([1.0, -2.0, 0.5, 3.0, 0.0])
    uniforms = (torch.arange(count) + 0.5) / count
    drawn = sample_tokens(logits.expand(count, 5), uniforms, filled(count, 0.7), filled(count, 1.0))
    expected = torch.softmax(logits / 0.7, -1)
    frequency = torch.bincount(drawn.ids_B, minlength=5) / count
    assert float((frequency - expected).abs().max()) <= 2 / count
    assert torch.allclose(drawn.logprobs_B, expected.log()[drawn.ids_B], atol=1e-6)


def test_top_p_keeps_the_fewest_tokens_that_hold_the_mass() -> None:
    count = 1000
    probabilities = torch.tensor([0.1, 0.5, 0.05, 0.3, 0.05])
    uniforms = (torch.arange(count) + 0.5) / count
    drawn = sample_tokens(
        probabilities.log().expand(count, 5), uniforms, filled(count, 1.0), filled(count, 0.75)
    )
    assert set(listed(drawn.ids_B)) == {1, 3}
    share = (drawn.ids_B == 1).float().mean()
    assert abs(float(share) - 0.5 / 0.8) < 0.005
    # The log-probability is the one before truncation.
    assert torch.allclose(drawn.logprobs_B, probabilities.log()[drawn.ids_B], atol=1e-6)


def test_a_tiny_top_p_is_greedy() -> None:
    drawn = sample_tokens(torch.tensor([[0.0, 2.0, 1.0]]), filled(1, 0.99), filled(1, 1.0), filled(1, 1e-6))
    assert drawn.ids_B.tolist() == [1]


def test_temperature_zero_takes_the_most_likely() -> None:
    logits = torch.tensor([[0.0, 2.0, 1.0], [5.0, 2.0, 1.0]])
    drawn = sample_tokens(logits, filled(2, 0.999), filled(2, 0.0), filled(2, 1.0))
    assert drawn.ids_B.tolist() == [1, 0]
    assert torch.allclose(drawn.logprobs_B, torch.log_softmax(logits, -1)[[0, 1], [1, 0]])


def test_impossible_tokens_are_never_drawn() -> None:
    logits = torch.tensor([float("-inf"), 0.0, float("-inf"), 0.3, float("-inf")])
    uniforms = torch.tensor([0.0, 0.5, 1.0 - 2.0**-24, 1.0])
    drawn = sample_tokens(logits.expand(4, 5), uniforms, filled(4, 1.0), filled(4, 1.0))
    assert set(listed(drawn.ids_B)) <= {1, 3}


@given(
    st.lists(
        st.tuples(
            st.floats(0, 0.999), st.sampled_from([0.0, 0.5, 1.0, 2.0]), st.sampled_from([0.3, 0.9, 1.0])
        ),
        min_size=1,
        max_size=6,
    ),
    st.integers(0, 2**31),
)
def test_a_row_does_not_depend_on_the_others(rows: list[tuple[float, float, float]], seed: int) -> None:
    logits = torch.randn(len(rows), 17, generator=torch.Generator().manual_seed(seed)) * 3
    columns = [torch.tensor(column, dtype=torch.float32) for column in zip(*rows, strict=True)]
    together = sample_tokens(logits, *columns)
    for index in range(len(rows)):
        alone = sample_tokens(logits[index : index + 1], *(column[index : index + 1] for column in columns))
        assert alone.ids_B[0] == together.ids_B[index]
        assert torch.isclose(alone.logprobs_B[0], together.logprobs_B[index], atol=1e-6)


def test_nonfinite_logits_show_in_the_logprob() -> None:
    logits = torch.tensor([[0.0, float("nan"), 1.0], [0.0, 1.0, 2.0]])
    drawn = sample_tokens(logits, filled(2, 0.3), filled(2, 1.0), filled(2, 1.0))
    assert drawn.logprobs_B.isfinite().tolist() == [False, True]
