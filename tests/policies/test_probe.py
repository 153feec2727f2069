"""The probe that holds a sampler against the trainer's model."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from transformers import PreTrainedModel

from agentgym.core.errors import InferenceFault
from agentgym.policies.probe import ANSWER_TOKENS, Probed, check_probe, probe_limit, probe_prompts
from tests.policies.conftest import full_logprobs


def sampled(model: PreTrainedModel, off: float = 0.0) -> list[Probed]:
    """The prompts with answers of a sampler that is `off` nats off on its last token."""
    found: list[Probed] = []
    for context in probe_prompts(model.config.get_text_config().vocab_size, 200):
        completion = context[:ANSWER_TOKENS]
        logprobs = full_logprobs(model, context, completion).tolist()
        found.append(Probed(context, completion, [*logprobs[:-1], logprobs[-1] + off]))
    return found


def test_a_sampler_with_the_models_weights_passes(model: PreTrainedModel) -> None:
    assert check_probe(model, sampled(model), probe_limit(model)) < 1e-5


@pytest.mark.parametrize(
    ("off", "told"), [(0.01, "0.01 nats"), (-0.74, "0.74 nats"), (float("nan"), "nan nats")]
)
def test_one_token_that_is_off_stops(model: PreTrainedModel, off: float, told: str) -> None:
    with pytest.raises(InferenceFault, match=f"is {told} off the trainer's model .*limit 0.001") as caught:
        check_probe(model, sampled(model, off), probe_limit(model))
    assert 'rollout.engine = "local"' in str(caught.value)


def test_no_tokens_are_no_proof(model: PreTrainedModel) -> None:
    empty: Sequence[Probed] = [Probed([1, 2], [], [])]
    with pytest.raises(InferenceFault, match="no tokens for the probe"):
        check_probe(model, empty, 1.0)


def test_the_mode_of_the_model_stays(own_model: PreTrainedModel) -> None:
    own_model.train()
    check_probe(own_model, sampled(own_model), 1.0)
    assert own_model.training


def test_prompts_fit_the_context_and_are_the_same_each_time() -> None:
    assert probe_prompts(400, 2048) == probe_prompts(400, 2048)
    assert [len(ids) for ids in probe_prompts(400, 2048)] == [5, 60, 300, 600]
    assert [len(ids) for ids in probe_prompts(400, 128)] == [5, 60, 112]
    assert all(0 <= token < 7 for ids in probe_prompts(7, 64) for token in ids)


def test_half_precision_rounds_more(own_model: PreTrainedModel) -> None:
    whole, halved = probe_limit(own_model), own_model.bfloat16()
    assert whole < probe_limit(halved)
