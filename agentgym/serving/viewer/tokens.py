"""Sampled tokens as text, each with how likely it was."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from agentgym.core.trace import Thought, Turn
from agentgym.serving.viewer.credit import Marks
from agentgym.serving.viewer.plain import visible
from agentgym.serving.viewer.tones import ratio_tone, surprise, tone

_MOST = 4_000
"""Tokens of one completion that are coloured."""


class Token(NamedTuple):
    """A token as it is shown."""

    text: str
    tones: str
    """Classes of its colours: by probability, advantage and ratio."""
    about: str
    """Its number, log-probability and probability, and what training used of it."""


@dataclass(frozen=True, slots=True)
class Completion:
    """A completion as it is shown."""

    tokens: Sequence[Token]
    left: int
    """Tokens that are not shown."""
    decoded: bool
    """Whether the texts are the tokenizer's; else the run has none, and ids stand for them."""


class Decoder:
    """The tokenizer of a run, where it is kept with the run."""

    def __init__(self, folder: Path) -> None:
        self._tokenizer = _tokenizer(_file(folder))

    def completion(self, part: Thought | Turn, marks: Marks | None, turn_tone: str) -> Completion:
        """Return a turn's completion, or that of a thought; without marks its tokens have the colour of the turn."""
        ids = [int(one) for one in part.completion_ids[:_MOST]]
        texts = self._texts(ids)
        used = _Used(marks, turn_tone)
        tokens = [
            _token(text, number, float(logp), used.of_next() if mask else None)
            for text, number, logp, mask in zip(texts, ids, part.logprobs, part.loss_mask, strict=False)
        ]
        return Completion(tokens, len(part.completion_ids) - len(tokens), self._tokenizer is not None)

    def _texts(self, ids: Sequence[int]) -> list[str]:
        if self._tokenizer is None:
            return [f"⟨{one}⟩" for one in ids]
        from tokenizers.decoders import DecodeStream

        stream = DecodeStream(skip_special_tokens=False)
        # A character that is spread over tokens stands with the last of them.
        return [stream.step(self._tokenizer, one) or "" for one in ids]


class _Used:
    """What training used of a completion's trained tokens, one after another: their colours, and words."""

    def __init__(self, marks: Marks | None, turn_tone: str) -> None:
        self._turn_tone = turn_tone
        self._columns = None if marks is None else zip(*(column.tolist() for column in marks), strict=True)

    def of_next(self) -> tuple[str, str]:
        if self._columns is None:
            return self._turn_tone, ""
        advantage, ratio, clipped = next(self._columns)
        tones = f"{tone(advantage)} {ratio_tone(ratio)}{' clipped' if clipped else ''}"
        moved = f", ratio {ratio:.4f}" if math.isfinite(ratio) else ", not computed"
        return tones, f", advantage {advantage:+.4f}{moved}{', clipped' if clipped else ''}"


def _token(text: str, number: int, logp: float, used: tuple[str, str] | None) -> Token:
    known = math.isfinite(logp)
    chance = math.exp(min(logp, 0.0)) if known else 0.0
    about = f"token {number}, log-probability {logp:.3f} ({chance:.1%})" if known else f"token {number}"
    tones, told = used or ("given", ", not trained on")
    return Token(visible(text), f"{surprise(chance)} {tones}", about + told)


def _file(folder: Path) -> Path | None:
    places = [folder / "warm_start" / "tokenizer.json", *sorted(folder.glob("checkpoints/*/tokenizer.json"))]
    return next((path for path in places if path.is_file()), None)


_lock = threading.Lock()


@lru_cache(maxsize=8)
def _load(path: Path, changed: float) -> Any:
    del changed  # a key of the cache
    try:
        from tokenizers import Tokenizer
    except ImportError:
        return None
    try:
        return Tokenizer.from_file(str(path))
    except Exception:  # noqa: BLE001 - the library raises nothing narrower for a file that it cannot read
        return None


def _tokenizer(path: Path | None) -> Any:
    if path is None:
        return None
    with _lock:
        return _load(path, path.stat().st_mtime)
