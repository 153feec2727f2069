import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from agentgym.core.errors import UnknownNameError, UsageError
from agentgym.evaluation.report import Evaluation
from agentgym.evaluation.statistics import rate_interval
from agentgym.evaluation.tables import evaluation_table

MakeEvaluation = Callable[..., Evaluation]


def shown(renderable: Any) -> str:
    console = Console(width=100)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def test_rates_count_tasks_and_scored_episodes(make_evaluation: MakeEvaluation) -> None:
    evaluation = make_evaluation(["SS", "SF", "FT", "AA"])
    rate = evaluation.rate()
    assert (rate.estimate, rate.tasks, rate.episodes) == (3 / 8, 4, 8)
    assert (rate.low, rate.high) == rate_interval([1, 0.5, 0, 0], 8)
    assert rate.bootstrap.low < rate.estimate < rate.bootstrap.high
    assert evaluation.rate(group="seen").estimate == 0.5
    assert evaluation.rate(group="unseen").estimate == 0.25
    assert evaluation.rate(task_type="put").estimate == 0.75
    assert evaluation.rate(group="seen", task_type="find").estimate == 0
    assert evaluation.rate(group="seen", task_type="find").standard_error is None


def test_faults_of_the_infrastructure_are_no_zeros(make_evaluation: MakeEvaluation) -> None:
    evaluation = make_evaluation(["SE", "SI", "EE", "SF"])
    assert evaluation.rate().estimate == pytest.approx(2.5 / 3)
    assert (evaluation.rate().tasks, evaluation.rate().episodes) == (3, 4)
    assert evaluation.lost == {"env_error": 3, "inference_error": 1}
    assert evaluation.rate(group="seen").tasks == 1


def test_an_agents_own_error_counts_against_it(make_evaluation: MakeEvaluation) -> None:
    assert make_evaluation(["SA", "TA"]).rate().estimate == 0.25


def test_the_other_figures_are_those_of_the_scored_episodes(make_evaluation: MakeEvaluation) -> None:
    evaluation = make_evaluation(["ST", "FE"])
    assert evaluation.stop_reasons == {"completed": 2, "max_turns": 1}
    assert evaluation.invalid_action_rate == 0.2
    assert (evaluation.mean_turns, evaluation.mean_sampled_tokens) == (10, 50)


def test_pass_rates_leave_out_tasks_with_too_few_samples(make_evaluation: MakeEvaluation) -> None:
    evaluation = make_evaluation(["SSFF", "FFFF", "SEEE"])
    assert evaluation.pass_ks == [1, 2, 4]
    assert evaluation.pass_rates(1) == pytest.approx((0.5, 0.5))
    assert evaluation.pass_rates(2) == pytest.approx(((5 / 6 + 0) / 2, (1 / 6 + 0) / 2))
    assert evaluation.pass_rates(4) == (0.5, 0)
    for k in (0, 5):
        with pytest.raises(UsageError, match=f"evaluate with samples={k}"):
            evaluation.pass_rates(k)


def test_unknown_parts_are_named(make_evaluation: MakeEvaluation) -> None:
    evaluation = make_evaluation(["S", "F"])
    assert evaluation.has_group("seen")
    assert not evaluation.has_group("sen")
    with pytest.raises(UnknownNameError, match="Did you mean 'seen'"):
        evaluation.rate(group="sen")
    with pytest.raises(UnknownNameError, match="Did you mean 'put'"):
        evaluation.rate(task_type="puts")


def test_without_a_scored_episode_there_is_no_rate(make_evaluation: MakeEvaluation) -> None:
    evaluation = make_evaluation(["E", "I"])
    with pytest.raises(UsageError, match="No episode has a score"):
        evaluation.rate()
    assert evaluation.summary() == {"episodes": 2, "lost": {"env_error": 1, "inference_error": 1}}
    assert "2 of 2 episodes have no score (env_error 1, inference_error 1)" in shown(
        evaluation_table(evaluation)
    ).replace("\n", " ")


@given(st.lists(st.text("SFTAEI", min_size=1, max_size=3), max_size=6), st.text())
def test_json_brings_everything_back(make_evaluation: MakeEvaluation, tasks: list[str], agent: str) -> None:
    evaluation = make_evaluation(
        tasks, agent=agent, options={"difficulty": "easy", "types": ["a", None, 1.5]}
    )
    again = Evaluation.from_json(evaluation.to_json())
    assert again == evaluation
    assert again.to_json() == evaluation.to_json()


def test_the_file_holds_the_summary_for_other_tools(make_evaluation: MakeEvaluation, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "before.json"
    evaluation = make_evaluation(["SS", "SF", "FE"])
    evaluation.save(path)
    evaluation.save(path)
    assert Evaluation.load(path) == evaluation
    assert [file.name for file in path.parent.iterdir()] == ["before.json"]
    summary = json.loads(path.read_text())["summary"]
    assert summary["success"]["estimate"] == 0.5
    assert summary["groups"].keys() == {"seen", "unseen"}
    assert summary["task_types"]["put"]["tasks"] == 2
    assert summary["lost"] == {"env_error": 1}
    assert summary["pass_at_k"] == {"1": pytest.approx(0.5), "2": 1.0}


DAMAGES: list[tuple[Callable[[str], str], str]] = [
    (lambda text: text[: len(text) // 2], "is damaged"),
    (lambda text: "", "is damaged"),
    (lambda text: "[1, 2]", "no evaluation of format"),
    (lambda text: '{"loss": 1}', "no evaluation of format"),
    (lambda text: text.replace("evaluation-1", "evaluation-9"), "agentgym-evaluation-9"),
    (lambda text: text.replace('"outcome": "success"', '"outcome": "succes"'), "is damaged"),
    (lambda text: text.replace('"evaluation":', '"other":'), "is damaged"),
]


@pytest.mark.parametrize(("damage", "message"), DAMAGES)
def test_files_that_are_no_evaluation_are_refused(
    make_evaluation: MakeEvaluation, tmp_path: Path, damage: Callable[[str], str], message: str
) -> None:
    path = tmp_path / "after.json"
    path.write_text(damage(make_evaluation(["S"]).to_json()))
    with pytest.raises(UsageError, match=rf"after\.json.*{message}"):
        Evaluation.load(path)


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"Cannot read an evaluation from .*gone\.json"):
        Evaluation.load(tmp_path / "gone.json")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(UsageError, match="Cannot read"):
        Evaluation.load(tmp_path / "binary.json")


def test_the_table_says_what_there_is(make_evaluation: MakeEvaluation) -> None:
    text = shown(evaluation_table(make_evaluation(["SS", "SF", "FE", "FT"])))
    rows = {line.split("│")[1].strip(): line for line in text.splitlines() if "│" in line}
    assert rows.keys() == {"all", "seen", "unseen", "find", "put"}
    assert "37.5%" in rows["all"]
    assert "invalid actions 20.0%" in text
    assert "pass@2" in text
    assert "1 of 8 episodes have no score (env_error 1)" in text
