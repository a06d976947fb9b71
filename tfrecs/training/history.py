"""The course of a training: a table on disk and a picture."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path

Row = dict[str, float]


def write_atomically(path: str | os.PathLike[str], text: str) -> None:
    """Writes a text file that a reader finds either as it was or whole, never in part.

    Args:
        path: Where.
        text: What.
    """
    path = Path(path)
    beside = path.with_name(f".{path.name}-tmp")
    with beside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        # Or a machine that loses its power could leave the new name with nothing in it.
        os.fsync(file.fileno())
    beside.replace(path)


def write_history(path: str | os.PathLike[str], rows: Sequence[Row]) -> None:
    """Writes one line an epoch, with a column for each value that any epoch has.

    Args:
        path: The CSV file.
        rows: An epoch's values each; "epoch" comes first.

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
        rows: An epoch's values each, with "epoch", "loss" and `metric`.
        metric: What is drawn beside the loss, where the rows have it.
        best_epoch: The epoch to mark; None marks none.
        title: Stands above the picture.

    Example:
        ```python
        rows = [{"epoch": 1, "loss": 6.9, "val_NDCG@10": 0.02}]
        plot_history("training.png", rows, best_epoch=1)
        ```
    """
    # A Figure of its own, not pyplot: no display is asked for and no state is left behind.
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    left = figure.subplots()
    right = left.twinx()
    epochs = [row["epoch"] for row in rows]
    lines = left.plot(
        epochs, [row["loss"] for row in rows], ".-", ms=3, color="tab:gray", label="training loss"
    )
    left.set_xlabel("epoch")
    left.set_ylabel("training loss")
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.grid(alpha=0.25)

    measured = {row["epoch"]: row[metric] for row in rows if metric in row}
    name = metric.replace("val_", "validation ")
    lines += right.plot(
        list(measured), list(measured.values()), "o-", ms=3, color="tab:blue", label=name
    )
    right.set_ylabel(name, color="tab:blue")
    right.tick_params(axis="y", colors="tab:blue")
    right.set_ylim(bottom=0)
    if best_epoch in measured:
        value = measured[best_epoch]
        left.axvline(best_epoch, color="tab:orange", ls="--", lw=1)
        lines += right.plot(
            best_epoch,
            value,
            "*",
            ms=14,
            color="tab:orange",
            label=f"best: {value:.4f} in epoch {best_epoch}",
        )
    left.set_title(title)
    left.legend(handles=lines, loc="center right")
    figure.savefig(path, dpi=120)
