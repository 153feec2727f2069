"""An embedding endpoint that fails in mid-run: told in words, nothing lost, and gone on with when it is back."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path

import pytest

from agentgym import registry
from agentgym.agents.follower.agent import FollowerAgent
from agentgym.core.errors import InferenceFault
from agentgym.core.memory import ItemKind, ItemStatus, MemoryItem
from agentgym.core.task import Split
from agentgym.evaluation.runner import choose_tasks
from agentgym.evolution.growing import worth
from agentgym.evolution.run import EvolutionRun
from agentgym.memory.store.evidence import EvidenceLog
from agentgym.memory.store.tables import OutcomeRow
from tests.evolution.growth import SMALL, Seen, carry_on, new_run
from tests.memory.retrieval.embedding_api import EmbeddingApi, vector


def test_an_endpoint_that_fails_at_the_beginning_of_a_batch_ends_it_and_is_gone_on_with(
    tmp_path: Path,
) -> None:
    with EmbeddingApi() as api:
        run = _run(tmp_path, api)

        def fail(_: str) -> list[float]:
            raise ArithmeticError

        def break_down(event: str) -> None:
            if event == "1 snapshot":
                api.make = fail

        with pytest.raises(InferenceFault, match=rf"{api.url} gave no embeddings.*Check the address"):
            carry_on(run, Seen(break_down))
        done = run.journal.done("snapshot")
        assert len(done) == 1
        assert done[0]["made"]
        api.make = vector
        figures = carry_on(run)
        assert len(figures) == SMALL["batches"]
        assert figures[0] == done[0]


def test_one_that_fails_during_a_batch_is_gone_on_without(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with EmbeddingApi() as api:
        run = _run(tmp_path, api, tasks=2, rollouts=2)

        def fail(_: str) -> list[float]:
            raise ArithmeticError

        def break_down(event: str) -> None:
            if event.startswith("2 batch"):
                api.make = fail

        figures = carry_on(run, Seen(break_down))
        assert "Retrieval goes on without embeddings" in caplog.text
        assert [each["episodes"] for each in figures] == [4, 4]
        with run.library(run.settings()) as library:
            assert len(EvidenceLog(library).rows(OutcomeRow)) == sum(each["episodes"] for each in figures)


def test_the_gate_and_the_evaluation_find_items_by_embeddings_too(tmp_path: Path) -> None:
    """What vectors are asked for tells: they are of the situations that agents meet there."""
    with EmbeddingApi() as api:
        run = _run(tmp_path, api, batches=1)
        settings = run.settings()
        with run.library(settings) as library:
            item = MemoryItem(ItemKind.PRINCIPLE, "orders", "orders of customers", "Look at the order first.")
            library.set_status(library.put(item), ItemStatus.ACTIVE, reason="given")
        (figures,) = carry_on(run)
        assert figures["made"], "the gate is to have something to play with"
        assert _situations(run, Split.SELECT, SMALL["gate_tasks"]) <= _asked(api)
        evaluated = _situations(run, Split.HELDOUT, 1)
        assert not evaluated <= _asked(api)
        asyncio.run(worth(run, FollowerAgent, 1))
        assert evaluated <= _asked(api)


def _asked(api: EmbeddingApi) -> set[str]:
    return {text for request in api.requests for text in request}


def _situations(run: EvolutionRun, split: Split, tasks: int) -> set[str]:
    settings = run.settings()
    with closing(registry.factory(settings.env_id, split, **settings.options)()) as env:
        return {env.reset(options={"task": task})[0] for task in choose_tasks(env.suite.tasks(split), tasks)}


def _run(folder: Path, api: EmbeddingApi, **more: int) -> EvolutionRun:
    quick = {**SMALL, "concurrency": 1, "embeddings": api.url, "embeddings_name": "m", **more}
    return new_run(folder, "backoffice", quick)
