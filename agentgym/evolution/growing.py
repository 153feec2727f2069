"""An evolution from its pieces: open what a run needs, let it grow, and see what the library is worth."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from agentgym.core.agent import Agent
from agentgym.core.env import AgentEnv
from agentgym.core.errors import StoreFault
from agentgym.core.memory import Memory
from agentgym.core.task import Split
from agentgym.evaluation.compare import Comparison, compare
from agentgym.evaluation.runner import evaluate
from agentgym.evolution.embedding import dressing
from agentgym.evolution.figures import BatchFigures
from agentgym.evolution.gate.gate import Gate
from agentgym.evolution.gate.replay import Replay, ReplaySettings
from agentgym.evolution.loop import Evolution, Watcher
from agentgym.evolution.playing import Player, recall_settings
from agentgym.evolution.proposing import Evolver
from agentgym.evolution.run import EvolutionRun
from agentgym.evolution.settings import EvolveSettings
from agentgym.memory.recall import Dressing, Recall
from agentgym.memory.store.store import MemoryStore
from agentgym.memory.tools.runner import ToolRunner
from agentgym.memory.tools.toolbox import Toolbox
from agentgym.rollout.rules import Rules
from agentgym.sandboxes.backends import sandbox
from agentgym.store.folders import alone_in
from agentgym.store.store import Store
from agentgym.store.tables import RunStatus


async def grow(
    run: EvolutionRun,
    make_agent: Callable[[Memory], Agent],
    make_evolver: Callable[[Callable[[], AgentEnv]], Evolver],
    watcher: Watcher,
    *,
    rules: Rules | None = None,
) -> list[BatchFigures]:
    """Do what is left of a run and return the figures of all its batches.

    `make_agent` makes the acting agent around a memory, `make_evolver` who learns from its episodes; an evolver may
    make environments of the split `train`. Whatever ends it early, an interrupt, a kill or a fault, it can be called again.
    Raises `UsageError` where another process is at it.
    """
    settings, runner = run.settings(), ToolRunner(sandbox)
    dress = dressing(settings)
    ending = RunStatus.FAILED
    with (
        alone_in(run.path),
        Store(run.store, create=False) as episodes,
        run.library(settings) as library,
    ):
        episodes.set_status(run.name, RunStatus.RUNNING)
        player = Player(settings, library, episodes, run.name, make_agent, runner, rules=rules, dress=dress)
        evolver = make_evolver(player.make_env)
        gate = Gate(library, runner, replay=_replay(settings, library, make_agent, runner, rules, dress))
        try:
            evolution = Evolution(settings, library, run.journal, player, evolver, gate, watcher, run.name)
            figures = await evolution.evolve()
            ending = RunStatus.FINISHED
        except BaseException as error:
            interrupted = not isinstance(error, Exception)
            ending = RunStatus.INTERRUPTED if interrupted else RunStatus.FAILED
            raise
        finally:
            evolver.close()
            with suppress(StoreFault):  # a full disk is told already
                episodes.set_status(run.name, ending)
    return figures


async def worth(
    run: EvolutionRun,
    make_agent: Callable[[Memory | None], Agent],
    tasks: int,
    *,
    split: Split = Split.HELDOUT,
    rules: Rules | None = None,
) -> Comparison:
    """Return what a run's library is worth: success without it and with it on the same tasks and seeds.

    `tasks` is the number of each group of the split. The library is the last batch's; no item is written to it. Both
    evaluations are kept with the run, as `before` and `after`. Raises `UsageError` before the first batch is done.
    """
    settings, runner = run.settings(), ToolRunner(sandbox)
    snapshot = run.last()["library"]
    with (
        alone_in(run.path),
        run.library(settings, create=False) as library,
        Store(run.store, create=False) as store,
    ):
        memory = None
        if library.snapshot(snapshot):
            recall = Recall(library, snapshot, recall_settings(settings), dress=dressing(settings))
            memory = Toolbox(recall, library, runner, space=settings.space)
        before, after = [
            await evaluate(
                settings.env_id,
                make_agent(shown),
                split,
                tasks=tasks,
                seed=settings.seed,
                max_turns=settings.max_turns,
                options=settings.options,
                concurrency=settings.concurrency,
                rules=rules,
            )
            for shown in (None, memory)
        ]
        for name, evaluation in (("before", before), ("after", after)):
            store.add_evaluation(run.name, settings.batches, name, evaluation.to_json())
            evaluation.save(run.path / f"{name}.json")
    return compare(before, after)


def _replay(
    settings: EvolveSettings,
    library: MemoryStore,
    make_agent: Callable[[Memory], Agent],
    runner: ToolRunner,
    rules: Rules | None,
    dress: Dressing | None,
) -> Replay:
    played = ReplaySettings(
        tasks=settings.gate_tasks,
        seed=settings.seed,
        max_turns=settings.max_turns,
        options=settings.options,
        concurrency=settings.concurrency,
    )
    return Replay(
        library,
        settings.env_id,
        make_agent,
        played,
        recall=recall_settings(settings),
        runner=runner,
        rules=rules,
        dress=dress,
    )
