"""Training on an environment behind a URL."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from agentgym.core.errors import UsageError
from agentgym.training.recipe import load_recipe
from agentgym.training.run import Run
from agentgym.training.trainer import Trainer
from tests.serving.environments.stand import served
from tests.training.test_trainer import TINY

SHORT = ["iterations=1", "evaluation.heldout_tasks=1", "rollout.tasks=2"]
SAME = ("reward", "turns", "invalid_action_share", "sampled_tokens", "trained_tokens", "loss", "grad_norm")


def trained(root: Path, env: str) -> dict[str, float]:
    run = Run.create(load_recipe("quickstart", [*TINY, *SHORT, f"environment.id={env}"]), root, "mine")
    Trainer(run).train()
    (line,) = run.lines()
    return {name: line[name] for name in SAME}


def test_a_policy_learns_from_afar_what_it_learns_here_and_no_token_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served("household") as stand:
        whole = urlsplit(stand.url)
        assert whole.password
        monkeypatch.setenv("AGENTGYM_TOKEN", whole.password)
        far = trained(tmp_path / "far", f"ws://{whole.hostname}:{whole.port}")
    assert far == pytest.approx(trained(tmp_path / "near", "household"), rel=1e-5)
    assert far["grad_norm"] > 0
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert kept
    assert not [path for path in kept if whole.password.encode() in path.read_bytes()]


def test_a_run_takes_no_token(tmp_path: Path) -> None:
    recipe = load_recipe("quickstart", ["environment.id=ws://:verysecret@127.0.0.1:8000"])
    with pytest.raises(UsageError, match="without one, and set AGENTGYM_TOKEN") as caught:
        Run.create(recipe, tmp_path)
    assert "verysecret" not in str(caught.value)
    assert not list(tmp_path.iterdir())
