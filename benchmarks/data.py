"""Input at scale: 10 million rows from Parquet to batches, in seconds and memory.

`python -m benchmarks.data` makes a log of `--rows` interactions (items by Zipf's law, as in real
catalogues), then in a process of its own reads it, splits it leave-last-out, and runs through one
epoch of training batches; another process does the same for pairs. It prints a table and writes
its section of RESULTS.md. The aim is 4 GB and 60 s on 2 cores.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from benchmarks.harness import Command
from benchmarks.machine import call
from benchmarks.report import environment, publish, table

_LENGTH, _BATCH = 50, 128


def make_log(path: Path, rows: int, users: int, items: int, seed: int = 0) -> None:
    """Writes a log of random users, items by Zipf's law, and times in no order."""
    rng = np.random.default_rng(seed)
    weights = 1 / np.arange(1, items + 1)
    ranks = np.searchsorted(np.cumsum(weights) / weights.sum(), rng.random(rows))
    # Users too are of all sizes: a few with very many interactions.
    activity = rng.lognormal(0, 1, users)
    columns = {
        "user_id": np.searchsorted(np.cumsum(activity) / activity.sum(), rng.random(rows)),
        "item_id": rng.permutation(items)[ranks],
        "timestamp": rng.integers(1_500_000_000, 1_600_000_000, rows),
    }
    pa.parquet.write_table(pa.table(columns), path)


def run(path: str, kind: str) -> dict[str, float]:
    """Reads, splits and batches; returns seconds of each step and this process's peak memory."""
    clock = [time.perf_counter()]

    def lap() -> float:
        clock.append(time.perf_counter())
        return clock[-1] - clock[-2]

    import tfrecs

    room = tfrecs.data
    figures = {"import": lap()}
    log = room.read(path)
    figures["read"] = lap()
    split = room.leave_last_out(log)
    del log
    figures["split"] = lap()
    if kind == "sequences":
        batches = split.train.sequences(_LENGTH, windows="all").batch(_BATCH)
    else:
        batches = split.train.pairs().batch(4096)
    key = "target" if kind == "sequences" else "item_id"
    targets = sum(int(np.count_nonzero(batch[key])) for batch in batches)
    figures["one epoch of batches"] = lap()
    figures["targets"] = targets
    used = resource.getrusage(resource.RUSAGE_SELF)
    figures["cpu"] = used.ru_utime + used.ru_stime
    figures["peak"] = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return figures


def main() -> None:
    """Measures and writes the section."""
    parser = Command("data", __doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--users", type=int, default=200_000)
    parser.add_argument("--items", type=int, default=100_000)
    options = parser.read(None, "rows", "users", "items")
    kinds = ("sequences", "pairs")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "log.parquet")
        make_log(path, options.rows, options.users, options.items)
        results = [call("benchmarks.data:run", str(path), kind) for kind in kinds]
    steps = ("import", "read", "split", "one epoch of batches")
    rows = [[f"{step}, s", *(f"{r[step]:.1f}" for r in results)] for step in steps]
    rows += [
        ["all, s", *(f"**{sum(r[step] for step in steps):.1f}**" for r in results)],
        ["all, CPU s", *(f"{r['cpu']:.1f}" for r in results)],
        ["targets of the epoch", *(f"{r['targets']:,.0f}" for r in results)],
        ["peak memory, GB", *(f"**{r['peak'] / 1e9:.2f}**" for r in results)],
    ]
    text = (
        f"`{options.command}`: {options.users:,} users, {options.items:,} items by Zipf's law, "
        f"leave-last-out. Sequences: every interaction a target, windows of {_LENGTH}, batches of "
        f"{_BATCH}. Pairs: batches of 4,096. Aim: 60 s and 4 GB on 2 cores."
    )
    heading = f"## Input: {options.rows:,} interactions from Parquet to batches"
    parts = [heading, text, table(["step", *kinds], rows), environment()]
    publish("data", parts, options.output)


if __name__ == "__main__":
    main()
