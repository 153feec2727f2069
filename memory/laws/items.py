"""Laws as items of a memory, with the episodes behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agentgym.core.env import AgentEnv
from agentgym.core.errors import UsageError
from agentgym.core.memory import ItemKind, MemoryItem, Provenance, Source, Stance
from agentgym.core.trace import Episode
from agentgym.memory.laws.book import LawBook, fit
from agentgym.memory.laws.law import Law
from agentgym.memory.laws.learning import Learned, learn
from agentgym.memory.laws.watching import watch_all

SOURCES = 20
"""Most episodes that are named for a law, and most that are named against it: the first ones."""
AUTHOR = "law learner"


def learn_laws(
    episodes: Sequence[Episode], env: AgentEnv, *, space: str = "", run: str = ""
) -> tuple[LawBook, list[tuple[MemoryItem, Provenance]]]:
    """Learn the laws of a world from train episodes, and return them with the items to put into a memory.

    `env` is the world with the episodes' options; it tells its facts. Raises `LeakError` for an episode of a task that
    agents are evaluated on, `UsageError` and `EnvironmentFault` as `watch`.
    """
    by_id = {episode.id: episode for episode in episodes}
    for episode in episodes:
        Source.of(episode, run)
    changes = watch_all(episodes, env)
    learned = learn(changes)
    book = fit(learned, changes)
    weighed = {_same(law): law for law in book.laws}
    env_id = env.suite.env_id
    return book, [
        (law_item(weighed[_same(found.law)], env_id, space=space), _provenance(found, by_id, run))
        for found in learned
        if _same(found.law) in weighed
    ]


def law_item(law: Law, env_id: str, *, space: str = "") -> MemoryItem:
    """Return a law as an item: found by its action, shown as what it needs and what it does."""
    effect = ", ".join(
        [*(" ".join(each) for each in law.adds), *(f"not {' '.join(each)}" for each in law.removes)]
    )
    return MemoryItem(
        ItemKind.LAW,
        f"{law.action}: {effect}",
        law.title,
        str(law),
        space=space,
        env_id=env_id,
        meta={"law": law.to_json()},
    )


def law_of(item: MemoryItem) -> Law:
    """Return the law in an item. Raises `UsageError` for an item without one."""
    law = item.meta.get("law")
    if item.kind is not ItemKind.LAW or not isinstance(law, Mapping):
        raise UsageError(f"{item.kind.value} {item.name!r} holds no law.")
    return Law.from_json(law)  # pyright: ignore[reportUnknownArgumentType]


def _same(law: Law) -> tuple[object, ...]:
    return law.action, law.needs, law.adds, law.removes


def _provenance(found: Learned, episodes: Mapping[str, Episode], run: str) -> Provenance:
    confirmed = [episodes[name] for name in found.confirmed[:SOURCES]]
    written = Provenance.of(*confirmed, run=run, author=AUTHOR)
    against = tuple(
        Source.of(episodes[name], run, Stance.CONTRADICTS)
        for name in found.contradicted[:SOURCES]
        if name not in found.confirmed[:SOURCES]  # one episode has one stance
    )
    return Provenance(written.origin, written.author, (*written.sources, *against), written.links)
