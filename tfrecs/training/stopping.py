"""When a training ends: once a metric gets no better, or after the step in which a signal came."""

from __future__ import annotations

import contextlib
import enum
import math
import os
import signal
import threading
from types import FrameType
from typing import Any

import numpy as np

from tfrecs._keras import keras

_NOTICE = {
    signal.SIGINT: b"tfrecs: stopping once this step is saved; Ctrl-C again stops at once\n",
    signal.SIGTERM: b"tfrecs: stopping once this step is saved\n",
}


class Wish(enum.IntEnum):
    """A process's wish after a step; of several processes the largest counts."""

    GO_ON = 0
    SAVE = 1
    STOP = 2


class Interrupted(KeyboardInterrupt):
    """A training that was told to stop and whose state is safe.

    Args:
        message: How far the training got, and how to go on.
        number: The signal.

    Attributes:
        exit_code: The exit code of a program that this ends, as shells have it: 128 and the
            signal's number, 130 for Ctrl-C and 143 for SIGTERM.
    """

    def __init__(self, message: str, number: int = signal.SIGINT) -> None:
        super().__init__(message)
        self.exit_code = 128 + number


class StopSignals:
    """Notes SIGINT and SIGTERM while it is entered; a second SIGINT raises KeyboardInterrupt.

    Afterwards signals are handled as before. It changes nothing outside the main thread, where
    Python handles no signals, nor for a signal that the process was started to ignore, as a script
    starts a process in the background.

    Attributes:
        received: The signal that came first, or None.

    Example:
        ```python
        with StopSignals() as stop:
            while stop.received is None:
                step()
        ```
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for number in _NOTICE:
                before = signal.getsignal(number)
                if before not in (signal.SIG_IGN, None):
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)
        self._before = {}

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = self.received or number
        # Not print: the signal may have come in the middle of one.
        with contextlib.suppress(OSError):
            os.write(2, _NOTICE[signal.Signals(number)])


def is_better(value: float, best: float | None, mode: str) -> bool:
    """Returns whether a metric is better than the best so far; NaN never is."""
    if math.isnan(value) or best is None:
        return not math.isnan(value)
    return value > best if mode == "max" else value < best


class BestWeights(keras.callbacks.Callback):
    """Stops when a metric gets no better, and always ends with the weights of the best epoch.

    `keras.callbacks.EarlyStopping` restores the best weights only if it stopped the training; this
    one restores them after every `fit`. Keras tells no callback of an exception or of Ctrl-C: call
    `restore()` then.

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
        """Forgets the best epoch of an earlier training."""
        self.set_state({"best": None, "best_epoch": 0, "wait": 0}, None)
        self._resumed = False

    @property
    def stopped(self) -> bool:
        """Whether `patience` has run out."""
        return self.patience is not None and self.wait >= self.patience

    def get_state(self) -> dict[str, Any]:
        """Returns plain numbers from which `set_state` goes on."""
        return {"best": self.best, "best_epoch": self.best_epoch, "wait": self.wait}

    def set_state(self, state: dict[str, Any], weights: list[np.ndarray] | None) -> None:
        """Continues from an earlier training in the next `fit`.

        Args:
            state: The dictionary that `get_state` returned.
            weights: The model's weights of the best epoch; None where there is no best epoch yet.
        """
        self.best: float | None = state["best"]
        self.best_epoch: int = state["best_epoch"]
        self.wait: int = state["wait"]
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
        if is_better(value, self.best, self.mode):
            self.best, self.best_epoch, self.wait = value, epoch + 1, 0
            self._weights = self.model.get_weights()
        else:
            self.wait += 1
            if self.stopped:
                self.model.stop_training = True

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Gives the best weights back."""
        self.restore()
