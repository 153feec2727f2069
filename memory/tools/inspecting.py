"""What the code of a tool says before it is run: what it has no honest use for, and which arguments it reads.

The sandbox is what keeps a tool from doing harm. Reading its code keeps out what would try, and names it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from agentgym.core.memory import MemoryItem
from agentgym.memory.scan import Finding
from agentgym.memory.tools.document import CODE_FILE

SCRIPTS = "scripts/"
"""Where the code of a tool lies, besides its tests."""

_MODULES = {
    "the network, which a tool does not have": (
        *("socket", "ssl", "urllib.request", "http.client", "http.server", "ftplib", "smtplib", "telnetlib"),
        *("requests", "httpx", "aiohttp", "socketserver", "xmlrpc"),
    ),
    "other processes": ("subprocess", "multiprocessing", "pty", "concurrent.futures.process"),
    "memory as machine code": ("ctypes", "cffi", "mmap"),
    "code that is made while it runs": (
        "importlib",
        "imp",
        "runpy",
        "code",
        "codeop",
        "marshal",
        "pickle",
        "shelve",
    ),
}
_CALLS = {"code that is made while it runs": ("eval", "exec", "compile", "__import__")}
_ATTRIBUTES = {
    "the environment, which may hold secrets": ("environ", "environb", "getenv", "getenvb"),
    "other processes": (
        *("fork", "forkpty", "system", "popen", "kill", "killpg", "posix_spawn", "posix_spawnp"),
        *(
            f"{kind}{form}"
            for kind in ("exec", "spawn")
            for form in ("l", "le", "lp", "lpe", "v", "ve", "vp", "vpe")
        ),
    ),
}
"""Of the module `os`."""


def inspect_code(item: MemoryItem) -> list[Finding]:
    """Return what the code of a tool asks for that a function of its arguments has no use for.

    Code that is no Python gives nothing: see `agentgym.memory.tools.document.spec_of`.
    """
    found: list[Finding] = []
    for path, data in sorted(item.files.items()):
        if path.startswith(SCRIPTS) and path.endswith(".py"):
            tree = parsed(data)
            found += [Finding(f"use of {rule}", path, text) for rule, text in _uses(tree)] if tree else []
    return found


def arguments_read(item: MemoryItem) -> set[str]:
    """Return the names of the arguments that `run` reads as `args["name"]` or `args.get("name")`."""
    tree = parsed(item.files[CODE_FILE])
    runs = (
        [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "run"]
        if tree
        else []
    )
    if not runs:
        return set()
    (given,) = [*runs[-1].args.posonlyargs, *runs[-1].args.args][:1]
    read: set[str] = set()
    for node in ast.walk(runs[-1]):
        match node:
            case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=str(key)), ctx=ast.Load()):
                read |= {key} if name == given.arg else set()
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id=name), attr="get"),
                args=[ast.Constant(value=str(key)), *_],
            ):
                read |= {key} if name == given.arg else set()
            case _:
                pass
    return read


def parsed(data: bytes) -> ast.Module | None:
    """Return Python code as a tree; None for what is none."""
    try:
        return ast.parse(data)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _uses(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from _modules([alias.name for alias in names], node)
            case ast.ImportFrom(module=str(module), names=names, level=0):
                yield from _modules([module, *(f"{module}.{alias.name}" for alias in names)], node)
                if module == "os":
                    yield from _named(_ATTRIBUTES, [alias.name for alias in names], node)
            case ast.Call(func=ast.Name(id=name)):
                yield from _named(_CALLS, [name], node)
            case ast.Attribute(value=ast.Name(id="os" | "posix"), attr=name):
                yield from _named(_ATTRIBUTES, [name], node)
            case _:
                pass


def _modules(names: list[str], node: ast.AST) -> Iterator[tuple[str, str]]:
    for rule, banned in _MODULES.items():
        if any(name == each or name.startswith(f"{each}.") for name in names for each in banned):
            yield rule, ast.unparse(node)[:80]


def _named(rules: dict[str, tuple[str, ...]], names: list[str], node: ast.AST) -> Iterator[tuple[str, str]]:
    for rule, banned in rules.items():
        if any(name in banned for name in names):
            yield rule, ast.unparse(node)[:80]
