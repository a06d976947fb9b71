"""Evaluating every user of Amazon Beauty over every item: tfrecs beside TFRS's FactorizedTopK."""

import statistics
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import tfrecs
from benchmarks.harness import Command, in_turns
from benchmarks.report import fill, publish, table
from tfrecs._keras import tf, tfrs
from tfrecs.data import EvaluationSet
from tfrecs.evaluation import Evaluator

_FILE = "amazon-beauty.txt.gz"
_QUERIES = 4096  # Batch of TFRS's own tutorials, which give its Streaming layer 128 items at once.
_KS = (1, 5, 10, 50, 100)  # Its default.


class Ready:
    """A model that has its vectors, so that ranking alone is timed."""

    items, max_history, is_product = None, None, True

    def __init__(self, queries: np.ndarray, items: np.ndarray) -> None:
        self.num_items = len(items)
        self._queries, self._items = tf.constant(queries), tf.constant(items)

    def query_vectors(self, features: dict[str, Any]) -> Any:
        return tf.gather(self._queries, features["user_id"])

    def item_vectors(self, items: Any = None) -> Any:
        return self._items


def factorized_top_k(
    queries: np.ndarray, items: np.ndarray, dataset: EvaluationSet, index: str | int, *ks: int
) -> Callable[[], float]:
    """Returns a run of TFRS's metric, called as `tfrs.tasks.Retrieval` does, from ready vectors.

    `index` is "brute force", or Streaming's batch size of items. The run returns HR@10, or HR of
    the one length in `ks`.
    """
    ks, layers = ks or (10,), tfrs.layers.factorized_top_k
    if index == "brute force":
        candidates = layers.BruteForce(k=max(ks)).index(tf.constant(items))
    else:
        batches = tf.data.Dataset.from_tensor_slices(items).batch(int(index))
        candidates = layers.Streaming(k=max(ks)).index_from_dataset(batches)
    metric = tfrs.metrics.FactorizedTopK(candidates, ks=ks)
    pairs = (queries[dataset.user_ids], items[dataset.targets.values - 1])
    batches = tf.data.Dataset.from_tensor_slices(pairs).batch(_QUERIES)

    @tf.function
    def update(batch: tf.Tensor, true: tf.Tensor) -> None:
        metric.update_state(batch, true)

    def run() -> float:
        metric.reset_states()
        for batch, true in batches:
            update(batch, true)
        return float(metric.result()[ks.index(10) if 10 in ks else 0])

    return run


def main() -> None:
    parser = Command("evaluation", __doc__, data=True)
    parser.add_argument("--times", type=int, default=3, help="timed runs of each (%(default)s)")
    options = parser.read(None)
    split = tfrecs.data.leave_last_out(tfrecs.data.read(parser.folder(options.data, _FILE) / _FILE))
    test = split.test
    model = tfrecs.models.SASRec(split.items, dim=64, max_length=50, seed=0)
    queries = np.zeros((int(test.user_ids.max()) + 1, model.dim), np.float32)  # By user id.
    for rows in np.array_split(np.arange(len(test)), 50):
        history = tf.constant(test.history.padded(rows, model.max_history))
        queries[test.user_ids[rows]] = model.query_vectors({"history": history}).numpy()
    vectors = (queries, model.item_vectors().numpy())
    ready = Ready(*vectors)

    # Both must find the same before their speeds mean anything; TFRS cannot mask seen items.
    k = 1000
    found = Evaluator(test, (k,), recommend_known=True).metrics(ready)[f"HR@{k}"]
    expected = factorized_top_k(*vectors, test, "brute force", k)()
    if abs(found - expected) > 3 / len(test):
        raise SystemExit(f"HR@{k} differs: {found} by tfrecs, {expected} by TFRS.")

    ours, top_k = "tfrecs `Evaluator(test).metrics`", partial(factorized_top_k, *vectors, test)
    whole, alone = f"{ours}, histories encoded by SASRec", f"{ours}, vectors ready, seen masked"
    report = "tfrecs `evaluate`: the same with lists, 9 metrics, 2 baselines"
    runs = {
        f"{whole}, seen masked": lambda: Evaluator(test).metrics(model)["HR@10"],
        report: lambda: tfrecs.evaluate(model, test).metrics["HR@10"],
        alone: lambda: Evaluator(test).metrics(ready)["HR@10"],
        "TFRS `FactorizedTopK(items.batch(128))`, vectors ready": top_k(128, *_KS),
        "the same with `Streaming`, k = 10, 128 items a batch": top_k(128),
        "the same with `Streaming`, k = 10, 4,096 items a batch": top_k(4096),
        "the same with `BruteForce`, k = 10": top_k("brute force"),
    }
    seconds = in_turns(runs, options.times)
    median = {name: statistics.median(turns[:, 0]) for name, turns in seconds.items()}
    rows = [
        {
            "evaluation": name,
            "median, s": f"**{median[name]:.2f}**",
            "all, s": ", ".join(f"{elapsed:.2f}" for elapsed in turns[:, 0]),
            "least CPU, s": f"{turns[:, 1].min():.2f}",
            "of tfrecs, vectors ready": f"{median[name] / median[alone]:.1f} x",
        }
        for name, turns in seconds.items()
    ]
    given = {"users": len(test), "items": len(split.items), "k": k, "queries": _QUERIES}
    given |= {"found": found, "expected": expected, "ks": ", ".join(map(str, _KS))}
    text = fill("evaluation", **vars(options), **given, table=table(rows))
    publish("evaluation", text, options.output)


if __name__ == "__main__":
    main()
