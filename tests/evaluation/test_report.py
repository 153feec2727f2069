import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from agentgym.core.errors import UnknownNameError, UsageError
from agentgym.evaluation.rates import PassRates
from agentgym.evaluation.report import Evaluation
from agentgym.evaluation.statistics import rate_interval
from agentgym.evaluation.tables import evaluation_table
from agentgym.policies.spending import Prices

MakeEvaluation = Callable[..., Evaluation]


def shown(renderable: Any) -> str:
    console = Console(width=100)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def estimates(rates: PassRates) -> tuple[float, float, float]:
    return rates.pass_at_k.estimate, rates.pass_hat_k.estimate, rates.avg_at_k.estimate


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
    assert estimates(evaluation.pass_rates(1)) == pytest.approx((0.5, 0.5, 0.5))
    assert estimates(evaluation.pass_rates(2)) == pytest.approx(((5 / 6 + 0) / 2, (1 / 6 + 0) / 2, 0.25))
    assert estimates(evaluation.pass_rates(4)) == (0.5, 0, 0.25)
    assert evaluation.pass_rates(2).pass_at_k.tasks == 2
    of_all = evaluation.pass_rates(2, of_all=True)
    assert of_all.pass_at_k.tasks == 3
    assert estimates(of_all) == pytest.approx(((5 / 6 + 0 + 1 / 2) / 3, (1 / 6) / 3, 0.25))


def test_more_samples_than_there_are_cannot_be_asked_for(make_evaluation: MakeEvaluation) -> None:
    evaluation = make_evaluation(["SSFF", "FFFE"])
    with pytest.raises(UsageError, match=r"pass@5 .* the most here is 4; evaluate with --epochs 5"):
        evaluation.pass_rates(5)
    with pytest.raises(UsageError, match=r"pass@0"):
        evaluation.pass_rates(0)


@settings(max_examples=20)
@given(st.lists(st.text("SF", min_size=4, max_size=4), min_size=1, max_size=8), st.integers(1, 4))
def test_each_of_k_is_rarer_than_any_and_one_of_k_more_frequent(
    make_evaluation: MakeEvaluation, tasks: list[str], k: int
) -> None:
    evaluation = make_evaluation(tasks)
    one, each, average = estimates(evaluation.pass_rates(k))
    assert each <= average + 1e-12
    assert average <= one + 1e-12
    assert average == pytest.approx(evaluation.rate().estimate)
    figure = evaluation.pass_rates(k).pass_at_k
    assert 0 <= figure.low <= figure.estimate <= figure.high <= 1


def test_faults_count_as_unsolved_where_all_episodes_are_asked_for(make_evaluation: MakeEvaluation) -> None:
    evaluation = make_evaluation(["SE", "SI", "EE", "SF"])
    everything = evaluation.rate(of_all=True)
    assert (everything.estimate, everything.tasks, everything.episodes) == (3 / 8, 4, 8)
    assert evaluation.stops["error"] == {"env_error": 3, "inference_error": 1}
    assert evaluation.summary()["success_of_all"]["estimate"] == 3 / 8
    assert "faults as unsolved" in shown(evaluation_table(evaluation))


def test_difficulties_are_parts_too(make_evaluation: MakeEvaluation) -> None:
    plain = make_evaluation(["S", "F", "F"])
    results = [
        result.model_copy(update={"difficulty": name})
        for result, name in zip(plain.results, ("easy", "easy", "hard"), strict=True)
    ]
    evaluation = plain.model_copy(update={"results": tuple(results)})
    assert evaluation.difficulties == ["easy", "hard"]
    assert evaluation.rate(difficulty="easy").estimate == 0.5
    with pytest.raises(UnknownNameError, match=r"Unknown difficulty 'eazy'. Did you mean 'easy'"):
        evaluation.rate(difficulty="eazy")


def test_tokens_have_their_price(make_evaluation: MakeEvaluation) -> None:
    plain = make_evaluation(["S", "E"])
    results = [
        result.model_copy(update={"prompt_tokens": 1000, "completion_tokens": 10}) for result in plain.results
    ]
    priced = plain.model_copy(update={"results": tuple(results), "prices": Prices(3.0, 15.0)})
    assert plain.cost is None
    assert priced.cost == pytest.approx(2 * (1000 * 3 + 10 * 15) / 1e6)
    assert "cost: 0.0063, 0.00315 an episode" in shown(evaluation_table(priced))


def test_what_is_missing_is_said(make_evaluation: MakeEvaluation) -> None:
    evaluation = make_evaluation(["S", "F"], planned=5, retried=2)
    assert evaluation.missing == 3
    text = shown(evaluation_table(evaluation))
    assert "3 of 5 episodes were not played" in text
    assert "2 attempts failed by a fault of the infrastructure" in text


def test_unknown_parts_are_named(make_evaluation: MakeEvaluation) -> None:
    evaluation = make_evaluation(["S", "F"])
    assert evaluation.has_group("seen")
    assert not evaluation.has_group("sen")
    with pytest.raises(UnknownNameError, match=r"Did you mean 'seen'"):
        evaluation.rate(group="sen")
    with pytest.raises(UnknownNameError, match=r"Did you mean 'put'"):
        evaluation.rate(task_type="puts")


def test_without_a_scored_episode_there_is_no_rate(make_evaluation: MakeEvaluation) -> None:
    evaluation = make_evaluation(["E", "I"])
    with pytest.raises(UsageError, match=r"No episode has a score"):
        evaluation.rate()
    lost = {"env_error": 1, "inference_error": 1}
    assert evaluation.summary() == {
        "episodes": 2,
        "missing": 0,
        "solved": 0,
        "lost": lost,
        "retried": 0,
        "stops": {"error": lost},
    }
    assert "2 of 2 episodes have no score (env_error 1, inference_error 1)" in shown(
        evaluation_table(evaluation)
    ).replace("\n", " ")


@settings(max_examples=20)
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
    assert [(found["k"], found["pass_at_k"]["estimate"]) for found in summary["passes"]] == [
        (1, 0.5),
        (2, 1.0),
    ]


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
    with pytest.raises(UsageError, match=r"Cannot read"):
        Evaluation.load(tmp_path / "binary.json")


def test_the_table_says_what_there_is(make_evaluation: MakeEvaluation) -> None:
    text = shown(evaluation_table(make_evaluation(["SS", "SF", "FE", "FT"])))
    rows = {line.split("│")[1].strip(): line for line in text.splitlines() if "│" in line}
    assert rows.keys() >= {"all", "seen", "unseen", "find", "put", "completed", "max_turns", "k = 2"}
    assert "37.5%" in rows["all"]
    assert "invalid actions 20.0%" in text
    assert "pass@k" in text
    assert "1 of 8 episodes have no score (env_error 1)" in text
