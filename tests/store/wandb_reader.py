"""Run where wandb is installed: write a run's figures with our writer, and print what wandb's own file then holds.

The file is a log as LevelDB has it: a header of 7 bytes, then records of checksum, length, kind and data.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BLOCK = 32768
WHOLE = 1


def writer(path: str) -> Any:
    """Our writer, without the package around it."""
    spec = importlib.util.spec_from_file_location("wandb_log", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def records(data: bytes) -> Iterator[bytes]:
    assert data.startswith(b":W&B")
    assert len(data) < BLOCK, "a longer file splits its records"
    place = 7
    while place < len(data):
        _, length, kind = struct.unpack_from("<IHB", data, place)
        assert kind == WHOLE
        yield data[place + 7 : place + 7 + length]
        place += 7 + length


def main() -> None:
    given = json.loads(sys.stdin.read())
    history = {int(step): values for step, values in given.pop("history").items()}
    folder = writer(sys.argv[1]).write_wandb(history, Path(sys.argv[2]), **given)
    protocol: Any = importlib.import_module("wandb.proto.wandb_internal_pb2")
    found: dict[str, Any] = {"history": [], "config": {}, "summary": {}, "run": {}}
    (file,) = folder.glob("*.wandb")
    for data in records(file.read_bytes()):
        record: Any = protocol.Record()
        record.ParseFromString(data)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            found["run"] = {"name": record.run.display_name, "project": record.run.project}
            found["config"] |= _values(record.run.config.update)
        elif kind == "history":
            found["history"].append(_values(record.history.item))
        elif kind == "summary":
            found["summary"] |= _values(record.summary.update)
    sys.stdout.write(json.dumps({**found, "folder": folder.name}))


def _values(items: Any) -> dict[str, Any]:
    return {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items}


if __name__ == "__main__":
    main()
