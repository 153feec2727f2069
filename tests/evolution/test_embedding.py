"""An embedding endpoint that fails in mid-run: told in words, nothing lost, and gone on with when it is back."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentgym.core.errors import InferenceFault
from agentgym.evolution.embedding import dressing
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
        dress = dressing(run.settings())

        def fail(_: str) -> list[float]:
            raise ArithmeticError

        def break_down(event: str) -> None:
            if event == "1 snapshot":
                api.make = fail

        with pytest.raises(InferenceFault, match=rf"{api.url} gave no embeddings.*Check the address"):
            carry_on(run, Seen(break_down), dress)
        done = run.journal.done("snapshot")
        assert len(done) == 1
        assert done[0]["made"]
        api.make = vector
        figures = carry_on(run, dress=dress)
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

        figures = carry_on(run, Seen(break_down), dressing(run.settings()))
        assert "Retrieval goes on without embeddings" in caplog.text
        assert [each["episodes"] for each in figures] == [4, 4]
        with run.library(run.settings()) as library:
            assert len(EvidenceLog(library).rows(OutcomeRow)) == sum(each["episodes"] for each in figures)


def _run(folder: Path, api: EmbeddingApi, **more: int) -> EvolutionRun:
    quick = {**SMALL, "concurrency": 1, "embeddings": api.url, "embeddings_name": "m", **more}
    return new_run(folder, "backoffice", quick)
