"""The boundary to the package `bfcl-eval`: its tasks, its simulated APIs, its checks.

The package is used where it is installed and imported only when it is needed. Its executor, which evaluates what
models write as Python and keeps its worlds in module globals, is not used.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from agentgym.core.errors import UsageError

CATEGORIES = ("base", "miss_func", "miss_param", "long_context")
"""The four multi-turn categories of version 4, 200 problems each."""

_INSTALL = "install it with `pip install --no-deps bfcl-eval mpmath` (the rest of what it asks for is not needed here)"


def entries(category: str) -> list[dict[str, Any]]:
    """Return the problems of a category, each with its `ground_truth`: the right calls of every turn, as text.

    Raises `UsageError` where the package is not installed, or is one without these data.
    """
    name = f"BFCL_v4_multi_turn_{category}.json"
    answers = {
        answer["id"]: answer["ground_truth"] for answer in _read_lines(_data() / "possible_answer" / name)
    }
    return [{**entry, "ground_truth": answers[entry["id"]]} for entry in _read_lines(_data() / name)]


@cache
def tool_docs(api: str) -> Sequence[Mapping[str, Any]]:
    """Return the documentation of the functions of an API."""
    mapping: Mapping[str, str] = _load("constants.executable_backend_config").MULTI_TURN_FUNC_DOC_FILE_MAPPING
    return tuple(_read_lines(_data() / "multi_turn_func_doc" / mapping[api]))


def new_api(api: str, config: Mapping[str, Any], long_context: bool) -> Any:
    """Return a new instance of an API in the state that `config` says. What it holds is changed: give a copy."""
    settings = _load("constants.executable_backend_config")
    module = str(settings.CLASS_FILE_PATH_MAPPING[api]).partition(".")[2]
    instance = getattr(_load(module), api)()
    if api not in settings.STATELESS_CLASSES:
        instance._load_scenario(config, long_context=long_context)
    return instance


def compare_states(apis: Mapping[str, Any], reference: Mapping[str, Any]) -> dict[str, Any]:
    """Run the official check of states: `valid`, and where it is false `error_type` and `error_message`."""
    return _load(_CHECKER).state_checker(apis, reference)


def compare_responses(responses: Sequence[str], reference: Sequence[str], turn: int) -> dict[str, Any]:
    """Run the official check that what the right calls of a turn return has been returned, in any order."""
    return _load(_CHECKER).response_checker(list(responses), list(reference), turn)


def reveal_text() -> str:
    """Return what the user says when functions are added that were missing."""
    return _load("constants.default_prompts").DEFAULT_USER_PROMPT_FOR_ADDITIONAL_FUNCTION_FC


def require_everything() -> None:
    """Raise `UsageError` where the package, or what its APIs calculate with, is not installed."""
    _load("eval_checker.multi_turn_eval.func_source_code.math_api")


_CHECKER = "eval_checker.multi_turn_eval.multi_turn_checker"


@cache
def _load(module: str) -> Any:
    _root()
    try:
        return import_module(f"bfcl_eval.{module}")
    except ModuleNotFoundError as error:
        raise UsageError(f"bfcl_eval.{module} lacks {error.name!r}: {_INSTALL}.") from None


@cache
def _root() -> Path:
    spec = find_spec("bfcl_eval")
    if spec is None or not spec.submodule_search_locations:
        raise UsageError(f"The package bfcl-eval, which holds BFCL's tasks and APIs, is missing: {_INSTALL}.")
    return Path(spec.submodule_search_locations[0])


def _data() -> Path:
    return _root() / "data"


def _read_lines(path: Path) -> list[dict[str, Any]]:
    try:
        with path.open(encoding="utf-8") as file:
            return [json.loads(line) for line in file if line.strip()]
    except FileNotFoundError:
        raise UsageError(
            f"{path} is missing: the installed bfcl-eval is not one with BFCL's version 4; {_INSTALL}."
        ) from None
