"""Runs inside the sandbox: arguments from standard input, the tool's answer to standard output.

It is sent there as text and imports the standard library alone. What the tool prints goes to standard error, and
what it leaves running cannot answer in its place.
"""

import importlib
import json
import os
import sys

if __name__ == "__main__":
    answers = os.dup(1)
    os.dup2(2, 1)
    process = os.getpid()
    sys.path.insert(0, "scripts")
    arguments = json.load(sys.stdin)
    answer: object = importlib.import_module("tool").run(arguments)
    text = json.dumps(answer, allow_nan=False)
    if os.getpid() != process:
        os._exit(0)
    if not isinstance(answer, dict):
        sys.exit(f"TypeError: run(args) returns a dictionary, got {type(answer).__name__}")
    with os.fdopen(answers, "w", encoding="utf-8") as stream:
        stream.write(text)
