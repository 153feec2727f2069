"""Exports hold what was recorded, in the form that the other tool reads."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from agentgym.core.strict_json import loads
from agentgym.core.tool import ToolCall
from agentgym.store.exports.atif import to_atif, write_atif
from agentgym.store.exports.atif_schema import AtifTrajectory
from agentgym.store.exports.inspect_log import write_inspect_log
from agentgym.store.exports.lines import write_lines
from agentgym.store.exports.parquet import write_parquet
from agentgym.store.values import load_value
from tests.store.exporting import HOSTILE, SOURCE, episodes

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PEERS = ROOT / ".venv-peers/bin/python"
READABLE = HOSTILE.replace("\ud800", "?")


def test_a_trajectory_has_the_whole_context_of_every_answer(tmp_path: Path) -> None:
    assert write_atif(episodes(), tmp_path / "new", SOURCE) == 3
    files = sorted((tmp_path / "new").iterdir())
    assert [file.name for file in files] == ["eval_0000_00.json", "eval_0000_01.json", "eval_0001_00.json"]
    found = AtifTrajectory.model_validate_json(files[1].read_text("utf-8"))
    assert [(step.source, step.message) for step in found.steps] == [
        ("system", "Play well."),
        ("user", "A room."),
        ("agent", "I go east."),
        ("agent", "I go east."),
    ]
    first, second = (step.metrics for step in found.steps[2:])
    assert first is not None
    assert second is not None
    assert (first.prompt_token_ids, first.completion_token_ids) == ([1, 2, 3], [4, 5])
    assert (second.prompt_token_ids, second.completion_token_ids) == ([1, 2, 3, 4, 5, 6], [7, 8])
    assert (second.logprobs, second.prompt_tokens, second.completion_tokens) == ([-0.25, -0.25], 6, 2)
    assert found.final_metrics is not None
    assert (found.final_metrics.total_prompt_tokens, found.final_metrics.total_steps) == (9, 4)
    seen = [step.observation.results[0].content for step in found.steps[2:] if step.observation]
    assert seen == ["A room.", "Solved."]
    assert (found.agent.name, found.agent.version, found.agent.model_name) == ("tester", "9.9", "some-model")
    extra: dict[str, Any] = found.extra or {}
    assert (extra["outcome"], extra["score"], extra["task"]["id"]) == ("success", 1.0, "task/1")
    assert (found.steps[2].extra or {})["reward"] == 0.5


def test_tools_thoughts_and_pictures_of_a_trajectory() -> None:
    _, odd, fault = episodes()
    step = to_atif(odd, SOURCE).steps[-1]
    assert step.tool_calls is not None
    assert [(call.tool_call_id, call.function_name, call.arguments) for call in step.tool_calls] == [
        ("call-0", "press", {"key": "a"})
    ]
    assert step.observation is not None
    assert step.observation.results[0].source_call_id == "call-0"
    assert step.observation.results[0].content == f"{READABLE}\n[image 3x2]"
    assert (step.message, step.llm_call_count) == (READABLE, 2)
    assert step.metrics is not None
    assert step.metrics.prompt_token_ids == [1, 2, 9, 10]
    assert (step.metrics.extra or {})["thoughts"][0]["completion_token_ids"] == [9]
    assert (step.extra or {})["loss_mask"] == [0]
    assert [step.source for step in to_atif(fault, SOURCE).steps] == ["user"]
    for episode in episodes():
        text = to_atif(episode, SOURCE).model_dump_json(exclude_none=True)
        assert AtifTrajectory.model_validate_json(text) == to_atif(episode, SOURCE)


def test_ids_that_look_alike_as_names_have_files_of_their_own(tmp_path: Path) -> None:
    first = next(iter(episodes()))
    ids = ["a/b", "a_b", "A/b", "x" * 300, "x" * 299 + "y"]
    assert write_atif((replace(first, id=name) for name in ids), tmp_path, SOURCE) == 5
    kept = [json.loads(file.read_text("utf-8"))["trajectory_id"] for file in tmp_path.iterdir()]
    assert sorted(kept) == sorted(f"run-1/{name}" for name in ids)


@pytest.mark.parametrize("write", [write_lines, write_inspect_log])
def test_what_is_no_number_is_null_wherever_it_stands(write: Any, tmp_path: Path) -> None:
    """A model may call a tool with NaN, which is no JSON: the exports are all the same."""
    _, odd, _ = episodes()
    call = ToolCall("press", {"key": float("nan"), "near": [float("inf")]})
    broken = replace(odd, turns=tuple(replace(turn, action=call, reward=float("nan")) for turn in odd.turns))
    settings: dict[str, Any] = (
        {"metrics": {}, "completed": SOURCE.created} if write is write_inspect_log else {}
    )
    path = tmp_path / "episodes.eval"
    assert write([broken], path, SOURCE, **settings) == 1
    texts = (
        [archive.read(name).decode() for name in archive.namelist()]
        if write is write_inspect_log and (archive := ZipFile(path))
        else path.read_text("utf-8").splitlines()
    )
    assert all(loads(text) is not None for text in texts)
    assert any('{"key": null, "near": [null]}' in text for text in texts)
    assert '"key":null' in to_atif(broken, SOURCE).model_dump_json()


VALID: dict[str, Any] = {
    "schema_version": "ATIF-v1.7",
    "agent": {"name": "a", "version": "1"},
    "steps": [{"step_id": 1, "source": "user", "message": "hi"}],
}


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"step_id": 3, "source": "agent", "message": ""}, "step ids count from 1"),
        ({"step_id": 2, "source": "agent", "message": "", "reward": 1}, "Extra inputs"),
        ({"step_id": 2, "source": "user", "message": "", "metrics": {}}, "belongs to steps of the agent"),
        ({"step_id": 2, "source": "agent", "message": "", "llm_call_count": 0, "metrics": {}}, "has neither"),
        (
            {
                "step_id": 2,
                "source": "agent",
                "message": "",
                "observation": {"results": [{"source_call_id": "x"}]},
            },
            "which the step did not make",
        ),
        ({"step_id": 2, "source": "agent", "message": "", "timestamp": "yesterday"}, "Invalid isoformat"),
    ],
)
def test_what_is_no_trajectory_is_refused(step: dict[str, Any], message: str) -> None:
    AtifTrajectory.model_validate(VALID)
    with pytest.raises(ValidationError, match=message):
        AtifTrajectory.model_validate({**VALID, "steps": [*VALID["steps"], step]})


def test_lines_hold_everything(tmp_path: Path) -> None:
    path = tmp_path / "episodes.jsonl"
    assert write_lines(episodes(), path, SOURCE) == 3
    plain, odd, fault = (json.loads(line) for line in path.read_text("utf-8").splitlines())
    assert (plain["run"], plain["seed"], plain["score"]) == ("run-1", 2**63 - 1, 1.0)
    assert plain["turns"][1]["prompt_ids"] == [6]
    assert plain["turns"][1]["messages"][1] == {"role": "assistant", "content": "I go east."}
    assert odd["turns"][0]["tool_call"] == {"name": "press", "arguments": {"key": "a"}, "id": ""}
    whole = load_value(base64.b64decode(odd["turns"][0]["observation_data"]))
    assert whole["text"] == HOSTILE
    assert np.array_equal(whole["image"], np.zeros((2, 3, 3), np.uint8))
    assert odd["turns"][0]["thoughts"][0]["completion_ids"] == [9]
    assert odd["origin"] == {"episode": "eval/0000/01", "turn": 1}
    assert (fault["score"], fault["turns"]) == (None, [])


def test_parquet_has_a_row_for_each_episode(tmp_path: Path) -> None:
    path = tmp_path / "episodes.parquet"
    assert write_parquet(episodes(), path, SOURCE) == 3
    pq: Any = import_module("pyarrow.parquet")
    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    assert [(row["id"], row["score"], len(row["turns"])) for row in rows] == [
        ("eval/0000/01", 1.0, 2),
        ("eval/0000/00", 0.5, 1),
        ("eval/0001/00", None, 0),
    ]
    assert (rows[0]["seed"], rows[0]["difficulty"], rows[0]["memory_version"]) == (2**63 - 1, "hard", "m")
    assert rows[0]["turns"][1]["completion_ids"] == [7, 8]
    assert rows[0]["turns"][1]["logprobs"] == [-0.25, -0.25]
    assert rows[1]["turns"][0]["observation"] == f"{READABLE}\n[image 3x2]"
    assert json.loads(rows[1]["turns"][0]["action"]) == {"name": "press", "arguments": {"key": "a"}}


def test_wandb_has_the_curves_without_a_network(tmp_path: Path) -> None:
    """The real package writes them, offline; what its file then holds is read by its own protocol."""
    given = {
        "history": {0: {"success": 0.25, "gap": float("nan")}, 1: {"success": 0.5}},
        "run": "tiny",
        "config": {"optimiser": {"lr": 0.1}},
        "summary": {"after/success": 0.75},
    }
    done = subprocess.run(
        [PEERS, HERE / "wandb_reader.py", ROOT / "agentgym/store/exports/wandb_log.py", tmp_path / "out"],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "https_proxy": "http://127.0.0.1:9"},
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [(row["_step"], row["success"], "gap" in row) for row in found["history"]] == [
        (0, 0.25, False),
        (1, 0.5, False),
    ]
    assert found["config"]["optimiser"] == {"lr": 0.1}
    assert found["summary"]["after/success"] == 0.75
    assert found["run"] == {"name": "tiny", "project": "agentgym"}
    assert found["folder"].startswith("offline-run-")


def test_inspect_reads_the_log_and_bundles_it(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    written = write_inspect_log(
        episodes(),
        logs / "run.eval",
        SOURCE,
        metrics={"accuracy": 0.5, "stderr": 0.1},
        completed="2030-01-01T01:00:00+00:00",
    )
    assert written == 3
    script = (
        "import json, sys\n"
        "from inspect_ai.log import read_eval_log, read_eval_log_sample, read_eval_log_sample_summaries\n"
        "log = read_eval_log(sys.argv[1])\n"
        "one = read_eval_log_sample(sys.argv[1], 'task/1', 1)\n"
        "summaries = read_eval_log_sample_summaries(sys.argv[1])\n"
        "metrics = {n: m.value for n, m in log.results.scores[0].metrics.items()}\n"
        "print(json.dumps([log.status, log.eval.task, log.eval.model, metrics, one.limit.type,\n"
        "  [[m.role, m.text] for m in one.messages], one.messages[1].tool_calls[0].function,\n"
        "  [[s.id, s.epoch, s.error, {n: v.value for n, v in (s.scores or {}).items()}] for s in summaries],\n"
        "  log.samples[0].model_usage['some-model'].total_tokens]))\n"
    )
    done = subprocess.run(
        [PEERS, "-c", script, logs / "run.eval"], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    status, task, model, metrics, limit, messages, tool, summaries, tokens = json.loads(done.stdout)
    assert (status, task, model, limit, tool) == (
        "success",
        "Test-v0-heldout",
        "some-model",
        "token",
        "press",
    )
    assert metrics == {"accuracy": 0.5, "stderr": 0.1}
    picture = f"{READABLE}\n[image 3x2]"
    assert messages == [["user", picture], ["assistant", READABLE], ["tool", picture]]
    assert summaries == [
        ["task/1", 2, None, {"success": 1.0}],
        ["task/1", 1, None, {"success": 0.0}],
        ["task/2", 1, f"env_error: EnvironmentFault: gone {READABLE}", {}],
    ]
    assert tokens == 8
    bundle = [
        PEERS.with_name("inspect"),
        "view",
        "bundle",
        "--log-dir",
        logs,
        "--output-dir",
        tmp_path / "page",
    ]
    done = subprocess.run(bundle, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "page" / "index.html").is_file()
    assert (tmp_path / "page" / "logs" / "run.eval").is_file()


@given(st.text(max_size=40))
def test_any_error_text_makes_a_valid_trajectory(text: str) -> None:
    *_, fault = episodes()
    found = to_atif(replace(fault, error=text, final_observation=text), SOURCE)
    assert AtifTrajectory.model_validate_json(found.model_dump_json()) == found
