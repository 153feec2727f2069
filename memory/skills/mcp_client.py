"""Skills over MCP: the client's side of the extension `io.modelcontextprotocol/skills` (SEP-2640).

What comes is checked against its manifest. That shows that it is what the server meant to send, not that the server means
well: fetched skills are candidates, and nothing in them is run by fetching them.
"""

from __future__ import annotations

import base64
import json
from typing import Any, Literal
from urllib.parse import unquote

from pydantic import BaseModel, ValidationError

from agentgym.core.errors import ConfigError, InfrastructureError, UsageError
from agentgym.core.memory import ItemOrigin, MemoryItem, Provenance
from agentgym.memory.skills.document import check_name, fields_of, item_of, read_document
from agentgym.memory.skills.folder import MAX_FILES, MAX_TOTAL_BYTES, SKILL_FILE
from agentgym.memory.skills.mcp_server import EXTENSION, GetSkillParams, digest

try:
    from mcp import Client, MCPError
    from mcp.types import CacheableResult, PaginatedRequestParams, Request, TextResourceContents
except ImportError as error:
    raise ConfigError(
        "Skills over MCP need the `mcp` package: pip install 'agentgym-harness[mcp]'."
    ) from error

MAX_PAGES = 1000


class SkillFile(BaseModel):
    """A file of a skill, as its manifest says."""

    uri: str
    digest: str
    size: int


class SkillEntry(BaseModel):
    """A skill that a server offers."""

    uri: str
    frontmatter: dict[str, Any]
    resources: list[SkillFile] | Literal["dynamic"]


class _Listing(CacheableResult):
    skills: list[SkillEntry]
    next_cursor: str | None = None


class _Entry(CacheableResult):
    skill: SkillEntry


async def list_skills(client: Client) -> list[SkillEntry]:
    """Return what a connected server offers. Raises `UsageError` for a server that has no skills to offer."""
    _supports(client)
    found: list[SkillEntry] = []
    cursor: str | None = None
    for _ in range(MAX_PAGES):
        request = Request(method="skills/list", params=PaginatedRequestParams(cursor=cursor))
        page = await _ask(client, request, _Listing)
        found += page.skills
        cursor = page.next_cursor
        if cursor is None:
            return found
    raise UsageError(f"The server's list of skills has more than {MAX_PAGES} pages.")


async def get_skill(client: Client, uri: str) -> SkillEntry:
    """Return the entry of one skill. Raises `UsageError` where the server has none at `uri`."""
    _supports(client)
    return (await _ask(client, Request(method="skills/get", params=GetSkillParams(uri=uri)), _Entry)).skill


async def fetch_skill(
    client: Client, entry: SkillEntry, *, origin: str, space: str = ""
) -> tuple[MemoryItem, Provenance]:
    """Fetch the files of a skill and return it as an item, with where it comes from.

    `origin` is the user's own label for the server. The item's space is `space/origin`, so that skills of the same
    name from two servers are two items. Raises `UsageError` for a skill without a manifest, one that is too large,
    and for anything that is not what the manifest says.
    """
    check_name(origin)
    files = _checked(entry)
    root = entry.uri.removesuffix(SKILL_FILE)
    data = {unquote(file.uri.removeprefix(root)): await _read(client, file) for file in files}
    try:
        text = data.pop(SKILL_FILE).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{entry.uri} is not UTF-8: {error}.") from None
    document = read_document(text, entry.uri)
    if {key: _plain(value) for key, value in entry.frontmatter.items()} != fields_of(text, entry.uri):
        raise UsageError(f"{entry.uri} has other front matter than the server says; it is not taken over.")
    if unquote(root.rstrip("/").rpartition("/")[2]) != document.front["name"]:
        raise UsageError(f"{entry.uri} holds a skill of another name, {document.front['name']!r}.")
    item = item_of(document, data, space="/".join(filter(None, [space, origin])))
    return item, Provenance(ItemOrigin.IMPORTED, f"{origin} {entry.uri}")


def _supports(client: Client) -> None:
    if EXTENSION not in (client.server_capabilities.extensions or {}):
        raise UsageError(f"The server does not offer skills: it does not declare {EXTENSION}.")


def _checked(entry: SkillEntry) -> list[SkillFile]:
    files = entry.resources
    if isinstance(files, str):
        raise UsageError(
            f"{entry.uri} is generated anew each time and cannot be checked; it is not taken over."
        )
    root = entry.uri.removesuffix(SKILL_FILE)
    uris = [file.uri for file in files]
    if not entry.uri.endswith(f"/{SKILL_FILE}") or entry.uri not in uris or len(set(uris)) < len(uris):
        raise UsageError(f"{entry.uri}: its manifest does not list {SKILL_FILE} and every file once.")
    if any(not uri.startswith(root) for uri in uris):
        raise UsageError(f"{entry.uri}: its manifest lists files outside the skill.")
    if len(files) > MAX_FILES or sum(max(file.size, 0) for file in files) > MAX_TOTAL_BYTES:
        raise UsageError(f"{entry.uri} has more than {MAX_FILES} files or {MAX_TOTAL_BYTES} bytes.")
    return files


async def _read(client: Client, file: SkillFile) -> bytes:
    try:
        (content,) = (await client.read_resource(file.uri, cache_mode="refresh")).contents
        text = isinstance(content, TextResourceContents)
        data = content.text.encode() if text else base64.b64decode(content.blob, validate=True)
    except (MCPError, ValidationError, ValueError) as error:
        raise UsageError(f"{file.uri} cannot be read from the server: {error}") from error
    if len(data) != file.size or digest(data) != file.digest:
        raise UsageError(
            f"{file.uri} is not what the server's manifest says; ask for the skill's entry again and look at it anew."
        )
    return data


async def _ask(client: Client, request: Any, kind: Any) -> Any:
    try:
        return await client.session.send_request(request, kind)
    except ValidationError as error:
        raise UsageError(f"The server's answer to {request.method} is none: {error}") from error
    except MCPError as error:
        if error.error.code == -32602:
            raise UsageError(f"The server refuses {request.method}: {error}") from error
        raise InfrastructureError(f"{request.method} failed at the server: {error}") from error


def _plain(value: Any) -> Any:
    """Return a value of an entry's front matter as `fields_of` reads it."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list):
        return " ".join(_plain(each) for each in value)  # pyright: ignore[reportUnknownVariableType]
    return value if isinstance(value, str) else json.dumps(value)
