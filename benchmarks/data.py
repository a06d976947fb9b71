"""Input at scale: 10 million interactions from Parquet to batches, in seconds and memory."""

import tempfile
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from benchmarks.harness import Command
from benchmarks.machine import call
from benchmarks.report import fill, publish, table
from benchmarks.worker import peak_memory

_LENGTH, _BATCH = 50, 128
_STEPS = ("import", "read", "split", "one epoch of batches")
_TOTALS = ("all, s", "all, CPU s", "targets of the epoch", "peak memory, GB")


def make_log(path: str, rows: int, users: int, items: int, seed: int = 0) -> None:
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
    import tfrecs.data

    clock.append(time.perf_counter())
    log = tfrecs.data.read(path)
    clock.append(time.perf_counter())
    split = tfrecs.data.leave_last_out(log)
    del log
    clock.append(time.perf_counter())
    if kind == "sequences":
        batches, key = split.train.sequences(_LENGTH, windows="all").batch(_BATCH), "target"
    else:
        batches, key = split.train.pairs().batch(4096), "item_id"
    targets = sum(int(np.count_nonzero(batch[key])) for batch in batches)
    clock.append(time.perf_counter())
    figures = {"targets": targets, "cpu": time.process_time(), "peak": peak_memory() * 2**20}
    return figures | dict(zip(_STEPS, np.diff(clock).tolist(), strict=True))


def main() -> None:
    parser = Command("data", __doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--users", type=int, default=200_000)
    parser.add_argument("--items", type=int, default=100_000)
    options = parser.read(None)
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/log.parquet"
        make_log(path, options.rows, options.users, options.items)
        found = {kind: call("benchmarks.data:run", path, kind) for kind in ("sequences", "pairs")}
    columns = {"step": [*(f"{step}, s" for step in _STEPS), *_TOTALS]}
    for kind, r in found.items():
        columns[kind] = [f"{r[step]:.1f}" for step in _STEPS]
        columns[kind] += [f"**{sum(r[step] for step in _STEPS):.1f}**", f"{r['cpu']:.1f}"]
        columns[kind] += [f"{r['targets']:,.0f}", f"**{r['peak'] / 1e9:.2f}**"]
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    given = {**vars(options), "length": _LENGTH, "batch": _BATCH}
    publish("data", fill("data", **given, table=table(rows)), options.output)


if __name__ == "__main__":
    main()
