"""Distillation: pulling the policy's distribution at each token towards a teacher's.

Legend: N tokens, V vocabulary (that both models have), K kept entries. Rows of `teacher_logits_NV` that are
not finite are tokens the teacher says nothing about; they add nothing.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from agentgym.training.losses.batch import TokenBatch
from agentgym.training.losses.regularisers import Regulariser

Divergence = Literal["kl_reverse", "kl_forward", "jsd"]


class _Pair(NamedTuple):
    """Log-distributions of student and teacher over the same entries."""

    student: Tensor
    teacher: Tensor


class _FullDistillation(Regulariser):
    """Base of the forms that compare whole distributions."""

    temperature: float = Field(default=1.0, gt=0)
    """Divides the logits of both."""
    top_k: int = Field(default=0, ge=0)
    """Compare the teacher's K likeliest tokens only; 0: the whole vocabulary."""
    needs = frozenset({"distributions", "teacher_distributions"})

    def __call__(self, batch: TokenBatch) -> Tensor:
        """Return the divergence at each token in nats, shape (N,)."""
        student_NV, teacher_NV = batch.need("logits_NV"), batch.need("teacher_logits_NV")
        # Models of a family share a tokenizer but pad their output layers to different widths.
        width = min(student_NV.shape[-1], teacher_NV.shape[-1])
        known_N = torch.isfinite(teacher_NV).all(-1).nonzero()[:, 0]
        pair = _Pair(
            student_NV[known_N, :width] / self.temperature, teacher_NV[known_N, :width] / self.temperature
        )
        zero_N = torch.zeros(len(student_NV), device=student_NV.device)
        return zero_N.index_add(0, known_N, self._divergence(self._kept(pair)))

    def _kept(self, logits: _Pair) -> _Pair:
        """Return the log-distributions over the entries that are compared."""
        if self.top_k and self.top_k < logits.teacher.shape[-1]:
            places_NK = logits.teacher.topk(self.top_k, dim=-1).indices
            logits = _Pair(*(side.gather(-1, places_NK) for side in logits))
        return _Pair(*(side.log_softmax(-1) for side in logits))

    @abstractmethod
    def _divergence(self, pair: _Pair) -> Tensor:
        """Return the divergence at each token from the log-distributions compared, shape (N,)."""


class Distillation(_FullDistillation, name="distillation"):
    """A divergence between student S and teacher T over the vocabulary.

    `kl_reverse` is KL(S || T), which on-policy distillation minimises and which seeks one of the teacher's
    modes; `kl_forward` is KL(T || S), which covers all of them; `jsd` is the generalised Jensen-Shannon
    divergence (GKD, arXiv 2306.13649; OPSD): with the mixture M = (1 - beta) S + beta T,
    beta KL(T || M) + (1 - beta) KL(S || M). With `top_k` both distributions are renormalised over the entries
    kept.
    """

    divergence: Divergence = "kl_reverse"
    beta: float = Field(default=0.5, gt=0, lt=1)
    """The teacher's share of the mixture, for `jsd`. OPSD writes 0 for `kl_forward` and 1 for `kl_reverse`."""

    def _divergence(self, pair: _Pair) -> Tensor:
        if self.divergence == "kl_reverse":
            return _kl(pair.student, pair.teacher)
        if self.divergence == "kl_forward":
            return _kl(pair.teacher, pair.student)
        mixture = _mixture(pair, self.beta)
        return self.beta * _kl(pair.teacher, mixture) + (1 - self.beta) * _kl(pair.student, mixture)


class Sdpo(_FullDistillation, name="sdpo"):
    """SDPO's divergence between the policy and itself in hindsight, in its own naming: `alpha` 0 is
    KL(S || T), 1 is KL(T || S), and between them the two halves of a Jensen-Shannon divergence with
    M = (1 - alpha) S + alpha T.

    With `top_k` what is left of both distributions is one more entry, so that nothing is renormalised.
    """

    alpha: float = Field(default=0.5, ge=0, le=1)
    mixture_first: bool = False
    """True, as released: KL(M || S) and KL(M || T), the arguments of the textbook's halves swapped; no longer
    bounded by log 2."""
    published: ClassVar[Mapping[str, Any]] = {"mixture_first": True}

    def _kept(self, logits: _Pair) -> _Pair:
        full = _Pair(*(side.log_softmax(-1) for side in logits))
        if not self.top_k or self.top_k >= full.teacher.shape[-1]:
            return full
        places_NK = full.teacher.topk(self.top_k, dim=-1).indices
        return _Pair(*(_with_rest(side, places_NK) for side in full))

    def _divergence(self, pair: _Pair) -> Tensor:
        if self.alpha == 0:
            return _kl(pair.student, pair.teacher)
        if self.alpha == 1:
            return _kl(pair.teacher, pair.student)
        mixture = _mixture(pair, self.alpha)
        if self.mixture_first:
            student, teacher = _kl(mixture, pair.student), _kl(mixture, pair.teacher)
        else:
            student, teacher = _kl(pair.student, mixture), _kl(pair.teacher, mixture)
        return (1 - self.alpha) * student + self.alpha * teacher


class SampledDistillation(Regulariser, name="distillation_sampled"):
    """The reverse KL's gradient from the sampled tokens alone: sg(log S - log T) log S.

    An unbiased estimate of the gradient of KL(S || T) where the tokens were sampled from the student. Only
    its gradient means something, not its value.
    """

    away: bool = False
    """True, as SDPO's code was released: the sign is wrong, and descending moves away from the teacher."""
    needs = frozenset({"teacher"})
    published: ClassVar[Mapping[str, Any]] = {"away": True}

    def __call__(self, batch: TokenBatch) -> Tensor:
        """Return the surrogate of each token, 0 where the teacher says nothing, shape (N,)."""
        distance_N = batch.logp_N.detach() - batch.need("teacher_logp_N")
        distance_N = torch.where(torch.isfinite(distance_N), distance_N, 0.0)
        return (-distance_N if self.away else distance_N) * batch.logp_N


def _kl(left: Tensor, right: Tensor) -> Tensor:
    """Return KL(left || right) of log-distributions, over the last dimension."""
    return (left.exp() * (left - right)).sum(-1)


def _mixture(pair: _Pair, share: float) -> Tensor:
    """Return the log of (1 - share) S + share T."""
    return torch.logaddexp(pair.student + math.log1p(-share), pair.teacher + math.log(share))


def _with_rest(logp_NV: Tensor, places_NK: Tensor) -> Tensor:
    """Return the log-probabilities at `places_NK`, and that of all others together, shape (N, K + 1)."""
    logp_NK = logp_NV.gather(-1, places_NK)
    others_NV = logp_NV.scatter(-1, places_NK, -torch.inf)
    return torch.cat([logp_NK, others_NV.logsumexp(-1, keepdim=True)], -1)
