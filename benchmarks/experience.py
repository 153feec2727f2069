"""How true learned models of the household world are, beside trivial baselines.

    python -m benchmarks.experience [--tasks 200] [--repeats 4] [--url http://127.0.0.1:8000/v1 --model NAME]

Episodes are played by the world's searching expert, which every other time does instead something that was possible at
some time of the episode, and may not be now. Models of the environment are asked for what comes next on episodes that
they have not learned from, of tasks that they know and of tasks that they do not: after what really came before (one
step), and after what they have said themselves (free). World laws are learned from the same train episodes and judged on
tasks of the split `select`. With a URL a language model is asked too, on the first episodes.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import chain
from time import perf_counter

from agentgym.core.env import Stepping
from agentgym.core.task import Split
from agentgym.core.trace import Episode
from agentgym.memory.laws.book import LawBook, fit
from agentgym.memory.laws.judging import gains, prediction, ranking
from agentgym.memory.laws.learning import learn
from agentgym.memory.laws.watching import Change, watch_all
from agentgym.policies.endpoint import EndpointPolicy, EndpointSettings
from agentgym.registry import make, suite
from agentgym.training.imagination.asking import AskedModel, Speaker
from agentgym.training.imagination.buffer import ReplayBuffer, transitions
from agentgym.training.imagination.counting import CountingModel
from agentgym.training.imagination.fidelity import Fidelity, free_running, one_step
from agentgym.training.imagination.model import Consequence, ExperienceModel, Moment
from benchmarks.erring import play

ASKED = 3
"""Episodes of each kind that a language model is asked about."""


class Unchanging:
    """Says what was said last, and that nothing was earned."""

    stepping = Stepping.INLINE

    def predict(self, moment: Moment, seed: int) -> Consequence:
        """See `ExperienceModel`."""
        return Consequence(moment.observation)


class ByAction:
    """Says what came most often of the same action, in any task; of none, what came most often."""

    stepping = Stepping.INLINE

    def __init__(self, buffer: ReplayBuffer) -> None:
        self._all = Counter(each.consequence.observation for each in buffer.transitions)
        self._by_action: dict[str, Counter[str]] = {}
        for each in buffer.transitions:
            counted = self._by_action.setdefault(each.moment.action, Counter())
            counted[each.consequence.observation] += 1

    def predict(self, moment: Moment, seed: int) -> Consequence:
        """See `ExperienceModel`."""
        counted = self._by_action.get(moment.action, self._all)
        return Consequence(max(counted, key=counted.__getitem__))


def experience(train: Sequence[Episode], known: Sequence[Episode], new: Sequence[Episode]) -> None:
    """Print how true models of the environment are."""
    buffer = ReplayBuffer()
    buffer.add(train)
    few = ReplayBuffer()
    few.add(episode for episode in train if episode.id.endswith("/00"))
    counted = CountingModel(buffer)
    models: dict[str, ExperienceModel] = {
        "counted": counted,
        "counted, one episode a task": CountingModel(few),
        "by action alone": ByAction(buffer),
        "nothing changes": Unchanging(),
    }
    print(f"Models of the environment; {len(train)} episodes, {len(buffer)} transitions to learn from")
    for name, episodes in (("known tasks", known), ("new tasks", new)):
        for way, judge in (("one step", one_step), ("free", free_running)):
            print(f"  {name}, {way}")
            print(f"    {'':28}observation  reward  end   valid  successes foreseen / claimed rightly")
            for model, found in ((each, judge(models[each], episodes)) for each in models):
                print(f"    {model:28}{_line(found)}")
        levels = Counter[str]()
        right = Counter[str]()
        for each in chain.from_iterable(map(transitions, episodes)):
            told = counted.foresee(each.moment)
            levels[told.level] += 1
            right[told.level] += told.consequence.observation == each.consequence.observation
        total = levels.total()
        print(
            "    levels: "
            + ", ".join(
                f"{level} {n / total:.0%} ({right[level] / n:.0%} right)" for level, n in levels.most_common()
            )
        )


def _line(found: Fidelity) -> str:
    return (
        f"{found.observation:8.3f}{found.reward:11.3f}{found.terminal:7.3f}{found.valid:8.3f}"
        f"{found.recall:10.3f} of {found.rewarded} / {found.precision:.3f}   ({found.steps} steps, {found.faults} faults)"
    )


def asked(url: str, model: str, train: Sequence[Episode], episodes: Mapping[str, Sequence[Episode]]) -> None:
    """Print how true a language model is, on the first episodes."""
    buffer = ReplayBuffer()
    buffer.add(train)
    with closing(Speaker(EndpointPolicy(EndpointSettings(url=url, model=model)))) as speaker:
        for name, played in episodes.items():
            found = one_step(AskedModel(speaker, buffer), played[:ASKED])
            print(f"  {name}, one step, {url} {model}: {_line(found)}")


def laws(train: Sequence[Episode], select: Sequence[Episode]) -> None:
    """Print how good world laws are."""
    with closing(make("household", difficulty="easy")) as env:
        changes = watch_all(train, env)
    with closing(make("household", split="select", difficulty="easy")) as env:
        unseen = watch_all(select, env)
    started = perf_counter()
    learned = learn(changes)
    book = fit(learned, changes)
    seconds = perf_counter() - started
    needless = fit([replace(each, law=replace(each.law, needs=())) for each in learned], changes)
    books = {"laws": book, "laws without needs": needless, "nothing changes": LawBook((), book.inertia)}
    print(
        f"World laws; {len(changes)} changes to learn {len(book.laws)} laws from ({seconds:.1f} s), {len(unseen)} changes of "
        "select tasks"
    )
    print(f"    {'':20}  first    MRR   exact state  facts wrong  log-likelihood")
    for name, each in books.items():
        ranked, told = ranking(each.log_likelihood, unseen), prediction(each, unseen)
        print(
            f"    {name:20}{ranked.first:7.3f}{ranked.mrr:7.3f}{told.exact:12.3f}{told.distance:13.3f}"
            f"{told.log_likelihood:14.2f}"
        )
    rng = random.Random(0)
    blind = ranking(lambda _: rng.random(), unseen)
    print(f"    {'random order':20}{blind.first:7.3f}{blind.mrr:7.3f}   (expected MRR {blind.chance:.3f})")
    _print_laws(book, unseen)


def _print_laws(book: LawBook, unseen: Sequence[Change]) -> None:
    worth = gains(book, unseen)
    for law in sorted(book.laws, key=lambda law: -worth[str(law)]):
        said = str(law).replace("\n", " ")
        print(f"    {worth[str(law)] / len(unseen):7.3f} nats a change, weight {law.weight:4.2f}: {said}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", type=int, default=200, help="train tasks to learn from")
    parser.add_argument("--repeats", type=int, default=4, help="episodes of each")
    parser.add_argument("--url", help="of a language model")
    parser.add_argument("--model", default="", help="its name")
    given = parser.parse_args()
    count: int = given.tasks
    tasks = suite("household", difficulty="easy").tasks(Split.TRAIN)
    train = play(tasks[:count], given.repeats, "learned")
    known = play(tasks[:count], 1, "again")
    new = play(tasks[count : count + count // 2], 1, "new")
    select = play(
        suite("household", difficulty="easy").tasks(Split.SELECT)[: count // 2], 1, "select", Split.SELECT
    )
    experience(train, known, new)
    if given.url:
        asked(given.url, given.model, train, {"known tasks": known, "new tasks": new})
    laws(train, select)


if __name__ == "__main__":
    main()
