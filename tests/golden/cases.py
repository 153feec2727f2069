"""Golden cases: inputs and the outputs that other implementations gave for them, read from a folder of JSON files.

A file is `{"meta": {...}, "cases": [{"name", "kind"?, "input", "expected"}]}`. A case whose kind is not written
down is recognised by its name or by what its input holds; one that is not recognised has the kind "" and fails.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

VECTORS = Path(__file__).parent / "vectors"

SPELLED = {"Infinity": math.inf, "-Infinity": -math.inf, "NaN": math.nan}

GENERIC = {"loss", "advantage", ""}
"""Kinds that say too little: the name or the input says more."""

BY_INPUT = {
    "similarity": {"anchor", "similarity_thresh"},
    "gigpo": {"anchor", "step_env_reward", "step_advantage_w"},
    "hgpo": {"anchor", "step_reward", "length_weight_alpha"},
    "group_baselines": {"group", "token_level_rewards", "response_mask"},
    "ratio_chain_worked": {"base_adv", "raw_seq_ratios"},
    "ppo_quadrants": {"ratio", "advantage", "clip_c"},
    "aggregations": {"loss", "mask"},
}
BY_NAME = {
    r"adv\b": "baselines",
    r"vanilla\|": "ppo",
    r"gspo\b|gspo_": "gspo",
    r"cispo\|": "cispo",
    r"clip_cov\(": "clip_cov",
    r"kl_cov\(": "kl_cov",
    r"kl_penalty\|": "kl_estimate",
    r"decoupled_ppo_TIS\|": "truncated_importance",
    r"dapo_overlong\b": "overlong",
    r"REC\b": "rec",
    r"OPMD\b": "opmd",
    r"TOPR\b": "topr",
    r"CISPO\b": "cispo_trinity",
    r"IS\b": "importance_sampling",
}


class Inputs(Mapping[str, Any]):
    """What a case is given; remembers what was looked at, so that no setting is passed over in silence."""

    def __init__(
        self, values: Mapping[str, Any], name: str = "", expected: Mapping[str, Any] | None = None
    ) -> None:
        self.name = name
        """Of the case: some say there what their input leaves out."""
        self.expected = expected or {}
        """What the case expects: only for what is told nowhere else, as the names of what is wanted and what the
        other implementation drew at random."""
        self._values = values
        self._seen: set[str] = set()

    def __getitem__(self, key: str) -> Any:
        self._seen.add(key)
        return self._values[key]

    def __contains__(self, key: object) -> bool:
        return key in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    @property
    def unseen(self) -> set[str]:
        """The keys that nobody looked at."""
        return set(self._values) - self._seen


@dataclass(frozen=True)
class Case:
    file: str
    name: str
    kind: str
    given: Inputs
    expected: Mapping[str, Any]
    rtol: float
    atol: float
    noisy: bool
    """The file says that some of the numbers are float32 noise of constant groups."""
    exact: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What exact arithmetic gives instead, where the file tells."""
    broken: str = ""
    """What is wrong with the file, if it could not be read as cases."""


def load(folder: Path) -> list[Case]:
    """Return the cases of every JSON file of a folder; a file that cannot be read gives one broken case."""
    return [case for path in sorted(folder.glob("*.json")) for case in _read(path)]


def _read(path: Path) -> Iterator[Case]:
    try:
        content = _numbers(json.loads(path.read_text("utf-8")))
        meta, tolerance, cases = content["meta"], content["meta"]["tolerance"], content["cases"]
        rtol, atol = float(tolerance["rtol"]), float(tolerance["atol"])
        found = [_case(path.name, case, str(meta.get("notes", "")), rtol, atol) for case in cases]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        found = [Case(path.name, "(file)", "", Inputs({}), {}, 0, 0, False, broken=f"{error!r}")]
    yield from found


def _case(file: str, case: Mapping[str, Any], notes: str, rtol: float, atol: float) -> Case:
    name, given, expected = str(case["name"]), dict(case["input"]), dict(case["expected"])
    exact: Any = case.get("expected_exact_arithmetic", expected.pop("expected_exact_arithmetic", {}))
    if not isinstance(exact, dict):
        # One list stands for the case's main output.
        exact = {key: exact for key in expected if key in ("advantages_scalar", "adv_scalar")}
    _, _, noise_note = notes.partition("NOTE fp noise:")
    noisy = bool(case.get("fp_noise")) or bool(
        re.search(rf"(?<![\w.]){re.escape(name)}(?![\w.])", noise_note)
    )
    kind = _kind(str(case.get("kind") or ""), name, set(given))
    return Case(
        file, name, kind, Inputs(given, name, expected), expected, rtol, atol, noisy, cast("Any", exact)
    )


def _kind(written: str, name: str, keys: set[str]) -> str:
    if written not in GENERIC:
        return written
    by_input = (kind for kind, needed in BY_INPUT.items() if needed <= keys)
    by_name = (kind for pattern, kind in BY_NAME.items() if re.match(pattern, name))
    return next(by_input, None) or next(by_name, written)


def _numbers(value: Any) -> Any:
    """Return JSON data with the infinities and NaNs, which it spells as strings, as floats."""
    if isinstance(value, dict):
        return {key: _numbers(item) for key, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_numbers(item) for item in cast("list[Any]", value)]
    return SPELLED.get(value, value) if isinstance(value, str) else value
