"""A million negatives that leave out known items, beside loops that redraw known items."""

import statistics
from collections.abc import Callable
from functools import partial

import numpy as np

import tfrecs
from benchmarks.harness import Command, in_turns
from benchmarks.report import fill, publish, table
from tfrecs._keras import tf
from tfrecs.negatives import KnownItems, Negatives, Popularity, Uniform

_TOTAL = 1_000_000
_FILE = "ml-1m-sequences.txt.gz"
SETS, LOOP = "Python, sets", "numpy, user by user"


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
    """Draws one negative after another, as the code of many papers does."""
    rng = np.random.default_rng(0)
    for user in users:
        for _ in range(k):
            item = rng.integers(1, num_items + 1)
            while item in known[user]:
                item = rng.integers(1, num_items + 1)


def calls(
    negatives: Negatives, users: np.ndarray, items: np.ndarray, num_items: int, rows: int, jit: bool
) -> Callable[[], object]:
    """Returns a function that draws for all users in batches of `rows`."""

    @tf.function(jit_compile=jit)
    def draw(positives: tf.Tensor, user_ids: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        sample = negatives(positives, num_items, user_ids=user_ids)
        return sample.ids, sample.log_probability

    batches = [*tf.data.Dataset.from_tensor_slices((items, users)).batch(rows)]
    return lambda: [draw(*batch) for batch in batches][-1][0].numpy()


def main() -> None:
    parser = Command("negatives", __doc__, data=True)
    parser.add_argument("--times", type=int, default=5, help="timed runs of each (%(default)s)")
    options = parser.read(None)
    split = tfrecs.data.leave_last_out(tfrecs.data.read(parser.folder(options.data, _FILE) / _FILE))
    train, n = split.train, split.train.num_items
    known = KnownItems.from_split(split)
    arrays = dict(zip(train.user_ids.tolist(), map(np.unique, train.histories), strict=True))
    sets = {user: set(items.tolist()) for user, items in arrays.items()}
    pairs = train.pairs()
    order = np.random.default_rng(0).permutation(len(pairs))
    tables = []
    for k, rows in ((10, 10_000), (1000, 1000)):
        place = order[: _TOTAL // k]
        users, items = pairs.user_id[place], pairs.item_id[place]
        uniform = partial(Uniform, k, shared=False, seed=1)
        popularity = partial(Popularity.from_split, split, k, shared=False, seed=1)
        samplers = {
            "`Uniform`, nothing left out": uniform(),
            "`Uniform(known=...)`": uniform(known=known),
            "`Popularity`, nothing left out": popularity(),
            "`Popularity(known=...)`": popularity(known=known),
        }
        runs: dict[str, Callable[[], object]] = {
            SETS: partial(sets_loop, users, k, sets, n),
            LOOP: partial(loop, users, k, arrays, n),
        }
        for name, sampler in samplers.items():
            runs[name] = calls(sampler, users, items, n, rows, False)
            runs[f"{name}, XLA"] = calls(sampler, users, items, n, rows, True)
        times = in_turns(runs, options.times, once=(SETS, LOOP))
        least = {name: turns[:, 0].min() for name, turns in times.items()}
        lines = []
        for name, turns in times.items():
            plain = name.replace("(known=...)`", "`, nothing left out")
            share = f"{least[name] / least[plain]:.2f} x" if plain != name else ""
            line = {
                "1,000,000 negatives": name,
                "median, ms": f"{1000 * statistics.median(turns[:, 0]):.1f}",
                "least, ms": f"{1000 * least[name]:.1f}",
                "numpy's time": f"{least[LOOP] / least[name]:.1f} x",
                "of nothing left out": share,
            }
            lines.append(line)
        tables.append(table(lines))
    given = {"command": options.command, "items": n, "known": known.num_known}
    text = fill("negatives", **given, times=options.times, few=tables[0], many=tables[1])
    publish("negatives", text, options.output)


if __name__ == "__main__":
    main()
