"""What the tests here share: the alfworld package's two texts, which every game file repeats."""

import os
import subprocess
from pathlib import Path

import pytest

from agentgym.environments.alfworld.writer import AlfworldTexts


@pytest.fixture(scope="session")
def texts() -> AlfworldTexts:
    """Return the rules and the grammar of the alfworld package in its own virtual environment."""
    default = Path(__file__).parents[3] / ".venv-alfworld" / "bin" / "python"
    python = Path(os.environ.get("AGENTGYM_ALFWORLD_PYTHON") or default)
    if not python.exists():
        pytest.fail(
            f"{python}: the alfworld package is not installed. Run `make .venv-alfworld/ready` and test again."
        )
    find = "import importlib.util as u; print(u.find_spec('alfworld').submodule_search_locations[0])"
    found = subprocess.run([str(python), "-c", find], capture_output=True, text=True, check=True)
    return AlfworldTexts.load(Path(found.stdout.strip()) / "data")
