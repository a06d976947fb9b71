"""What the workers of `benchmarks.serving` share: a search again and again; needs numpy alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.worker import Worker, WorkerSettings


@dataclass(frozen=True)
class SearchSettings(WorkerSettings):
    """What a worker is asked to search.

    Attributes:
        vectors: A file of numpy's, `[n, dim]`.
        queries: Another, `[rows, dim]`, of which the first are a batch.
        layer: Which of TensorFlow's layers, where the worker has several.
        batch_size: Queries at once.
        k: How many are found.
        threads: Threads that a peer may use.
        evaluate: False: nothing is evaluated.
    """

    vectors: str
    queries: str
    layer: str = "block_top_k"
    batch_size: int = 64
    k: int = 100
    threads: int = 2
    evaluate: bool = False

    def load(self) -> tuple[np.ndarray, np.ndarray]:
        """Vectors, and a batch of queries."""
        return np.load(self.vectors), np.load(self.queries)[: self.batch_size]


def run(settings: SearchSettings, search: Callable[[], np.ndarray], packages: list[str]) -> None:
    """Searches in the turns that the parent gives; a target is a query.

    Args:
        settings: What is searched.
        search: Gives the rows that were found, `[batch, k]`.
        packages: Packages whose versions the results name.
    """
    worker = Worker(None, evaluate=False)
    found = search()
    worker.ready(packages, settings.batch_size, found=np.asarray(found).tolist())

    def forever() -> None:
        worker.begin_epoch()
        while True:
            search()
            worker.step(settings.batch_size)

    worker.run(forever)
