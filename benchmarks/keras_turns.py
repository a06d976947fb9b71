"""Turns for Keras's loop; needs Keras 2 alone, so that it runs in a peer's environment too."""

from __future__ import annotations

from tf_keras.callbacks import Callback

from benchmarks.worker import Worker


class Turns(Callback):
    """Tells the worker about Keras's loop, once an epoch: nothing is added to a step."""

    def __init__(self, worker: Worker, targets: int) -> None:
        super().__init__()
        self._worker, self._targets, self._steps = worker, targets, 0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self._worker.begin_epoch()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        steps = int(self.model.optimizer.iterations) - self._steps
        self._steps += steps
        self._worker.end_epoch(self._targets, steps)
