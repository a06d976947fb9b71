"""What a training shows while it runs."""

from __future__ import annotations

import math
import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tfrecs._keras import keras


class EpochProgress(keras.callbacks.Callback):
    """One line an epoch: loss, validation metrics, speed; in a terminal a bar as it runs.

    Pass `verbose=0` to `fit` beside it. The epoch's logs get `seconds` (without the validation's)
    and, where `targets` is given, `targets_per_second`.

    Args:
        epochs: How many epochs the training may take.
        steps: Batches an epoch; None where that is not known.
        targets: Targets an epoch, for the speed; None where that is not known.
        monitor: The metric whose best values are marked with a star.
        mode: "max" where more is better, "min" where less is.
        console: Where to print; None for standard output.

    Example:
        ```python
        progress = tfrecs.training.EpochProgress(epochs=20, steps=len(batches))
        model.fit(batches, epochs=20, callbacks=[progress], verbose=0)
        ```
    """

    def __init__(
        self,
        epochs: int,
        *,
        steps: int | None = None,
        targets: int | None = None,
        monitor: str = "val_NDCG@10",
        mode: str = "max",
        console: Console | None = None,
    ) -> None:
        super().__init__()
        self.epochs = epochs
        self.steps = steps
        self.targets = targets
        self.monitor = monitor
        self.console = console or Console(highlight=False, soft_wrap=True)
        self.mode = mode
        self.best: float | None = None
        # Seconds that the first epoch had taken before, where it is a resumed one.
        self.spent = 0.0
        self._bar: Progress | None = None
        # Batch ends cost nothing then: Keras does not turn every batch's loss into a number.
        self._supports_tf_logs = True

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Starts the clock, and in a terminal the bar."""
        self._finished = time.perf_counter()
        self._started = self._finished - self.spent
        self.spent = 0.0
        if self.console.is_terminal:
            self._bar = Progress(
                TextColumn(f"epoch {epoch + 1}/{self.epochs}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                console=self.console,
                transient=True,
            )
            self._task = self._bar.add_task("", total=self.steps)
            self._bar.start()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Moves the bar, and remembers when the epoch's last batch was done."""
        self._finished = time.perf_counter()
        if self._bar is not None:
            self._bar.update(self._task, completed=batch + 1)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Prints the epoch's line."""
        logs = logs if logs is not None else {}
        self.close()
        seconds = max(self._finished - self._started, 1e-9)
        logs["seconds"] = seconds
        parts = [f"epoch {epoch + 1:>{len(str(self.epochs))}}/{self.epochs}"]
        if "loss" in logs:
            parts.append(f"loss {float(logs['loss']):.4f}")
        for name, value in logs.items():
            if name.startswith("val_"):
                parts.append(f"{name} {float(value):.4f}")
        if self.targets is not None:
            logs["targets_per_second"] = self.targets / seconds
            parts.append(f"{self.targets / seconds:,.0f} targets/s")
        parts.append(f"{seconds:.1f} s")
        if self.monitor in logs and self._is_better(float(logs[self.monitor])):
            self.best = float(logs[self.monitor])
            parts.append("*")
        self.console.print("  ".join(parts))

    def _is_better(self, value: float) -> bool:
        if self.best is None:
            return not math.isnan(value)
        return value > self.best if self.mode == "max" else value < self.best

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Takes the bar away."""
        self.close()

    def close(self) -> None:
        """Takes the bar away, also after an exception, which Keras tells no callback of."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
