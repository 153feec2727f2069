"""Skills from one process to another over MCP: the official package's own client and transports."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters, stdio_client
from mcp.server.mcpserver import MCPServer

from agentgym.core.errors import UsageError
from agentgym.core.memory import ItemKind, ItemOrigin, ItemStatus, MemoryItem
from agentgym.memory.skills.folder import write_skill
from agentgym.memory.skills.mcp_client import SkillEntry, fetch_skill, get_skill, list_skills
from agentgym.memory.skills.mcp_server import PAGE, SkillsExtension, skills_server
from agentgym.memory.store.store import MemoryStore
from tests.memory.skills.test_folder import TOOL, skill

SERVER = """
import sys
from pathlib import Path
from agentgym.memory.skills.folder import read_skills
from agentgym.memory.skills.mcp_server import skills_server

skills_server([read.item for read in read_skills(Path(sys.argv[1]), space="shared")]).run("stdio")
"""


def talk(server: Any, ask: Callable[[Client], Awaitable[Any]]) -> Any:
    async def inside() -> Any:
        async with Client(server) as client:
            try:
                return await ask(client)
            except UsageError as error:  # raised here, it would leave the client in a group of exceptions
                return error

    said = asyncio.run(inside())
    if isinstance(said, UsageError):
        raise said
    return said


async def take_all(client: Client) -> list[Any]:
    return [await fetch_skill(client, entry, origin="library") for entry in await list_skills(client)]


def test_skills_go_from_process_to_process(tmp_path: Path) -> None:
    for item in (skill(files={"notes/größe.md": b"\x00\xff"}), TOOL):
        write_skill(item, tmp_path / "skills")
    process = StdioServerParameters(
        command=sys.executable, args=["-c", SERVER, str(tmp_path / "skills")], cwd=Path.cwd()
    )
    taken = talk(stdio_client(process), take_all)
    with MemoryStore(tmp_path / "memory.db") as store:
        versions = store.put_all(taken)
        items = [store.get(version) for version in versions]
        assert [(item.name, item.space, item.kind) for item in items] == [
            ("count-plates", "library", ItemKind.TOOL),
            ("heat-food", "library", ItemKind.SKILL),
        ]
        assert items[0].files == TOOL.files
        assert items[1].files == {"notes/größe.md": b"\x00\xff"}
        assert {entry.status for entry in store.entries()} == {ItemStatus.CANDIDATE}
        provenance = store.provenance(versions[0])
        assert provenance.origin is ItemOrigin.IMPORTED
        assert provenance.author == "library skill://shared/count-plates/SKILL.md"


def test_skills_of_the_same_name_do_not_collide() -> None:
    async def take(client: Client, origin: str) -> MemoryItem:
        (entry,) = await list_skills(client)
        return (await fetch_skill(client, entry, origin=origin, space="team"))[0]

    one, other = (
        talk(skills_server([skill(body=name)]), lambda client, name=name: take(client, name))
        for name in ("a", "b")
    )
    assert one.name == other.name
    assert (one.space, other.space) == ("team/a", "team/b")
    assert one.identity != other.identity


def test_long_lists_come_in_pages_and_one_skill_by_its_uri() -> None:
    server = skills_server([skill(f"s{n:03d}") for n in range(PAGE + 3)])

    async def ask(client: Client) -> tuple[list[SkillEntry], SkillEntry]:
        return await list_skills(client), await get_skill(client, "skill://s002/SKILL.md")

    entries, one = talk(server, ask)
    assert len({entry.uri for entry in entries}) == PAGE + 3
    assert one == entries[2]
    assert one.frontmatter["name"] == "s002"
    with pytest.raises(UsageError, match="There is no skill 'skill://nowhere"):
        talk(server, lambda client: get_skill(client, "skill://nowhere/SKILL.md"))


def test_a_server_without_skills() -> None:
    with pytest.raises(UsageError, match="does not offer skills"):
        talk(MCPServer("other"), list_skills)


def test_one_version_of_a_skill_is_served() -> None:
    with pytest.raises(UsageError, match="serve one version of each"):
        skills_server([skill(), skill(body="other")])


class Lying(SkillsExtension):
    """Serves files or a manifest that were changed afterwards."""

    def __init__(
        self, items: Sequence[MemoryItem], change: Callable[[dict[str, bytes], dict[str, Any]], None]
    ) -> None:
        super().__init__(items)
        (entry,) = self._entries.values()
        change(self._files, entry)


URI = "skill://heat-food/SKILL.md"


def swap_body(files: dict[str, bytes], entry: dict[str, Any]) -> None:
    files[URI] = files[URI].replace(b"microwave", b"MICROWAVE")


def swap_description(files: dict[str, bytes], entry: dict[str, Any]) -> None:
    entry["frontmatter"] = {**entry["frontmatter"], "description": "Harmless."}


def hide_a_file(files: dict[str, bytes], entry: dict[str, Any]) -> None:
    del files["skill://heat-food/a.md"]


def leave_the_skill(files: dict[str, bytes], entry: dict[str, Any]) -> None:
    entry["resources"].append({**entry["resources"][0], "uri": "skill://other/a.md"})


def climb_out(files: dict[str, bytes], entry: dict[str, Any]) -> None:
    files["skill://heat-food/..%2Fevil.md"] = data = b""
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    entry["resources"].append(
        {"uri": "skill://heat-food/..%2Fevil.md", "digest": f"sha256:{empty}", "size": len(data)}
    )


def no_manifest(files: dict[str, bytes], entry: dict[str, Any]) -> None:
    entry["resources"] = "dynamic"


def too_large(files: dict[str, bytes], entry: dict[str, Any]) -> None:
    entry["resources"][0]["size"] = 2**30


def another_name(files: dict[str, bytes], entry: dict[str, Any]) -> None:
    for uri in list(files):
        files[uri.replace("heat-food", "cool-food")] = files[uri]
    entry["uri"] = entry["uri"].replace("heat-food", "cool-food")
    for file in entry["resources"]:
        file["uri"] = file["uri"].replace("heat-food", "cool-food")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (swap_body, "not what the server's manifest says"),
        (swap_description, "other front matter than the server says"),
        (hide_a_file, "cannot be read from the server"),
        (leave_the_skill, "files outside the skill"),
        (climb_out, "relative paths inside it|cannot be read"),
        (no_manifest, "cannot be checked"),
        (too_large, "more than 512 files"),
        (another_name, "a skill of another name"),
    ],
)
def test_what_a_server_lies_about_is_not_taken_over(
    change: Callable[[dict[str, bytes], dict[str, Any]], None], complaint: str
) -> None:
    server = MCPServer("lying", extensions=[Lying([skill(files={"a.md": b"a"})], change)], log_level="ERROR")
    with pytest.raises(UsageError, match=complaint):
        talk(server, take_all)
