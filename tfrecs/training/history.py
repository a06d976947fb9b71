"""The history of a training: each epoch's numbers as a line, a table and a picture."""

from __future__ import annotations

import csv
import io
import math
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tfrecs._keras import keras
from tfrecs.training.stopping import is_better

Row = dict[str, float]


def write_atomically(path: str | os.PathLike[str], text: str) -> None:
    """Writes a text file so that a reader finds the old file or the whole new one, never a part."""
    path = Path(path)
    beside = path.with_name(f".{path.name}-tmp")
    with beside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        # Without this, a loss of power could leave the new name with an empty file.
        os.fsync(file.fileno())
    beside.replace(path)


def write_history(path: str | os.PathLike[str], rows: Sequence[Row]) -> None:
    """Writes a CSV file with one line an epoch, and a column for each value that any epoch has.

    Example:
        ```python
        write_history("history.csv", [{"epoch": 1, "loss": 6.9, "val_NDCG@10": 0.02}])
        ```
    """
    columns = list(dict.fromkeys(["epoch", *(name for row in rows for name in row)]))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, text.getvalue())


def plot_history(
    path: str | os.PathLike[str],
    rows: Sequence[Row],
    *,
    metric: str = "val_NDCG@10",
    best_epoch: int | None = None,
    title: str = "",
) -> None:
    """Draws the loss and a validation metric of each epoch, with the best epoch marked.

    Args:
        path: The picture; its ending tells the format.
        rows: Each epoch's values, with "epoch", "loss" and `metric`.
        metric: The metric to draw, where the rows have it.
        best_epoch: The epoch to mark; None marks none.
        title: Stands above the picture.

    Example:
        ```python
        rows = [{"epoch": 1, "loss": 6.9, "val_NDCG@10": 0.02}]
        plot_history("training.png", rows, best_epoch=1)
        ```
    """
    # A Figure without pyplot: it needs no display and leaves no state behind.
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    left = figure.subplots()
    right = left.twinx()
    epochs = [row["epoch"] for row in rows]
    losses = [row["loss"] for row in rows]
    lines = left.plot(epochs, losses, ".-", ms=3, color="tab:gray", label="training loss")
    left.set_xlabel("epoch")
    left.set_ylabel("training loss")
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.grid(alpha=0.25)

    measured = {row["epoch"]: row[metric] for row in rows if metric in row}
    name = metric.replace("val_", "validation ")
    values = list(measured.values())
    lines += right.plot(list(measured), values, "o-", ms=3, color="tab:blue", label=name)
    right.set_ylabel(name, color="tab:blue")
    right.tick_params(axis="y", colors="tab:blue")
    right.set_ylim(bottom=0)
    if best_epoch in measured:
        value = measured[best_epoch]
        label = f"best: {value:.4f} in epoch {best_epoch}"
        left.axvline(best_epoch, color="tab:orange", ls="--", lw=1)
        lines += right.plot(best_epoch, value, "*", ms=14, color="tab:orange", label=label)
    left.set_title(title)
    left.legend(handles=lines, loc="center right")
    figure.savefig(path, dpi=120)


class EpochProgress(keras.callbacks.Callback):
    """Prints one line an epoch: loss, validation metrics, speed; in a terminal a bar as it runs.

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
        # Seconds that a resumed epoch had taken before it was stopped.
        self.spent = 0.0
        self._bar: Progress | None = None
        # Without this Keras would copy every batch's loss from the device.
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
        shown = [name for name in logs if name.startswith("val_")]
        parts += [f"{n} {float(logs[n]):.4f}" for n in ("loss", *shown) if n in logs]
        if self.targets is not None:
            logs["targets_per_second"] = self.targets / seconds
            parts.append(f"{self.targets / seconds:,.0f} targets/s")
        parts.append(f"{seconds:.1f} s")
        value = float(logs.get(self.monitor, math.nan))
        if is_better(value, self.best, self.mode):
            self.best = value
            parts.append("*")
        self.console.print("  ".join(parts))

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Takes the bar away."""
        self.close()

    def close(self) -> None:
        """Takes the bar away. Keras tells no callback of an exception: call this then."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
