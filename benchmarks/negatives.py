"""A million negatives that leave out what each user knows, beside loops that redraw known items.

`TFRECS_DATA=path/to/data python -m benchmarks.negatives` draws 1,000,000 negatives for users of
MovieLens-1M (`ml-1m-sequences.txt.gz`) by each way, in turns, and writes its section of RESULTS.md.
The aims: 20 times as fast as a loop in Python and numpy that redraws known items user by user, and
less than twice the time of drawing without leaving anything out.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import tfrecs
from benchmarks.results import RESULTS, environment, write_section
from tfrecs._keras import tf
from tfrecs.negatives import KnownItems, Negatives, Popularity, Uniform

_TOTAL = 1_000_000


def loop(users: np.ndarray, k: int, known: dict[int, np.ndarray], num_items: int) -> None:
    """Draws for one user after another, and again what the user knows."""
    rng = np.random.default_rng(0)
    for user in users:
        items = rng.integers(1, num_items + 1, k)
        bad = np.isin(items, known[user])
        while bad.any():
            items[bad] = rng.integers(1, num_items + 1, bad.sum())
            bad = np.isin(items, known[user])


def sets_loop(users: np.ndarray, k: int, known: dict[int, set[int]], num_items: int) -> None:
    """The same, one negative after another, as the code of many papers does."""
    rng = np.random.default_rng(0)
    for user in users:
        for _ in range(k):
            item = rng.integers(1, num_items + 1)
            while item in known[user]:
                item = rng.integers(1, num_items + 1)


def calls(
    negatives: Negatives, users: np.ndarray, items: np.ndarray, num_items: int, rows: int, jit: bool
) -> Callable[[], object]:
    """What draws for all users in batches of `rows`."""

    @tf.function(jit_compile=jit)
    def draw(positives: tf.Tensor, user_ids: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        sample = negatives(positives, num_items, user_ids=user_ids)
        return sample.ids, sample.log_probability

    batches = [
        (tf.constant(items[i : i + rows]), tf.constant(users[i : i + rows]))
        for i in range(0, len(users), rows)
    ]
    return lambda: [draw(*batch) for batch in batches][-1][0].numpy()


def main() -> int:
    """Measures and writes the section."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=5, help="timed runs of each (%(default)s)")
    parser.add_argument("--output", type=Path, default=RESULTS, help="file of the section")
    options = parser.parse_args()
    path = Path(os.environ.get("TFRECS_DATA", ""), "ml-1m-sequences.txt.gz")
    if "TFRECS_DATA" not in os.environ or not path.exists():
        print(
            "benchmarks.negatives: set TFRECS_DATA to the folder of ml-1m-sequences.txt.gz.",
            file=sys.stderr,
        )
        return 2
    split = tfrecs.data.leave_last_out(tfrecs.data.read(path))
    train, n = split.train, split.train.num_items
    known = KnownItems.from_split(split)
    arrays = dict(zip(train.user_ids.tolist(), map(np.unique, train.histories), strict=True))
    sets = {user: set(items.tolist()) for user, items in arrays.items()}
    pairs = train.pairs()
    order = np.random.default_rng(0).permutation(len(pairs))

    sections = []
    for k, rows in ((10, 10_000), (1000, 1000)):
        place = order[: _TOTAL // k]
        users, items = pairs.user_id[place], pairs.item_id[place]
        samplers: dict[str, Negatives] = {
            "`Uniform`, nothing left out": Uniform(k, False, seed=1),
            "`Uniform(known=...)`": Uniform(k, False, seed=1, known=known),
            "`Popularity`, nothing left out": Popularity.from_split(split, k, shared=False, seed=1),
            "`Popularity(known=...)`": Popularity.from_split(
                split, k, shared=False, seed=1, known=known
            ),
        }
        runs: dict[str, Callable[[], object]] = {
            "Python, sets": lambda u=users, k=k: sets_loop(u, k, sets, n),
            "numpy, user by user": lambda u=users, k=k: loop(u, k, arrays, n),
        }
        for name, sampler in samplers.items():
            runs[name] = calls(sampler, users, items, n, rows, False)
            runs[f"{name}, XLA"] = calls(sampler, users, items, n, rows, True)
        seconds = measure(runs, options.times)
        least = {name: min(turns) for name, turns in seconds.items()}
        lines = [
            "| 1,000,000 negatives | median, ms | least, ms | numpy's time | of nothing left out |",
            "|---|---|---|---|---|",
        ]
        for name, turns in seconds.items():
            plain = name.replace("(known=...)`", "`, nothing left out")
            lines.append(
                f"| {name} | {1000 * statistics.median(turns):.1f} | {1000 * min(turns):.1f} | "
                f"{least['numpy, user by user'] / min(turns):.1f} x | "
                + (f"{min(turns) / least[plain]:.2f} x |" if plain != name else "|")
            )
        sections.append(
            f"{k:,} for each of {_TOTAL // k:,} interactions, in batches of {rows:,}:\n\n"
            + "\n".join(lines)
        )
        print(sections[-1], flush=True)
    write_section(
        "negatives",
        "## Negatives without known items\n\n"
        f"`python -m benchmarks.negatives`: users of MovieLens-1M ({n:,} items, "
        f"{known.num_known:,} known), ids and log-probabilities; in turns in one process, the "
        f"least of {options.times} in the ratios. Aims: 20 times as fast as a loop user by user, "
        "less than twice the time of drawing without leaving anything out.\n\n"
        + "\n\n".join(sections)
        + f"\n\n{environment()}",
        options.output,
    )
    return 0


def measure(runs: dict[str, Callable[[], object]], times: int) -> dict[str, list[float]]:
    """Seconds of each run, in turns, after a first turn that also compiles; loops run once."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(times + 1):
        for name, run in runs.items():
            slow = name.startswith(("Python", "numpy"))
            if slow and turn != 1:
                continue
            start = time.perf_counter()
            run()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return seconds


if __name__ == "__main__":
    sys.exit(main())
