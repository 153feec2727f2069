"""What the neural selector can learn from, and what it cannot: a world in which the helpful cases are known.

Half of the candidates of every query fit its topic and help; queries differ in difficulty. Published data of this kind
show all candidates at once and give them one label.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from agentgym.core.errors import ConfigError, UsageError
from agentgym.core.memory import ItemKind, MemoryItem
from agentgym.memory.case_selector import CaseSelector, SelectorSettings, Trial

TOPICS = ["heat", "cool", "wash", "slice"]
THINGS = ["apple", "plate", "bread", "cup", "egg", "pan", "knife", "potato"]


def case(topic: str, thing: str) -> MemoryItem:
    return MemoryItem(
        ItemKind.CASE, f"{topic}-{thing}", f"{topic} {thing}", f"{topic} it", meta={"outcome": "success"}
    )


class World:
    """Queries, each with candidates of which half help."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def query(self) -> tuple[str, list[MemoryItem], list[bool], float]:
        topic, other = self.rng.choice(TOPICS, 2, replace=False)
        things = self.rng.choice(THINGS, 8, replace=False)
        helpful = [n % 2 == 0 for n in range(8)]
        cases = [case(topic if helps else other, thing) for helps, thing in zip(helpful, things, strict=True)]
        return f"{topic} a {self.rng.choice(THINGS)} now", cases, helpful, self.rng.uniform(0.1, 0.5)

    def reward(self, easy: float, helpful: Sequence[bool]) -> float:
        return float(self.rng.random() < easy + 0.45 * np.mean(helpful))

    def varied(self, queries: int) -> list[Trial]:
        """Eight rollouts of each query, each with another case."""
        trials: list[Trial] = []
        for n in range(queries):
            text, cases, helpful, easy = self.query()
            trials += [
                Trial(f"{n}", text, each, self.reward(easy, [helps]))
                for each, helps in zip(cases, helpful, strict=True)
            ]
        return trials

    def published(self, queries: int) -> list[Trial]:
        """One rollout of each query with all cases, whose outcome is the label of them all."""
        trials: list[Trial] = []
        for n in range(8 * queries):
            text, cases, helpful, easy = self.query()
            reward = self.reward(easy, helpful)
            trials += [Trial(f"{n}", text, each, reward) for each in cases]
        return trials

    def auc(self, selector: CaseSelector, queries: int = 60) -> float:
        """How often a helpful case is ranked above another of the same query."""
        above: list[float] = []
        for _ in range(queries):
            text, cases, helpful, _ = self.query()
            q = selector.q(text, cases)
            yes, no = q[np.asarray(helpful)], q[~np.asarray(helpful)]
            above.append(float(np.mean(yes[:, None] > no[None, :])))
        return float(np.mean(above))


def test_exposure_variation_teaches_which_cases_help() -> None:
    selector = CaseSelector()
    world = World(0)
    assert abs(world.auc(selector) - 0.5) < 0.2
    batches = [selector.learn(world.varied(50)) for _ in range(3)]  # online: what came before is kept
    assert all(batch.informative > 0.5 * batch.trials for batch in batches)
    assert World(1).auc(selector) > 0.85


def test_one_label_for_all_cases_of_a_query_teaches_nothing() -> None:
    with pytest.raises(UsageError, match="None of the 3200 trials says which case helps"):
        CaseSelector().learn(World(0).published(50))
    selector = CaseSelector(SelectorSettings(as_published=True, passes=5))
    selector.learn(World(0).published(150))
    assert 0.35 < World(1).auc(selector) < 0.65


def test_only_groups_that_vary_are_learned_from() -> None:
    a, b = case("heat", "egg"), case("cool", "egg")
    alike = [Trial("all won", "x", a, 1.0), Trial("all won", "x", b, 1.0)]
    same = [Trial("one case", "x", a, 1.0), Trial("one case", "x", a, 0.0)]
    varied = [Trial("both", "x", a, 1.0), Trial("both", "x", b, 0.0)]
    assert CaseSelector().learn([*alike, *same, *varied])[:2] == (6, 2)
    often = [Trial("mixed", "x", a, won) for won in (1.0, 1.0, 0.0)]
    seldom = [Trial("mixed", "x", b, won) for won in (1.0, 0.0, 0.0)]
    together = [Trial("together", "x", each, won) for each in (a, b) for won in (1.0, 0.0)]
    assert CaseSelector().learn([*often, *seldom, *together])[:2] == (10, 6)


def test_selection_follows_q_and_exploration_varies_it(tmp_path: Path) -> None:
    selector = CaseSelector()
    selector.learn(World(0).varied(30))
    text, cases, _, _ = World(2).query()
    q = selector.q(text, cases)
    assert [each.version for each in selector.best(text, cases, 3)] == [
        cases[n].version for n in np.argsort(-q, kind="stable")[:3]
    ]
    chances = selector.probabilities(text, cases)
    assert chances.sum() == pytest.approx(1)
    assert np.argmax(chances) == np.argmax(q)
    drawn = [selector.explore(text, cases, 2, np.random.default_rng(seed)) for seed in range(40)]
    assert all(len({each.version for each in two}) == 2 for two in drawn)
    assert len({two[0].version for two in drawn}) > 2
    selector.save(tmp_path / "selector.safetensors")
    other = CaseSelector(SelectorSettings(seed=9))
    other.load(tmp_path / "selector.safetensors")
    np.testing.assert_array_equal(other.q(text, cases), q)
    with pytest.raises(UsageError, match="does not hold such a selector"):
        CaseSelector(SelectorSettings(hidden=3)).load(tmp_path / "selector.safetensors")


def test_what_is_saved_learns_on_to_the_same_weights(tmp_path: Path) -> None:
    settings = SelectorSettings(recent=100, passes=3)
    whole, world = CaseSelector(settings), World(0)
    batches = [world.varied(10) for _ in range(3)]
    whole.learn(batches[0])
    whole.learn(batches[1])  # more than are kept
    whole.save(tmp_path / "selector.safetensors")
    again = CaseSelector(settings)
    again.load(tmp_path / "selector.safetensors")
    assert again.learn(batches[2]) == whole.learn(batches[2])
    for selector, name in ((whole, "one"), (again, "other")):
        selector.save(tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_the_same_trials_give_the_same_network() -> None:
    text, cases, _, _ = World(2).query()
    one, other = CaseSelector(), CaseSelector()
    for selector in (one, other):
        selector.learn(World(0).varied(10))
    np.testing.assert_array_equal(one.q(text, cases), other.q(text, cases))


def test_no_cases() -> None:
    selector = CaseSelector()
    assert selector.best("x", [], 3) == selector.explore("x", [], 3, np.random.default_rng(0)) == []
    assert selector.probabilities("x", []).tolist() == []


def test_settings_that_cannot_work() -> None:
    with pytest.raises(ConfigError, match="temperature above 0"):
        SelectorSettings(temperature=0)


def test_the_rest_of_the_memory_loads_no_torch() -> None:
    script = (
        "import sys, agentgym.memory.cases, agentgym.memory.recall, agentgym.memory.principles.book; "
        "assert 'torch' not in sys.modules and 'openai' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
