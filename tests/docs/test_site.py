"""The pages as a site: built with warnings as errors, complete, and without a request to anybody else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.docs.pages import DOCS, GUIDE, ROOT

LINKED_TO = {"arxiv.org", "github.com"}
"""Where plain links may lead."""


class Addresses(HTMLParser):
    """What a page links to, and what it loads by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.loaded: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "a" and given.get("href"):
            self.links.add(str(given["href"]))
        elif tag != "a":
            self.loaded |= {str(given[name]) for name in ("src", "href", "data", "action") if given.get(name)}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(
        [*command, "--config-file", str(ROOT / "mkdocs.yml")],
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return folder


def addresses(page: Path) -> Addresses:
    found = Addresses()
    found.feed(page.read_text("utf-8"))
    return found


def test_every_page_is_there_and_reachable(site: Path) -> None:
    pages = {path.relative_to(DOCS).with_suffix(".html") for path in DOCS.rglob("*.md")}
    assert {page for page in pages if page.name != "README.html" and not (site / page).is_file()} == set()
    front = {link.partition("#")[0] for link in addresses(site / "index.html").links}
    written = {str(page.relative_to(DOCS).with_suffix(".html")) for page in GUIDE if page.name != "index.md"}
    assert written <= front


def test_nothing_leaves_the_site(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > len(GUIDE)
    for page in pages:
        found = addresses(page)
        assert {address for address in found.loaded if urlsplit(address).netloc} == set(), page
        assert {urlsplit(link).hostname for link in found.links if urlsplit(link).netloc} <= LINKED_TO, page
    for style in site.rglob("*.css"):
        loaded = re.findall(r"""(?:url\(|@import )["']?(https?:|//)""", style.read_text("utf-8"))
        assert loaded == [], style


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("core", ["agentgym.core.env.AgentEnv.snapshot", "agentgym.core.memory.MemoryItem.version"]),
        ("environments", ["agentgym.registry.make", "agentgym.conformance.env.check_env"]),
        ("agents", ["agentgym.agents.chat.ChatAgent", "agentgym.agents.external.ProgramAgent"]),
        ("policies", ["agentgym.policies.local.LocalPolicy", "agentgym.policies.endpoint.EndpointPolicy"]),
        ("rollout", ["agentgym.rollout.collect.collect", "agentgym.rollout.forks.branch"]),
        (
            "training",
            ["agentgym.training.recipe.load_recipe", "agentgym.training.sections.RolloutSection.group_size"],
        ),
        ("evaluation", ["agentgym.evaluation.compare.compare", "agentgym.evaluation.statistics.pass_at_k"]),
        ("memory", ["agentgym.memory.recall.Recall", "agentgym.memory.skills.folder.read_skill"]),
        ("sandboxes", ["agentgym.sandboxes.backends.sandbox", "agentgym.sandboxes.process.ProcessSandbox"]),
        ("serving", ["agentgym.serving.gateway.Gateway", "agentgym.serving.environments.server.EnvServer"]),
    ],
)
def test_the_reference_has_what_is_public(page: str, names: list[str], site: Path) -> None:
    text = (site / "reference" / f"{page}.html").read_text("utf-8")
    assert [name for name in names if f'id="{name}"' not in text] == []


def test_examples_in_docstrings_are_code(site: Path) -> None:
    texts = [path.read_text("utf-8") for path in (site / "reference").glob("*.html")]
    assert any("&gt;&gt;&gt;" in text for text in texts)
    assert not any(re.search(r"<blockquote>\s*<blockquote>\s*<blockquote>", text) for text in texts)
