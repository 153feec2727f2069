"""Runs inside the sandbox: the test programs named as arguments, one after another, in one process.

It is sent there as text and imports the standard library alone. Functions of a program whose name begins with `test` and
that take nothing are called, as pytest would. Only where every program came to its end is what came from standard input
written back.

The tool's code never comes into this process, where it could read that: what a program imports of it are stand-ins,
which have `tested.py` call it in a process of its own and take JSON for an answer. Nor can that process look into
this one, or change programs that have been read already.
"""

import builtins
import ctypes
import json
import os
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

_SET_DUMPABLE = 4
"""Of prctl: a process that may not be dumped shows nothing of itself in /proc to others of its user."""


class ToolExit(SystemExit):
    """The tool's own: whatever its code, nothing has passed."""


class Tool:
    """The process with the tool's code."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "tested.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def ask(self, **question: Any) -> Any:
        """Return its answer, or raise what it raised."""
        written = json.dumps(question)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(f"{written}\n".encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            self._give_up()
        line = self._process.stdout.readline()
        if not line.endswith(b"\n"):
            self._give_up()
        answer = json.loads(line)
        if answer["raised"] is not None:
            raise _error(answer["raised"], answer["args"], answer["text"])
        return answer["value"]

    def call(self, module: str, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call one of its functions, and let it change what it is given as it would here."""
        value, after = self.ask(module=module, name=name, call=[args, kwargs])
        for given, changed in zip([*args, *kwargs.values()], after, strict=True):
            if isinstance(given, (dict, list)) and given != changed:
                given.clear()
                given.update(changed) if isinstance(given, dict) else given.extend(changed)
        return value

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()

    def _give_up(self) -> None:
        """End as the tool's process did: no program can make something of that."""
        code = self._process.wait()
        sys.stderr.write(f"The tool ended the process before it was tested (exit code {code}).\n")
        sys.stderr.flush()
        os._exit(128 - code if code < 0 else 1)


class StandIn(types.ModuleType):
    """One of the tool's modules, as programs see it."""

    def __init__(self, name: str, tool: Tool) -> None:
        super().__init__(name)
        self._tool = tool

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        found = self._tool.ask(module=self.__name__, name=name)
        if "value" in found:
            return found["value"]

        def function(*args: Any, **kwargs: Any) -> Any:
            return self._tool.call(self.__name__, name, args, kwargs)

        function.__name__ = name
        return function


def _error(name: str, args: list[Any], text: str) -> BaseException:
    """Return an exception of the built-in class that the tool's was of."""
    if name == "SystemExit":
        return ToolExit(*args)
    kind = getattr(builtins, name, None)
    if isinstance(kind, type) and issubclass(kind, Exception):
        try:
            return kind(*args)
        except TypeError:
            pass
    return RuntimeError(f"{name}: {text}")


def run(path: str, program: types.CodeType) -> None:
    """Run a program and its test functions."""
    module = types.ModuleType("__main__")
    module.__file__, sys.argv = path, [path]
    sys.modules["__main__"] = module
    try:
        exec(program, module.__dict__)  # noqa: S102 - a test, in a sandbox
        for name, value in list(module.__dict__.items()):
            is_test = name.startswith("test") and isinstance(value, types.FunctionType)
            if is_test and not value.__code__.co_argcount:
                value()
    except SystemExit as end:
        if end.code or isinstance(end, ToolExit):
            sys.exit(f"SystemExit: {path} was ended with {end.code!r}")


def main(paths: list[str]) -> None:
    """Run the programs, and say that they were run."""
    if ctypes.CDLL(None).prctl(_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        sys.exit("The kernel does not keep the tests apart from the tool.")
    done = sys.stdin.read()
    answers = os.dup(1)
    os.dup2(2, 1)
    programs = {path: compile(Path(path).read_bytes(), path, "exec") for path in paths}
    tool = Tool()
    for script in sorted(Path("scripts").glob("*.py")):
        if script.stem not in sys.modules and script.stem not in sys.stdlib_module_names:
            sys.modules[script.stem] = StandIn(script.stem, tool)
    try:
        for path, program in programs.items():
            run(path, program)
    finally:
        tool.close()
    with os.fdopen(answers, "w", encoding="utf-8") as stream:
        stream.write(done)


if __name__ == "__main__":
    main(sys.argv[1:])
