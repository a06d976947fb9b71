"""BPR and ALS of `implicit` 0.7, for `benchmarks.factorization`."""

from typing import Any

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from implicit.cpu.bpr import BayesianPersonalizedRanking
from scipy.sparse import csr_matrix

from benchmarks import protocol
from benchmarks.factorization import Settings, pairs
from benchmarks.worker import Worker


def build(settings: Settings) -> Any:
    """Returns the model; it trains until the worker stops it."""
    common = {
        "factors": settings.dim,
        "regularization": settings.regularization,
        "iterations": 10**6,
        "num_threads": settings.threads,
        "random_state": settings.seed,
    }
    if settings.loss == "als":
        return AlternatingLeastSquares(alpha=settings.alpha, **common)
    return BayesianPersonalizedRanking(learning_rate=settings.learning_rate, **common)


def train(settings: Settings, worker: Worker) -> None:
    split = protocol.read(settings.data)
    users, items = pairs(split)
    values = np.ones(len(users), np.float32)
    log = csr_matrix((values, (users, items)), shape=(len(split.train), split.num_items))
    model = build(settings)
    # The factors of BPR hold the items' biases, beside ones.
    worker.set_model(
        split, lambda _: np.array(model.user_factors), lambda: np.array(model.item_factors)
    )
    worker.ready(["implicit", "scipy"], len(users))

    def after_iteration(*_: Any) -> None:
        worker.end_epoch(len(users), 1)
        worker.begin_epoch()

    def fit() -> None:
        worker.begin_epoch()
        model.fit(log, show_progress=False, callback=after_iteration)

    worker.run(fit)
