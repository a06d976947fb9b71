"""WARP of LightFM 1.17, for `benchmarks.factorization`."""

import numpy as np
from lightfm import LightFM
from scipy.sparse import coo_matrix

from benchmarks import protocol
from benchmarks.factorization import Settings, pairs
from benchmarks.worker import Worker


def train(settings: Settings, worker: Worker) -> None:
    split = protocol.read(settings.data)
    users, items = pairs(split)
    values = np.ones(len(users), np.float32)
    log = coo_matrix((values, (users, items)), shape=(len(split.train), split.num_items))
    model = LightFM(
        settings.dim,
        loss=settings.loss,
        learning_rate=settings.learning_rate,
        item_alpha=settings.regularization,
        user_alpha=settings.regularization,
        max_sampled=settings.num_negatives,
        random_state=settings.seed,
    )

    def queries(_: object) -> np.ndarray:
        _, vectors = model.get_user_representations()
        return np.column_stack([vectors, np.ones(len(vectors), np.float32)])

    def candidates() -> np.ndarray:
        biases, vectors = model.get_item_representations()
        return np.column_stack([vectors, biases])

    worker.set_model(split, queries, candidates)
    worker.ready(["rectools-lightfm", "scipy"], len(users))

    def fit() -> None:
        while True:
            worker.begin_epoch()
            model.fit_partial(log, epochs=1, num_threads=settings.threads)
            worker.end_epoch(len(users), 1)

    worker.run(fit)
