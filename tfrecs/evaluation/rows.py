"""How well a model predicts the labels of rows: AUC and log loss."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from tfrecs._keras import keras
from tfrecs.data import Rows


class Classifier(Protocol):
    """Anything that gives the probability of label 1 of each row of a batch."""

    def predict(self, dataset: Any, **kwargs: Any) -> np.ndarray:
        """Probabilities `[rows]` of a data set of batches."""


@dataclasses.dataclass(frozen=True)
class RowReport:
    """What `evaluate_rows` found.

    Attributes:
        name: What was predicted.
        num_rows: Rows, n.
        positives: Rows with label 1.
        metrics: "AUC" and "LogLoss".
        intervals: Their 95% confidence intervals (DeLong's variance for AUC; the standard error
            of the mean for the log loss).
        baselines: The metrics of simple predictors: "rate", the share of positives in training for
            every row, and "items", each item's own share, smoothed.
    """

    name: str
    num_rows: int
    positives: int
    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    baselines: dict[str, dict[str, float]]

    def to_json(self) -> str:
        """Returns the report as JSON."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    def __str__(self) -> str:
        lines = [f"{self.name}: {self.num_rows:,} rows, {self.positives:,} positive"]
        lines.append(f"{'':10}{'AUC':>8}{'':18}{'LogLoss':>8}")
        auc, loss = (self.intervals[name] for name in ("AUC", "LogLoss"))
        lines.append(
            f"{'model':10}{self.metrics['AUC']:8.4f}  [{auc[0]:.4f}, {auc[1]:.4f}]"
            f"{self.metrics['LogLoss']:8.4f}  [{loss[0]:.4f}, {loss[1]:.4f}]"
        )
        for name, metrics in self.baselines.items():
            lines.append(f"{name:10}{metrics['AUC']:8.4f}{'':18}{metrics['LogLoss']:8.4f}")
        return "\n".join(lines)


def auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Returns the area under the ROC curve: P(score of a positive > score of a negative).

    Ties count one half (Mann-Whitney).

    Args:
        labels: `[rows]`, 1 for positives and 0 for negatives.
        scores: `[rows]`.

    Raises:
        ValueError: If all labels are the same.

    Example:
        >>> import numpy as np
        >>> auc(np.array([0, 1, 1]), np.array([0.2, 0.2, 0.9]))
        0.75
    """
    return float(_placements(labels, scores)[0].mean())


def log_loss(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Returns the mean of -log of the probability that the label had.

    Args:
        labels: `[rows]`, 1 or 0.
        probabilities: `[rows]` of label 1; cut to what a float32 tells from 0 and 1.
    """
    return float(_row_losses(labels, probabilities).mean())


def evaluate_rows(
    model: Classifier,
    rows: Rows,
    *,
    train: Rows | None = None,
    batch_size: int = 4096,
    name: str = "rows",
) -> RowReport:
    """Tests a model that predicts labels.

    Args:
        model: Gives probabilities; `models.DeepCross` does.
        rows: Rows with labels.
        train: What the model was trained on, for the baselines; None for no baselines.
        batch_size: Rows predicted at once.
        name: What is predicted, for the report.

    Returns:
        The report.

    Raises:
        ValueError: If the rows have no labels or only one, or a prediction is not finite.
    """
    labels = rows.labels
    predicted = _predict(model, rows, batch_size)
    positive, negative = _placements(labels, predicted)
    losses = _row_losses(labels, predicted)
    found = float(positive.mean())
    # DeLong, DeLong and Clarke-Pearson (1988): the variance of a mean of placements.
    spread = 1.96 * np.sqrt(_variance_of_mean(positive) + _variance_of_mean(negative))
    width = 1.96 * np.sqrt(_variance_of_mean(losses))
    mean = float(losses.mean())
    return RowReport(
        name=name,
        num_rows=len(rows),
        positives=int(labels.sum()),
        metrics={"AUC": found, "LogLoss": mean},
        intervals={
            "AUC": (float(found - spread), float(min(found + spread, 1))),
            "LogLoss": (float(mean - width), float(mean + width)),
        },
        baselines={} if train is None else _baselines(train, rows),
    )


class RowValidation(keras.callbacks.Callback):
    """Puts `val_AUC` and `val_LogLoss` of rows into the logs of each epoch.

    `tfrecs.models.Model.fit` puts it first when its `validation_data` is `Rows`.

    Args:
        rows: Rows with labels.
        batch_size: Rows predicted at once.
    """

    def __init__(self, rows: Rows, batch_size: int = 4096) -> None:
        super().__init__()
        self.rows = rows
        self.batch_size = batch_size

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Validates, and adds the values to the logs."""
        predicted = _predict(self.model, self.rows, self.batch_size)
        if logs is not None:
            logs["val_AUC"] = auc(self.rows.labels, predicted)
            logs["val_LogLoss"] = log_loss(self.rows.labels, predicted)


def _predict(model: Classifier, rows: Rows, batch_size: int) -> np.ndarray:
    batches = rows.batch(batch_size, seed=None)
    predicted = np.asarray(model.predict(batches, verbose=0), np.float64)
    if predicted.shape != (len(rows),) or not np.isfinite(predicted).all():
        raise ValueError(
            f"The model must give a finite probability a row, {(len(rows),)}, not "
            f"{predicted.shape} with {int((~np.isfinite(predicted)).sum())} that are not finite."
        )
    return predicted


def _placements(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each positive's share of negatives below it, and each negative's of positives above it."""
    is_positive = np.asarray(labels) > 0.5
    positives, negatives = np.sort(scores[is_positive]), np.sort(scores[~is_positive])
    if not len(positives) or not len(negatives):
        raise ValueError("AUC needs rows of both labels; all of these have one.")

    def share_below(values: np.ndarray, others: np.ndarray) -> np.ndarray:
        below = np.searchsorted(others, values, "left")
        return (below + np.searchsorted(others, values, "right")) / (2 * len(others))

    return share_below(positives, negatives), 1 - share_below(negatives, positives)


def _row_losses(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    epsilon = float(np.finfo(np.float32).eps)
    p = np.clip(np.asarray(probabilities, np.float64), epsilon, 1 - epsilon)
    return -np.where(np.asarray(labels) > 0.5, np.log(p), np.log1p(-p))


def _variance_of_mean(values: np.ndarray) -> float:
    return float(values.var(ddof=1) / len(values)) if len(values) > 1 else 0.0


def _baselines(train: Rows, rows: Rows) -> dict[str, dict[str, float]]:
    rate = float(train.labels.mean())
    predictions: Mapping[str, np.ndarray] = {"rate": np.full(len(rows), rate)}
    if "item_id" in train.columns and "item_id" in rows.columns:
        trained, asked = train.columns["item_id"], rows.columns["item_id"]
        size = int(max(trained.max(), asked.max())) + 1
        counts = np.bincount(trained, minlength=size)
        sums = np.bincount(trained, weights=train.labels, minlength=size)
        # Ten rows of the overall rate beside an item's own.
        predictions = {**predictions, "items": ((sums + 10 * rate) / (counts + 10))[asked]}
    return {
        name: {"AUC": auc(rows.labels, p), "LogLoss": log_loss(rows.labels, p)}
        for name, p in predictions.items()
    }
