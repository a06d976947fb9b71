"""Input at scale: 10 million rows from Parquet to batches, in seconds and memory.

`python -m benchmarks.data` makes a log of `--rows` interactions (items by Zipf's law, as in real
catalogues), then in a process of its own reads it, splits it leave-last-out, and runs through one
epoch of training batches; another process does the same for pairs. It prints a table and writes
its section of RESULTS.md. The aim is 4 GB and 60 s on 2 cores.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from benchmarks.results import environment, write_section

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
    """Reads, splits and batches; seconds of each step and the peak memory of this process."""
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
        key = "target"
    else:
        batches = split.train.pairs().batch(4096)
        key = "item_id"
    targets = 0
    for batch in batches:
        targets += int(np.count_nonzero(batch[key]))
    figures["one epoch of batches"] = lap()
    figures["targets"] = targets
    used = resource.getrusage(resource.RUSAGE_SELF)
    figures["cpu"] = used.ru_utime + used.ru_stime
    figures["peak"] = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return figures


def main() -> None:
    """Measures and writes the section."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--users", type=int, default=200_000)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--run", nargs=2, metavar=("PATH", "KIND"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        print(json.dumps(run(*options.run)))
        return

    results = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "log.parquet")
        make_log(path, options.rows, options.users, options.items)
        for kind in ("sequences", "pairs"):
            command = [sys.executable, "-m", "benchmarks.data", "--run", str(path), kind]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            results[kind] = json.loads(done.stdout.splitlines()[-1])

    lines = ["| step | sequences | pairs |", "|---|---|---|"]
    steps = ("import", "read", "split", "one epoch of batches")
    rows = [(f"{step}, s", [f"{r[step]:.1f}" for r in results.values()]) for step in steps]
    total = [f"**{sum(r[step] for step in steps):.1f}**" for r in results.values()]
    rows.append(("all, s", total))
    rows.append(("all, CPU s", [f"{r['cpu']:.1f}" for r in results.values()]))
    rows.append(("targets of the epoch", [f"{r['targets']:,.0f}" for r in results.values()]))
    rows.append(("peak memory, GB", [f"**{r['peak'] / 1e9:.2f}**" for r in results.values()]))
    lines += [f"| {name} | {' | '.join(cells)} |" for name, cells in rows]
    table = "\n".join(lines)
    print(table)
    write_section(
        "data",
        f"## Input: {options.rows:,} interactions from Parquet to batches\n\n"
        f"`python -m benchmarks.data`: {options.users:,} users, {options.items:,} items by Zipf's "
        f"law, leave-last-out. Sequences: every interaction a target, windows of {_LENGTH}, "
        f"batches of {_BATCH}. Pairs: batches of 4,096. Aim: 60 s and 4 GB on 2 cores.\n\n"
        f"{table}\n\n{environment()}",
    )


if __name__ == "__main__":
    main()
