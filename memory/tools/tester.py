"""Runs inside the sandbox: the test programs named as arguments, one after another, in one process.

It is sent there as text and imports the standard library alone. Functions of a program whose name begins with `test` and
that take nothing are called, as pytest would. Only where every program came to its end is what came from standard input
written back: code under test that ends the process has passed nothing.
"""

import os
import runpy
import sys
import traceback
import types

if __name__ == "__main__":
    done, paths = sys.stdin.read(), sys.argv[1:]
    answers = os.dup(1)
    os.dup2(2, 1)
    sys.path.insert(0, "scripts")
    for path in paths:
        sys.argv = [path]
        try:
            found = runpy.run_path(path, run_name="__main__")
            for name, value in found.items():
                is_test = name.startswith("test") and isinstance(value, types.FunctionType)
                if is_test and not value.__code__.co_argcount:
                    value()
        except SystemExit as end:
            frames = traceback.extract_tb(end.__traceback__)
            if end.code or "/scripts/" in frames[-1].filename:
                sys.exit(f"SystemExit: {path} was ended with {end.code!r}")
    with os.fdopen(answers, "w", encoding="utf-8") as stream:
        stream.write(done)
