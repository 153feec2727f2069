"""What reinforcement adds in the quickstart, on three seeds, and whether a seed repeats itself.

    python -m benchmarks.quickstart_seeds [--seeds 0 1 2] [--runs DIR]

Each seed is a whole `agentgym quickstart` in a process of its own. Prints held-out success before and after
(`seen` and `unseen`), the paired difference with its 95 % interval, the minutes and the peak of resident memory;
then plays the first seed again and compares the two metrics files byte for byte.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from agentgym.evaluation.compare import compare
from agentgym.evaluation.rates import Rate
from agentgym.evaluation.report import Evaluation
from agentgym.training.run import Run


def quickstart(seed: int, runs: Path, name: str) -> tuple[Run, float, float]:
    """Carry out a quickstart; return its run, its minutes and its peak of resident memory in GB."""
    started = time.monotonic()
    command = [sys.executable, "-m", "agentgym.cli", "quickstart", "--seed", str(seed)]
    child = subprocess.Popen([*command, "--runs", str(runs), "--name", name], stdout=sys.stderr)
    _, status, usage = os.wait4(child.pid, 0)
    if status != 0:
        raise SystemExit(f"the quickstart of seed {seed} failed with wait status {status}")
    per_gigabyte = 1e9 if sys.platform == "darwin" else 1e6  # ru_maxrss: bytes on macOS, kilobytes on Linux
    return Run.open(runs / name), (time.monotonic() - started) / 60, usage.ru_maxrss / per_gigabyte


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--runs", type=Path, default=None, help="keep the runs here")
    parser.add_argument("--once", action="store_true", help="do not play the first seed again")
    options = parser.parse_args()
    runs: Path = options.runs or Path(tempfile.mkdtemp(prefix="quickstart-"))
    table = Table(
        "seed",
        "seen before",
        "seen after",
        "unseen before",
        "unseen after",
        "difference, points",
        "p",
        "minutes",
        "GB",
    )
    for seed in options.seeds:
        run, minutes, gigabytes = quickstart(seed, runs, f"seed-{seed}")
        before, after = (Evaluation.load(run.evaluation(name)) for name in ("before", "after"))
        found = compare(before, after).difference
        table.add_row(
            str(seed),
            *(
                _percent(evaluation.rate(group))
                for group in ("seen", "unseen")
                for evaluation in (before, after)
            ),
            f"{100 * found.estimate:+.1f} ({100 * found.low:+.1f} to {100 * found.high:+.1f})",
            f"{found.p_value:.4f}",
            f"{minutes:.1f}",
            f"{gigabytes:.1f}",
        )
    out = Console(width=140)
    out.print(table)
    if not options.once:
        first = options.seeds[0]
        again, *_ = quickstart(first, runs, f"seed-{first}-again")
        pair = [
            (run.path / "metrics.jsonl").read_bytes() for run in (Run.open(runs / f"seed-{first}"), again)
        ]
        out.print(
            f"metrics of seed {first} played twice: {'identical' if pair[0] == pair[1] else 'DIFFERENT'}"
        )


def _percent(rate: Rate) -> str:
    return f"{100 * rate.estimate:.1f} ({100 * rate.low:.1f} to {100 * rate.high:.1f})"


if __name__ == "__main__":
    main()
