"""Keras callbacks: early stopping that ends with the best weights."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tfrecs._keras import keras


class BestWeights(keras.callbacks.Callback):
    """Stops when a metric no longer rises, and always ends with the weights of the best epoch.

    `keras.callbacks.EarlyStopping` gives the best weights back only where it stopped the training
    itself; here they come back also when `fit` runs through all its epochs. After an exception or
    Ctrl-C, which Keras tells no callback of, call `restore()`.

    Args:
        monitor: The metric of an epoch's logs to watch.
        patience: How many epochs without a new best value end the training; None never ends it.
        mode: "max" where more is better, "min" where less is.

    Raises:
        ValueError: If `patience` is below 1 or `mode` is neither "max" nor "min".

    Attributes:
        best: The best value so far; None before the first epoch.
        best_epoch: Its epoch, counted from 1; 0 before the first epoch.
        wait: Epochs since then.
        stopped: Whether `patience` has run out.

    Example:
        ```python
        best = tfrecs.training.BestWeights(patience=5)
        model.fit(batches, epochs=100, validation_data=split.validation, callbacks=[best])
        print(best.best_epoch, best.best)
        ```
    """

    def __init__(
        self, monitor: str = "val_NDCG@10", patience: int | None = 10, mode: str = "max"
    ) -> None:
        super().__init__()
        if patience is not None and patience < 1:
            raise ValueError(f"BestWeights: patience must be at least 1, or None; got {patience}.")
        if mode not in ("max", "min"):
            raise ValueError(f"BestWeights: mode must be 'max' or 'min', got {mode!r}.")
        self.monitor = monitor
        self.patience = patience
        self.mode = mode
        self.reset()

    def reset(self) -> None:
        """Forgets what was best, as a new training begins."""
        self.best: float | None = None
        self.best_epoch = 0
        self.wait = 0
        self._weights: list[np.ndarray] | None = None
        self._resumed = False

    @property
    def stopped(self) -> bool:
        """Whether `patience` has run out."""
        return self.patience is not None and self.wait >= self.patience

    def get_state(self) -> dict[str, Any]:
        """What `set_state` needs to go on as if nothing had happened: plain numbers."""
        return {"best": self.best, "best_epoch": self.best_epoch, "wait": self.wait}

    def set_state(self, state: dict[str, Any], weights: list[np.ndarray] | None) -> None:
        """Continues from an earlier training in the next `fit`.

        Args:
            state: What `get_state` returned.
            weights: The weights of the best epoch, as `model.get_weights()` gave them; None where
                there is no best epoch yet.
        """
        self.best = state["best"]
        self.best_epoch = state["best_epoch"]
        self.wait = state["wait"]
        self._weights = weights
        self._resumed = True

    def restore(self) -> None:
        """Gives the model the weights of the best epoch, if there has been one."""
        if self._weights is not None:
            self.model.set_weights(self._weights)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Resets the state, unless `set_state` has set one for this `fit`."""
        if not self._resumed:
            self.reset()
        self._resumed = False

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Compares the epoch with the best one."""
        logs = logs or {}
        if self.monitor not in logs:
            raise ValueError(
                f"BestWeights watches {self.monitor!r}, which this training does not report. "
                f"It reports: {', '.join(sorted(logs)) or 'nothing'}. "
                "Give fit a validation_data, or watch another metric."
            )
        value = float(logs[self.monitor])
        if self._is_better(value):
            self.best, self.best_epoch, self.wait = value, epoch + 1, 0
            self._weights = self.model.get_weights()
        else:
            self.wait += 1
            if self.stopped:
                self.model.stop_training = True

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Gives the best weights back."""
        self.restore()

    def _is_better(self, value: float) -> bool:
        if math.isnan(value):
            return False
        if self.best is None:
            return True
        return value > self.best if self.mode == "max" else value < self.best
