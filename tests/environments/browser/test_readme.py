from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from agentgym.environments import browser
from agentgym.environments.browser.grammar import VERBS

README = Path(browser.__file__).with_name("README.md").read_text("utf-8")


def test_the_code_runs(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(__file__).parents[3]), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Page 'Tea' at /index.html" in done.stdout
    assert "] textbox 'Kind'" in done.stdout
    assert "Done(valid=True, notes=())" in done.stdout


def test_every_action_is_listed() -> None:
    assert set(re.findall(r"`(\w+\([\w, .]*\))`", README)) >= {verb.usage for verb in VERBS.values()}
