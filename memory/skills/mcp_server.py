"""Skills over MCP: the server's side of the extension `io.modelcontextprotocol/skills` (SEP-2640).

Each file of a skill is a resource, `skill://<space>/<name>/<path>`; `skills/list` and `skills/get` tell which there are, with
the digest and size of every file.
"""

from __future__ import annotations

import hashlib
import mimetypes
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from agentgym.core.errors import ConfigError, UsageError
from agentgym.core.memory import MemoryItem
from agentgym.memory.skills.document import front_of, write_document
from agentgym.memory.skills.folder import SKILL_FILE

try:
    from mcp.server.context import HandlerResult, ServerRequestContext
    from mcp.server.extension import Extension, MethodBinding, ResourceBinding
    from mcp.server.mcpserver import MCPServer
    from mcp.server.mcpserver.resources import BinaryResource
    from mcp.shared.exceptions import MCPError
    from mcp.types import INVALID_PARAMS, PaginatedRequestParams, RequestParams
except ImportError as error:
    raise ConfigError(
        "Skills over MCP need the `mcp` package: pip install 'agentgym-harness[mcp]'."
    ) from error

EXTENSION = "io.modelcontextprotocol/skills"
_FRESH: dict[str, Any] = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
"""What every answer says of how long it may be kept."""

PAGE = 100
"""Skills in one answer to `skills/list`."""


class GetSkillParams(RequestParams):
    """What `skills/get` is asked with."""

    uri: str


class SkillsExtension(Extension):
    """Serves items that are skills or tools. Raises `UsageError` for one that the standard cannot express."""

    identifier = EXTENSION

    def __init__(self, items: Sequence[MemoryItem]) -> None:
        self._files: dict[str, bytes] = {}
        self._entries: dict[str, dict[str, Any]] = {}
        for item in items:
            self._add(item)

    def settings(self) -> dict[str, Any]:
        """No optional features."""
        return {}

    def resources(self) -> Sequence[ResourceBinding]:
        """Every file."""
        return [ResourceBinding(self._resource(uri, data)) for uri, data in self._files.items()]

    def methods(self) -> Sequence[MethodBinding]:
        """`skills/list` and `skills/get`."""
        return [
            MethodBinding("skills/list", PaginatedRequestParams, self._list),
            MethodBinding("skills/get", GetSkillParams, self._get),
        ]

    def _add(self, item: MemoryItem) -> None:
        front = front_of(item)
        root = f"skill://{quote('/'.join(filter(None, [item.space, item.name])))}"
        if f"{root}/{SKILL_FILE}" in self._entries:
            raise UsageError(f"Two skills are called {root!r}; serve one version of each.")
        document = write_document(front, item.body).encode()
        files = {f"{root}/{quote(path)}": data for path, data in {SKILL_FILE: document, **item.files}.items()}
        self._files |= files
        uri = f"{root}/{SKILL_FILE}"
        manifest = [{"uri": each, "digest": digest(data), "size": len(data)} for each, data in files.items()]
        self._entries[uri] = {"uri": uri, "frontmatter": front, "resources": manifest}

    def _resource(self, uri: str, data: bytes) -> BinaryResource:
        is_skill = uri in self._entries
        kind = "text/markdown" if is_skill else mimetypes.guess_type(uri)[0] or "application/octet-stream"
        front: dict[str, Any] = self._entries[uri]["frontmatter"] if is_skill else {}
        name = front.get("name", uri.rpartition("/")[2])
        return BinaryResource(
            uri=uri, name=name, description=front.get("description"), mime_type=kind, data=data
        )

    async def _list(
        self, ctx: ServerRequestContext[Any, Any], params: PaginatedRequestParams
    ) -> HandlerResult:
        uris = sorted(self._entries)
        cursor = params.cursor or "0"
        if not cursor.isdecimal():
            raise MCPError(code=INVALID_PARAMS, message=f"Not a cursor of this server: {cursor!r:.40}")
        start = int(cursor)
        result = {"skills": [self._entries[uri] for uri in uris[start : start + PAGE]], **_FRESH}
        if start + PAGE < len(uris):
            result["nextCursor"] = str(start + PAGE)
        return result

    async def _get(self, ctx: ServerRequestContext[Any, Any], params: GetSkillParams) -> HandlerResult:
        if params.uri not in self._entries:
            raise MCPError(code=INVALID_PARAMS, message=f"There is no skill {params.uri!r:.200}")
        return {"skill": self._entries[params.uri], **_FRESH}


def skills_server(items: Sequence[MemoryItem], *, name: str = "agentgym-skills") -> MCPServer:
    """Return an MCP server of skills. `run("stdio")` serves whoever started the process; no port is opened."""
    return MCPServer(name, extensions=[SkillsExtension(items)], log_level="WARNING")


def digest(data: bytes) -> str:
    """Return the digest of a file as the extension writes it."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
