"""A million negatives that leave out known items, beside loops that redraw known items."""

import statistics
from collections.abc import Callable

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
    """Returns what draws for all users in batches of `rows`."""

    @tf.function(jit_compile=jit)
    def draw(positives: tf.Tensor, user_ids: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        sample = negatives(positives, num_items, user_ids=user_ids)
        return sample.ids, sample.log_probability

    batches = [
        (tf.constant(items[i : i + rows]), tf.constant(users[i : i + rows]))
        for i in range(0, len(users), rows)
    ]
    return lambda: [draw(*batch) for batch in batches][-1][0].numpy()


def main() -> None:
    parser = Command("negatives", __doc__, data=True)
    parser.add_argument("--times", type=int, default=5, help="timed runs of each (%(default)s)")
    options = parser.read(None, "times")
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
        common = {"shared": False, "seed": 1}
        samplers: dict[str, Negatives] = {
            "`Uniform`, nothing left out": Uniform(k, **common),
            "`Uniform(known=...)`": Uniform(k, **common, known=known),
            "`Popularity`, nothing left out": Popularity.from_split(split, k, **common),
            "`Popularity(known=...)`": Popularity.from_split(split, k, **common, known=known),
        }
        runs: dict[str, Callable[[], object]] = {
            SETS: lambda u=users, k=k: sets_loop(u, k, sets, n),
            LOOP: lambda u=users, k=k: loop(u, k, arrays, n),
        }
        for name, sampler in samplers.items():
            runs[name] = calls(sampler, users, items, n, rows, False)
            runs[f"{name}, XLA"] = calls(sampler, users, items, n, rows, True)
        times = in_turns(runs, options.times, once=(SETS, LOOP))
        least = {name: turns[:, 0].min() for name, turns in times.items()}
        lines = []
        for name, turns in times.items():
            plain = name.replace("(known=...)`", "`, nothing left out")
            lines.append(
                {
                    "1,000,000 negatives": name,
                    "median, ms": f"{1000 * statistics.median(turns[:, 0]):.1f}",
                    "least, ms": f"{1000 * least[name]:.1f}",
                    "numpy's time": f"{least[LOOP] / least[name]:.1f} x",
                    "of nothing left out": (
                        f"{least[name] / least[plain]:.2f} x" if plain != name else ""
                    ),
                }
            )
        tables.append(table(lines))
    given = {"command": options.command, "items": n, "known": known.num_known}
    text = fill("negatives", **given, times=options.times, few=tables[0], many=tables[1])
    publish("negatives", text, options.output)


if __name__ == "__main__":
    main()
