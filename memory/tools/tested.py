"""Runs inside the sandbox beside `tester.py`: the tool's code, whose functions are called as the tests say.

It is sent there as text and imports the standard library alone. Questions and answers are JSON, a line each; what the tool
prints goes to standard error, and what it forks does not answer in its place. Nothing that the tests' verdict rests on is
in this process.
"""

import importlib
import json
import os
import sys
from typing import Any


def answer(question: dict[str, Any]) -> Any:
    """Return what a name stands for, or what the function of that name returns and what has become of its arguments."""
    found = getattr(importlib.import_module(question["module"]), question["name"])
    if "call" not in question:
        return {} if callable(found) else {"value": found}
    args, kwargs = question["call"]
    value = found(*args, **kwargs)
    return value, [*args, *kwargs.values()]


def told(question: dict[str, Any]) -> str:
    """Return an answer, or what was raised instead, as a line of JSON."""
    try:
        return json.dumps({"raised": None, "value": answer(question)})
    except BaseException as error:  # noqa: BLE001 - whatever it is, the tests are to see it
        kind = next(each.__name__ for each in type(error).__mro__ if each.__module__ == "builtins")
        about = {"raised": kind, "args": error.args, "text": f"{type(error).__name__}: {error}"}
        try:
            return json.dumps(about)
        except (TypeError, ValueError, RecursionError):
            return json.dumps({**about, "args": [str(error)]})


if __name__ == "__main__":
    questions, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    sys.path.insert(0, "scripts")
    process = os.getpid()
    for line in questions:
        said = told(json.loads(line))
        if os.getpid() != process:
            os._exit(0)
        sys.stdout.flush()
        answers.write(f"{said}\n")
        answers.flush()
