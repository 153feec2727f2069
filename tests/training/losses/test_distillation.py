"""Divergences against worked numbers, a finite difference, and what does not depend on the split."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from agentgym.training.losses.batch import TokenBatch
from agentgym.training.losses.distillation import Distillation, SampledDistillation, Sdpo

STUDENT = torch.tensor([[0.7, 0.2, 0.1]]).log()
TEACHER = torch.tensor([[0.2, 0.5, 0.3]]).log()


def batch(student: Tensor, teacher: Tensor) -> TokenBatch:
    zero_N = torch.zeros(len(student))
    return TokenBatch(zero_N, zero_N, zero_N, zero_N.long(), logits_NV=student, teacher_logits_NV=teacher)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"divergence": "kl_forward"}, 0.5372),
        ({"divergence": "kl_reverse"}, 0.5838),
        ({"divergence": "jsd", "beta": 0.5}, 0.13292),
    ],
)
def test_worked_numbers(settings: dict[str, object], expected: float) -> None:
    part = Distillation.model_validate({"coefficient": 1.0, **settings})
    assert float(part(batch(STUDENT, TEACHER))) == pytest.approx(expected, abs=6e-5)


def test_the_temperature_divides_the_logits_of_both() -> None:
    warm = Distillation(coefficient=1.0, temperature=2.0)(batch(STUDENT, TEACHER))
    plain = Distillation(coefficient=1.0)(batch(STUDENT / 2, TEACHER / 2))
    torch.testing.assert_close(warm, plain)


def test_top_k_renormalises_over_what_the_teacher_finds_likeliest() -> None:
    kept = Distillation(coefficient=1.0, top_k=2)(batch(STUDENT, TEACHER))
    student, teacher = torch.tensor([2 / 3, 1 / 3]), torch.tensor([5 / 8, 3 / 8])
    assert float(kept) == pytest.approx(float((student * (student / teacher).log()).sum()), abs=1e-6)


def test_sdpo_keeps_the_rest_as_one_entry() -> None:
    kept = Sdpo(coefficient=1.0, alpha=0.0, top_k=1)(batch(STUDENT, TEACHER))
    expected = 0.2 * math.log(0.2 / 0.5) + 0.8 * math.log(0.8 / 0.5)
    assert float(kept) == pytest.approx(expected, abs=1e-6)


def test_sdpo_names_the_ends_the_other_way_round() -> None:
    tokens = batch(STUDENT, TEACHER)
    for alpha, divergence in ((0.0, "kl_reverse"), (1.0, "kl_forward"), (0.3, "jsd")):
        named = Distillation.model_validate({"coefficient": 1.0, "divergence": divergence, "beta": 0.3})
        torch.testing.assert_close(Sdpo(coefficient=1.0, alpha=alpha)(tokens), named(tokens))


def test_sdpo_as_released_swaps_the_arguments_of_the_halves() -> None:
    released = Sdpo(coefficient=1.0, alpha=0.5).as_published()(batch(STUDENT, TEACHER))
    student, teacher = STUDENT.exp(), TEACHER.exp()
    mixture = (student + teacher) / 2
    halves = (mixture * (mixture / student).log()).sum(), (mixture * (mixture / teacher).log()).sum()
    torch.testing.assert_close(released[0], (halves[0] + halves[1]) / 2)


def test_tokens_without_a_teacher_add_nothing_and_spoil_no_gradient() -> None:
    student = torch.randn(3, 5, requires_grad=True)
    teacher = torch.randn(3, 5)
    teacher[1] = math.nan
    loss_N = Distillation(coefficient=1.0)(batch(student, teacher))
    loss_N.sum().backward()
    assert loss_N[1] == 0.0
    assert student.grad is not None
    assert torch.isfinite(student.grad).all()
    assert not student.grad[1].any()
    assert student.grad[0].any()


def test_output_layers_padded_to_another_width_are_compared_on_what_both_have() -> None:
    student, teacher = torch.randn(2, 6), torch.randn(2, 8)
    wide = Distillation(coefficient=1.0)(batch(student, teacher))
    torch.testing.assert_close(wide, Distillation(coefficient=1.0)(batch(student, teacher[:, :6])))


@given(seed=st.integers(0, 99), divergence=st.sampled_from(["kl_reverse", "kl_forward", "jsd"]))
def test_divergences_are_positive_and_zero_only_between_equals(seed: int, divergence: str) -> None:
    generator = torch.Generator().manual_seed(seed)
    student, teacher = torch.randn(2, 4, 7, generator=generator)
    part = Distillation.model_validate({"coefficient": 1.0, "divergence": divergence, "beta": 0.2})
    assert (part(batch(student, teacher)) > 0).all()
    torch.testing.assert_close(part(batch(teacher, teacher)), torch.zeros(4), atol=1e-6, rtol=0)


def test_the_sampled_form_has_the_gradient_of_the_reverse_kl_in_expectation() -> None:
    logits = torch.tensor([0.3, -0.2, 0.9, 0.0], requires_grad=True)
    teacher = torch.tensor([0.1, 0.2, 0.3, 0.4]).log()
    exact = Distillation(coefficient=1.0)(batch(logits[None], teacher[None])).sum()
    (wanted,) = torch.autograd.grad(exact, logits)
    logp = logits.log_softmax(0)
    zero = torch.zeros(4)
    surrogate = SampledDistillation(coefficient=1.0)(
        TokenBatch(logp, zero, zero, zero.long(), teacher_logp_N=teacher)
    )
    (got,) = torch.autograd.grad((logp.detach().exp() * surrogate).sum(), logits)
    torch.testing.assert_close(got, wanted)


def test_the_released_sampled_form_moves_away_from_the_teacher() -> None:
    logp = torch.tensor([-1.0], requires_grad=True)
    tokens = TokenBatch(
        logp, logp.detach(), torch.zeros(1), torch.zeros(1).long(), teacher_logp_N=torch.tensor([-0.2])
    )
    part = SampledDistillation(coefficient=1.0)
    for form, direction in ((part, -1.0), (part.as_published(), 1.0)):
        (gradient,) = torch.autograd.grad(form(tokens).sum(), logp)
        assert float(gradient) == pytest.approx(direction * 0.8)
