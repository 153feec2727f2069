"""Answers by vLLM in this process, compiled for the processor as it does by default, with log-probabilities."""

from __future__ import annotations

import os
from collections.abc import Callable
from copy import deepcopy
from importlib import import_module
from tempfile import TemporaryDirectory
from typing import Any

import torch
from transformers import PreTrainedModel

CACHE_BYTES = 2 << 30


def open_vllm(model: PreTrainedModel, dtype: torch.dtype) -> Any:
    """Return vLLM's `LLM` of the model's shape; its weights do not matter to its speed."""
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    os.environ["VLLM_CPU_OMP_THREADS_BIND"] = "nobind"
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    with TemporaryDirectory() as folder:
        described: Any = deepcopy(model.config)
        described.architectures = [type(model).__name__]
        described.save_pretrained(folder)
        return import_module("vllm").LLM(
            folder,
            skip_tokenizer_init=True,
            load_format="dummy",
            dtype=str(dtype).removeprefix("torch."),
            enable_prefix_caching=True,
            max_model_len=2048,
            kv_cache_memory_bytes=CACHE_BYTES,
            generation_config="vllm",
            logprobs_mode="processed_logprobs",
            disable_log_stats=True,
        )


def vllm_answers(llm: Any, prompts: list[list[int]], tokens: int) -> Callable[[], None]:
    """Return what answers the prompts once, from an empty cache."""
    params = import_module("vllm").SamplingParams(
        temperature=1.0, max_tokens=tokens, ignore_eos=True, logprobs=0, detokenize=False
    )
    asked = [{"prompt_token_ids": prompt} for prompt in prompts]

    def answer() -> None:
        llm.reset_prefix_cache()
        answers = llm.generate(asked, params, use_tqdm=False)
        assert all(len(each.outputs[0].token_ids) == tokens for each in answers)

    return answer
