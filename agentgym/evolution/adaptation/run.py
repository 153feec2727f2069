"""A search's run: a directory that holds everything about it, so that it can be gone on with.

settings.json       what it was asked for
memory.db           what was distilled for it, where it asked for demonstrations
snapshot.txt        the state of the memory that it searches with
ledger.jsonl        every lifetime and every child
adaptation.json     what was found, once it has been
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Self

from pydantic import Field, ValidationError

from agentgym import registry
from agentgym.agents.scripted import OracleAgent
from agentgym.core.agent import Agent
from agentgym.core.env import AgentEnv
from agentgym.core.errors import UsageError
from agentgym.core.memory import Memory
from agentgym.core.task import Split, Task
from agentgym.evaluation.runner import choose_tasks
from agentgym.evolution.adaptation.genome import Adaptation
from agentgym.evolution.adaptation.guiding import GuideWriter
from agentgym.evolution.adaptation.ledger import Ledger
from agentgym.evolution.adaptation.lifetimes import Lifetimes
from agentgym.evolution.adaptation.search import Candidate, Found, Search
from agentgym.evolution.adaptation.varying import Rewriter
from agentgym.evolution.distilling.scripted import ScriptedEvolver
from agentgym.evolution.settings import Acting, Location, SpaceName
from agentgym.memory.cases import case_of
from agentgym.memory.recall import Recall
from agentgym.memory.store.store import MemoryStore
from agentgym.rollout.collect import collect, plan_groups
from agentgym.rollout.rules import Rules
from agentgym.store.folders import alone_in, find_run_folder, make_run_folder

_LOOKED_AT = 2000
"""Tasks of each split from which those of a search are chosen."""


class AdaptSettings(Acting):
    """Kept with the run: whoever goes on with it does what it was begun with."""

    writer: str = "scripted"
    """Who writes guides and prompts: `scripted`, or a URL."""
    writer_name: str = ""
    library: Location = ""
    """Path or URL of a memory whose active items may be shown."""
    space: SpaceName = ""
    """Whose items are seen."""
    demonstrations: int = Field(default=0, ge=0)
    """Other train tasks that the expert and the agent each play once, for a memory of cases and skills."""
    attempts: int = Field(default=3, ge=1)
    tasks: int = Field(default=12, ge=1)
    """Of the split `train`."""
    select_tasks: int = Field(default=24, ge=1)
    steps: int = Field(default=32, ge=0)
    minibatch: int = Field(default=6, ge=1)
    """Tasks on which a child must beat its parent."""
    finalists: int = Field(default=3, ge=1)
    start: Adaptation = Adaptation()


class AdaptationRun:
    """The files of one search, by name."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, settings: AdaptSettings, root: Path, name: str | None) -> Self:
        """Make a new run directory under `root`, named by world and time unless `name` is given.

        Raises `UsageError` where it exists.
        """
        world = settings.env_id.rpartition("/")[2].partition("-v")[0].lower()
        path = root / (name or f"adapt-{world}-{datetime.now():%Y%m%d-%H%M%S-%f}")
        make_run_folder(path, "adapt")
        run = cls(path)
        run._settings.write_text(settings.model_dump_json(indent=1), "utf-8")
        return run

    @classmethod
    def open(cls, name: str, root: Path = Path("runs")) -> Self:
        """Open a search by its directory, or by its name under `root`; raises `UnknownNameError`."""
        return cls(find_run_folder(name, root, "search", lambda path: (path / "settings.json").is_file()))

    @property
    def result(self) -> Path:
        """What was found."""
        return self.path / "adaptation.json"

    @property
    def memory(self) -> Path:
        """The memory that was distilled for it."""
        return self.path / "memory.db"

    @property
    def snapshot(self) -> Path:
        """Names the state of the memory."""
        return self.path / "snapshot.txt"

    @property
    def ledger(self) -> Path:
        """Lifetimes and children."""
        return self.path / "ledger.jsonl"

    @property
    def _settings(self) -> Path:
        return self.path / "settings.json"

    def settings(self) -> AdaptSettings:
        """Return what it was asked for; raises `UsageError` where the file does not say."""
        try:
            return AdaptSettings.model_validate_json(self._settings.read_bytes())
        except ValidationError as error:
            reason = str(error).splitlines()[0]
            raise UsageError(
                f"{self._settings} is no search of this version of agentgym ({reason})."
            ) from error


async def adapt(
    run: AdaptationRun,
    make_agent: Callable[[Memory | None], Agent],
    writer: GuideWriter,
    rewriter: Rewriter,
    *,
    rules: Rules | None = None,
    on_step: Callable[[int, Candidate], None] = lambda step, best: None,
) -> Found:
    """Do what is left of a search, and keep and return what was found.

    Raises as `Search.find`, and `UsageError` where another process is at it.
    """
    settings = run.settings()
    make_env = partial(_factory, settings)
    train = _tasks(make_env, Split.TRAIN, settings.tasks + settings.demonstrations)
    with ExitStack() as held:
        held.enter_context(alone_in(run.path))
        store, snapshot = await _memory(run, settings, make_agent, train[settings.tasks :], held)

        def remember(adaptation: Adaptation) -> Memory | None:
            if store is None or not adaptation.k:
                return None
            return Recall(store, snapshot, adaptation.recall_settings(settings.space))

        lifetimes = Lifetimes(
            make_agent,
            remember,
            writer,
            make_env,
            attempts=settings.attempts,
            max_turns=settings.max_turns,
            concurrency=settings.concurrency,
            seed=settings.seed,
            rules=rules,
        )
        search = Search(
            lifetimes,
            rewriter,
            Ledger(run.ledger),
            train[: settings.tasks],
            _tasks(make_env, Split.SELECT, settings.select_tasks),
            steps=settings.steps,
            minibatch=settings.minibatch,
            finalists=settings.finalists,
            seed=settings.seed,
            on_step=on_step,
        )
        found = await search.find(settings.start)
    run.result.write_text(found.model_dump_json(indent=1), "utf-8")
    return found


async def _memory(
    run: AdaptationRun,
    settings: AdaptSettings,
    make_agent: Callable[[Memory | None], Agent],
    tasks: list[Task],
    held: ExitStack,
) -> tuple[MemoryStore | None, str]:
    """Open the memory to search with, and return it with its state; both are made where they are not there yet."""
    if settings.library and tasks:
        raise UsageError("A search takes a library or makes one of demonstrations, not both; choose one.")
    if not settings.library and not tasks:
        return None, ""
    store = held.enter_context(MemoryStore(settings.library or run.memory, create=not settings.library))
    if not run.snapshot.is_file():
        versions = await _distil(run, settings, make_agent, tasks, store) if tasks else None
        part = run.snapshot.with_suffix(".part")
        part.write_text(store.take_snapshot(versions), "utf-8")
        part.replace(run.snapshot)
    return store, run.snapshot.read_text("utf-8")


async def _distil(
    run: AdaptationRun,
    settings: AdaptSettings,
    make_agent: Callable[[Memory | None], Agent],
    tasks: list[Task],
    store: MemoryStore,
) -> list[str]:
    """Let the expert and the agent play tasks once each, and return cases and skills of what they did."""
    make_env = _factory(settings, Split.TRAIN)
    episodes = [
        episode
        for label, agent in (("expert", OracleAgent()), ("agent", make_agent(None)))
        for episode in await collect(
            plan_groups(tasks, 1, label=label, seed=settings.seed),
            agent,
            make_env,
            concurrency=settings.concurrency,
            max_turns=settings.max_turns,
        )
        if episode.outcome.scored
    ]
    evolver = ScriptedEvolver(make_env, space=settings.space)
    try:
        distilled = await evolver.distil(episodes, [], run.path.name)
    finally:
        evolver.close()
    cases = [case_of(episode, space=settings.space, run=run.path.name) for episode in episodes]
    return store.put_all([*cases, *((each.item, each.provenance) for each in distilled.proposals)])


def _factory(settings: AdaptSettings, split: Split) -> Callable[[], AgentEnv]:
    return registry.factory(settings.env_id, split, **settings.options)


def _tasks(make_env: Callable[[Split], Callable[[], AgentEnv]], split: Split, count: int) -> list[Task]:
    """Return `count` tasks of a split, of all its kinds in turn."""
    env = make_env(split)()
    tasks = choose_tasks(env.suite.tasks(split)[:_LOOKED_AT], count)
    env.close()
    return tasks[:count]
