"""Training steps of SASRec over small and large catalogues: milliseconds and peak memory."""

import statistics
import time
from collections.abc import Sequence

import numpy as np

from benchmarks.harness import Command
from benchmarks.machine import CPU_ONLY, OtherLoad, call
from benchmarks.report import MOST_OTHERS, count, fill, publish, short, table
from benchmarks.worker import peak_memory

_LENGTH, _DIM = 50, 64
# Histories of a batch, and warm steps that are timed.
_BATCH, _STEPS = 128, 30
_BATCH_OF_ALL, _STEPS_OF_ALL = 32, 3
BEFORE, SAMPLED, ALL = "before the first step", "256 shared negatives", "all items, Adam"
CASES = (
    BEFORE,
    SAMPLED,
    "the same, corrected logQ",
    "the same, Lorentzian similarity",
    "4,096 negatives of the batches before",
    "64 buckets of 64 targets and 256 items",
    ALL,
)


def run(case: str, num_items: int, steps: int | None = None) -> dict[str, float]:
    """Trains for some steps; returns the warm steps' median and least ms, and the peak in MB."""
    import tfrecs
    from tfrecs._keras import keras, tf

    losses, negatives = tfrecs.losses, tfrecs.negatives
    make = {
        CASES[2]: lambda: losses.SampledSoftmax(256, logq="corrected", seed=1),
        CASES[4]: lambda: losses.SampledSoftmax(negatives=negatives.CrossBatch(4096)),
        CASES[5]: lambda: losses.BucketedSoftmax(64, 64, 256, seed=1),
        ALL: losses.FullSoftmax,
    }.get(case, lambda: losses.SampledSoftmax(256, seed=1))
    similarity = {"similarity": "lorentz", "temperature": 1.0} if case == CASES[3] else {}
    model = tfrecs.models.SASRec(
        num_items, dim=_DIM, max_length=_LENGTH, loss=make(), seed=1, **similarity
    )
    model.compile(tfrecs.optimizers.Adam() if case == ALL else tfrecs.optimizers.LazyAdam())
    if case == BEFORE:
        return {"peak": peak_memory()}
    rows = _BATCH_OF_ALL if case == ALL else _BATCH
    steps = steps or (_STEPS_OF_ALL if case == ALL else _STEPS)
    # Every id is as likely: hardly any row of a large table is touched twice.
    ids = np.random.default_rng(0).integers(1, num_items + 1, (steps + 2, rows, _LENGTH + 1))
    batches = {"history": ids[..., :-1].astype(np.int32), "target": ids[..., 1:].astype(np.int32)}
    clock = Clock()

    class Watch(keras.callbacks.Callback):
        """Reads the clock around each step."""

        on_train_batch_begin = clock.begin
        on_train_batch_end = clock.end

    model.fit(tf.data.Dataset.from_tensor_slices(batches), verbose=0, callbacks=[Watch()])
    warm = [1000 * seconds for seconds in clock.took[2:]]
    return {"median": statistics.median(warm), "least": min(warm), "peak": peak_memory()}


class Clock:
    """Seconds of each step."""

    def __init__(self) -> None:
        self.took: list[float] = []
        self._start = 0.0

    def begin(self, *_: object) -> None:
        self._start = time.perf_counter()

    def end(self, *_: object) -> None:
        self.took.append(time.perf_counter() - self._start)


def measured(case: str, sizes: Sequence[int], rounds: int) -> dict[str, str]:
    """Returns the row of a case: a process a size and round, the sizes in turns."""
    found: dict[int, list[dict[str, float]]] = {size: [] for size in sizes}
    for _ in range(rounds if case not in (BEFORE, ALL) else 1):
        for size in sizes:
            found[size].append(call("benchmarks.catalogue:run", case, size, **CPU_ONLY))
            print(f"{case}, {size:,} items: {found[size][-1]}", flush=True)
    row, best = {"loss": case}, {}
    for size, results in found.items():
        if "median" in results[0]:
            best[size] = min(result["median"] for result in results)
            row[f"step, ms, {size:,}"] = short(best[size])
        else:
            row[f"step, ms, {size:,}"] = ""
    row["ratio"] = f"{best[sizes[-1]] / best[sizes[0]]:.2f} x" if best else ""
    for size, results in found.items():
        row[f"peak, GB, {size:,}"] = short(max(result["peak"] for result in results) / 1024)
    return row


def main(arguments: Sequence[str] | None = None) -> None:
    parser = Command("catalogue", __doc__)
    add = parser.add_argument
    add("--sizes", type=int, nargs=2, default=[10_000, 1_000_000], help="items (%(default)s)")
    add("--rounds", type=int, default=3, help="processes of each sampled loss (%(default)s)")
    options = parser.read(arguments)
    load = OtherLoad()
    rows = [measured(case, options.sizes, options.rounds) for case in CASES]
    others = f"Other processes took {100 * load.share():.0f}% of the processors' time meanwhile"
    others += ": too much to compare anything." if load.share() > MOST_OTHERS else "."
    given = {"dim": _DIM, "length": _LENGTH, "batch": _BATCH, "batch_of_all": _BATCH_OF_ALL}
    given |= {"steps": _STEPS, "targets": count(_BATCH * _LENGTH), "rounds": options.rounds}
    text = fill("catalogue", command=options.command, **given, table=table(rows), others=others)
    publish("catalogue", text, options.output)


if __name__ == "__main__":
    main()
