"""Recordings: finding the run that a recipe learns from, and the settings it was made with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

from agentgym.core.errors import ConfigError
from agentgym.store.store import Store
from agentgym.training.data import Recorded


class Recording(NamedTuple):
    """A run in a store."""

    store: Path
    run: str
    model: Path
    """The model it began with; may be missing."""


def find_recording(data: Recorded) -> Recording:
    """Find the run that `data` names; raises `ConfigError` saying what to set."""
    if not data.path:
        raise ConfigError(
            "This recipe learns from recorded episodes: say which with data.path, the directory of a run "
            "(--set data.path=runs/NAME), or let it play with --set data=rollouts."
        )
    path = Path(data.path)
    store = path / "store.sqlite" if path.is_dir() else path
    if not store.is_file():
        raise ConfigError(f"data.path is {data.path!r}, but there is no recording at {store}.")
    with Store(store, create=False) as opened:
        runs = [row.id for row in opened.runs()]
        if not data.run and len(runs) != 1:
            raise ConfigError(
                f"{store} holds the runs {', '.join(runs) or 'none'}; choose one with data.run."
            )
        run = opened.run(data.run or runs[0]).id
    return Recording(store, run, store.parent / "warm_start")


def with_recorded_settings(table: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a recipe's table with the environment, the agent, the sampling settings and the model of the
    recording that it learns from; None where it does not ask for that.

    `table` is the recipe as it was read. Raises `ConfigError` where its recording cannot be found.
    """
    given: Any = table.get("data")
    if not isinstance(given, dict):
        return None
    settings = dict(cast("dict[str, Any]", given))
    if settings.pop("name", "") != Recorded.part_name:
        return None
    if not settings.get("path") or settings.get("as_recorded") is False:
        return None
    recording = find_recording(Recorded.model_validate(settings))
    with Store(recording.store, create=False) as store:
        config = json.loads(store.run(recording.run).config_json)
    sampling = {key: config["rollout"][key] for key in ("temperature", "top_p", "max_tokens")}
    changed: dict[str, Any] = {
        "data": {**given, "run": recording.run, "as_recorded": False},
        "environment": config["environment"],
        "agent": {key: value for key, value in config["agent"].items() if value is not None},
        "rollout": {**table.get("rollout", {}), **sampling},
    }
    if recording.model.is_dir():
        changed["model"] = {
            "path": str(recording.model),
            **{key: config["model"][key] for key in ("device", "dtype")},
        }
    return {**table, **changed}
