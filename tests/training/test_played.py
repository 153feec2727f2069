"""What runs play: batches filled by rounds, weighted tasks, helped groups, branches; all of it exact on resume."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from agentgym.core.trace import Episode
from agentgym.store.store import Store
from agentgym.training.progress import Silent
from agentgym.training.run import Run
from agentgym.training.trainer import Trainer
from tests.training.luck import luck_model, luck_recipe


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return luck_model(tmp_path_factory.mktemp("models") / "student")


class StopsAfter(Silent):
    """Interrupts a run when an iteration is done, before the next begins."""

    def __init__(self, iteration: int) -> None:
        self._last = iteration

    def iteration(self, iteration: int, metrics: Mapping[str, float], timing: Mapping[str, float]) -> None:
        if iteration == self._last:
            raise KeyboardInterrupt


def train(folder: Path, model: Path, *more: str, recipe: str = "grpo", stop_after: int | None = None) -> Run:
    run = Run.create(luck_recipe(model, *more, recipe=recipe), folder, "run")
    if stop_after is not None:
        with pytest.raises(KeyboardInterrupt):
            Trainer(run, StopsAfter(stop_after)).train()
        run = Run.open(run.path)
    Trainer(run).train()
    return run


def episodes(run: Run, **where: object) -> list[Episode]:
    with Store(run.store) as store:
        return list(store.episodes(run.name, **where))  # type: ignore[arg-type]


def plays(run: Run) -> list[tuple[str, str, str, float | None, list[str]]]:
    found = [
        (e.id, e.task.id, e.outcome.value, e.score, [str(turn.action) for turn in e.turns])
        for e in episodes(run)
    ]
    return sorted(found)


ALGORITHMS = {
    "dynamic": ["sampling={name = 'dynamic', rounds = 4}"],
    "prioritised": ["sampling=prioritised"],
    "tracked": ["sampling=prioritised", "advantage=tracker", "rollout.group_size=1"],
    "expert": ["guidance={name = 'expert', expert = ''}", "rollout.tasks=12", "rollout.group_size=2"],
    "branching": ["branching=random_turn", "curriculum={name = 'f2b', every = 1}"],
    "entropy": ["branching={name = 'entropy', base = 0.4}", "rollout.group_size=6"],
}


@pytest.mark.parametrize("name", ALGORITHMS)
def test_an_interrupted_run_goes_on_as_if_it_had_not_been(name: str, model: Path, tmp_path: Path) -> None:
    settings = ALGORITHMS[name]
    whole = train(tmp_path / "whole", model, *settings)
    # Saved after two iterations, stopped after three: what the third remembered must be forgotten.
    resumed = train(tmp_path / "resumed", model, *settings, stop_after=2)
    assert any(line["grad_norm"] > 0 for line in whole.lines())
    assert resumed.lines() == whole.lines()
    assert plays(resumed) == plays(whole)


def test_dynamic_sampling_fills_the_batch_with_groups_that_differ(model: Path, tmp_path: Path) -> None:
    run = train(tmp_path, model, *ALGORITHMS["dynamic"], "iterations=3")
    drawn: list[str] = []
    for line in run.lines():
        played = episodes(run, iteration=int(line["iteration"]))
        groups: dict[str, list[Episode]] = {}
        for episode in sorted(played, key=lambda episode: episode.id):
            groups.setdefault(episode.group_id, []).append(episode)
        differing = sum(len({e.success for e in group}) == 2 for group in groups.values())
        assert line["groups_played"] == len(groups)
        assert line["groups_kept"] == differing
        assert line["groups_played"] % 3 == 0
        assert line["no_signal_share"] == 0
        assert line["success"] == pytest.approx(np.mean([e.success for e in played]))
        rounds = line["groups_played"] / 3
        assert differing >= 3 or rounds == 4
        drawn += [group[0].task.id for group in groups.values()]
    passes = [drawn[start : start + 12] for start in range(0, len(drawn) - 11, 12)]
    assert passes
    assert all(len(set(tasks)) == 12 for tasks in passes), "every task once before any comes again"


def test_dynamic_sampling_gives_up_after_its_rounds(model: Path, tmp_path: Path) -> None:
    run = train(
        tmp_path,
        model,
        "sampling={name = 'dynamic', rounds = 2}",
        "rollout.max_tokens=1",
        "iterations=1",
        "curriculum={name = 'f2b', every = 9}",
    )
    (line,) = run.lines()  # one turn is too few to succeed
    assert (line["groups_played"], line["groups_kept"], line["success"]) == (6, 0, 0)
    assert line["advantage_abs"] == 0


def test_help_comes_only_where_all_members_fail(model: Path, tmp_path: Path) -> None:
    run = train(tmp_path, model, "guidance=expert", "rollout.tasks=12", "iterations=2")
    shown = episodes(run, phase="guided")
    own = episodes(run, phase="train")
    failed = {e.group_id for e in own} - {e.group_id for e in own if e.success}
    assert shown
    assert {e.group_id for e in shown} <= failed
    hopeless = {e.group_id for e in own if e.task.params["hopeless"]}
    assert {e.group_id for e in shown} >= hopeless
    for episode in shown:
        assert [turn.action for turn in episode.turns] == ["win"] * 3
        assert all(turn.loss_mask.all() for turn in episode.turns)
        assert episode.versions.policy == -1
    for line in run.lines():
        mine = [e.success for e in episodes(run, iteration=int(line["iteration"]), phase="train")]
        assert line["success"] == pytest.approx(np.mean(mine)), "helpers are not the policy's successes"
        assert line["guided_episodes"] >= 4
        assert line["gap_max"] < 1e-4, "the gap is about the policy's own tokens"


def test_a_group_that_fails_gets_the_policys_own_newest_success(model: Path, tmp_path: Path) -> None:
    run = train(
        tmp_path, model, "guidance={name = 'expert', expert = ''}", "rollout.tasks=12", "iterations=3"
    )
    own = episodes(run)
    assert all(e.id.startswith("train-") for e in own)
    solved_before: set[str] = set()
    for line in run.lines():
        played = [e for e in own if e.id.startswith(f"train-{int(line['iteration']):06d}")]
        solved = {e.task.id for e in played if e.success}
        failed = {e.task.id for e in played} - solved
        assert line["guided_episodes"] == len(failed & solved_before)
        solved_before |= solved
    assert solved_before


def test_a_teacher_helps_in_the_policys_own_tokens(model: Path, tmp_path: Path) -> None:
    teacher = luck_model(tmp_path / "teacher", seed=5)
    run = train(
        tmp_path,
        model,
        f"guidance={{name = 'teacher', teachers = ['{teacher}'], candidates = 4}}",
        "rollout.tasks=12",
        "rollout.group_size=2",
        "iterations=2",
    )
    shown = episodes(run, phase="guided")
    assert shown
    assert all("/teacher-0-" in e.id and e.success for e in shown)
    own = episodes(run, phase="train")
    assert not {e.group_id for e in shown} & {e.group_id for e in own if e.success}
    assert sum(line["guided_episodes"] for line in run.lines()) == len(shown)


def test_branches_share_their_first_turns_with_the_first_member(model: Path, tmp_path: Path) -> None:
    run = train(tmp_path, model, "branching=random_turn", "iterations=3")
    lengths: set[int] = set()
    groups: dict[str, list[Episode]] = {}
    for episode in sorted(episodes(run), key=lambda episode: episode.id):
        groups.setdefault(episode.group_id, []).append(episode)
    for trunk, *branches in groups.values():
        assert not any(turn.replayed for turn in trunk.turns)
        turns = {sum(turn.replayed for turn in branch.turns) for branch in branches}
        assert len(turns) == 1
        (branch_turn,) = turns
        lengths.add(branch_turn)
        for branch in branches:
            assert branch.seed == trunk.seed
            for number, (mine, theirs) in enumerate(zip(branch.turns, trunk.turns, strict=True)):
                assert mine.replayed == (number < branch_turn)
                if number < branch_turn:
                    assert np.array_equal(mine.completion_ids, theirs.completion_ids)
                    assert np.array_equal(mine.prompt_ids, theirs.prompt_ids)
    assert len(lengths) > 1


@pytest.mark.parametrize(
    ("branching", "trunks"), [("name = 'entropy', base = 0.4", 3), ("name = 'lone_steps', initial = 0.2", 1)]
)
def test_a_group_is_a_tree_of_its_size(branching: str, trunks: int, model: Path, tmp_path: Path) -> None:
    run = train(tmp_path, model, f"branching={{{branching}}}", "rollout.group_size=6", "iterations=2")
    every = {episode.id: episode for episode in episodes(run)}
    assert len(every) == 2 * 3 * 6
    branches = [episode for episode in every.values() if episode.origin is not None]
    assert branches
    for branch in branches:
        assert branch.origin is not None
        trunk, turn = every[branch.origin.episode], branch.origin.turn
        assert (trunk.group_id, trunk.seed) == (branch.group_id, branch.seed)
        assert [t.replayed for t in branch.turns] == [n < turn for n in range(len(branch.turns))]
        assert branch.turns[turn].state_key == trunk.turns[turn].state_key
        for mine, theirs in zip(branch.turns[:turn], trunk.turns[:turn], strict=True):
            assert np.array_equal(mine.completion_ids, theirs.completion_ids)
            assert np.array_equal(mine.prompt_ids, theirs.prompt_ids)
            assert np.array_equal(mine.logprobs, theirs.logprobs)
    for group in {episode.group_id for episode in every.values()}:
        members = [episode for episode in every.values() if episode.group_id == group]
        assert len(members) == 6
        assert sum(episode.origin is None for episode in members) >= trunks
    trained = [sum(int(t.loss_mask.sum()) for t in e.turns) for e in every.values()]
    assert sum(line["sampled_tokens"] for line in run.lines()) == sum(trained), (
        "shared turns are trained once"
    )


def test_refuel_learns_from_pairs_that_branch(model: Path, tmp_path: Path) -> None:
    run = train(tmp_path, model, "rollout.group_size=2", "rollout.tasks=12", "iterations=2", recipe="refuel")
    assert all(line["grad_norm"] > 0 for line in run.lines())
    assert all(line["replayed_turns"] > 0 for line in run.lines())
