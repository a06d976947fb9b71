"""How well a model predicts the labels of rows: AUC and log loss, RMSE and MAE."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tfrecs._keras import keras, tf
from tfrecs.data import Rows
from tfrecs.evaluation.contract import RowModel
from tfrecs.evaluation.report import Report
from tfrecs.evaluation.tables import LabelledRows

Values = dict[str, float]


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
        probabilities: `[rows]` of label 1; clipped to what float32 can tell from 0 and 1.
    """
    return float(_row_losses(labels, probabilities).mean())


def rmse(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Returns the root of the mean squared error; both arguments are `[rows]`.

    Example:
        >>> import numpy as np
        >>> rmse(np.array([3.0, 5.0, 1.0, 4.0]), np.array([1.0, 5.0, 1.0, 4.0]))
        1.0
    """
    return float(np.sqrt(np.square(_errors(labels, predictions)).mean()))


def mae(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Returns the mean absolute error; both arguments are `[rows]`.

    Example:
        >>> import numpy as np
        >>> mae(np.array([3.0, 5.0]), np.array([2.0, 5.0]))
        0.5
    """
    return float(np.abs(_errors(labels, predictions)).mean())


# The metrics of each kind of label.
_METRICS: dict[str, dict[str, Callable[[np.ndarray, np.ndarray], float]]] = {
    "binary": {"AUC": auc, "LogLoss": log_loss},
    "regression": {"RMSE": rmse, "MAE": mae},
}


def evaluate_rows(
    model: RowModel,
    rows: Rows,
    *,
    train: Rows | None = None,
    batch_size: int = 4096,
    name: str = "rows",
) -> Report:
    """Tests a model that predicts labels.

    A row whose label is NaN, and so missing, is left out of the metrics of that label.

    Args:
        model: Gives probabilities, or numbers; `models.DeepCross` does.
        rows: Rows with labels.
        train: The rows that the model was trained on, for the baselines; None for no baselines.
        batch_size: Rows predicted at once.
        name: The name of the labels in the report.

    Raises:
        ValueError: If the rows have no labels, or only one of a binary kind, a binary label is not
            0 or 1, or a prediction is not finite or no probability.
    """
    kinds = _kinds(model, rows)
    predicted, several = _predict(model, rows, kinds, batch_size)
    heads = {}
    for head, kind in kinds.items():
        labels, known = _known(rows, head)
        guesses = predicted[head][known]
        if kind == "binary":
            _check_binary(head, labels, guesses)
        heads[head] = Report(
            metrics=_measure(kind, labels, guesses),
            intervals=_intervals(kind, labels, guesses),
            baselines={} if train is None else _baselines(head, kind, train, rows),
            table=LabelledRows(
                head if several else name,
                len(labels),
                int((labels > 0.5).sum()) if kind == "binary" else None,
            ),
            heads={},
        )
    if not several:
        return next(iter(heads.values()))
    predictors = dict.fromkeys(p for report in heads.values() for p in report.baselines)
    return Report(
        metrics=_joined({head: report.metrics for head, report in heads.items()}),
        intervals=_joined({head: report.intervals for head, report in heads.items()}),
        baselines={
            p: _joined({head: r.baselines[p] for head, r in heads.items() if p in r.baselines})
            for p in predictors
        },
        table=LabelledRows(name, len(rows), None),
        heads=heads,
    )


def _kinds(model: RowModel, rows: Rows) -> dict[str, str]:
    """Returns the kind of each label that the model predicts, by name."""
    kinds: Mapping[str, str] = {} if rows.label is None else {rows.label: "binary"}
    if hasattr(model, "label_kinds"):
        kinds = model.label_kinds
        if not kinds:
            raise TypeError(
                f"{type(model).__name__} predicts no labels: evaluate it on users, such as the "
                "test part of tfrecs.data.leave_last_out(log)."
            )
    if not kinds:
        raise ValueError("The rows have no label: name one, Rows(columns, label).")
    absent = [repr(head) for head in kinds if head not in rows.columns]
    if absent:
        raise ValueError(
            f"The rows have no label {', '.join(absent)}, only the columns "
            f"{', '.join(rows.columns)}."
        )
    return dict(kinds)


def _predict(
    model: RowModel, rows: Rows, kinds: Mapping[str, str], batch_size: int
) -> tuple[dict[str, np.ndarray], bool]:
    """Returns the predictions of each label, and whether the model gives them by name."""
    batches = rows.batch(batch_size, seed=None)
    given: Any
    if not isinstance(model, keras.Model) or model.distribute_strategy.num_replicas_in_sync == 1:
        given = model.predict(batches, verbose=0)
    else:
        # By this process and one device: `predict` would wait for the replicas of all workers, and
        # the chief alone evaluates.
        call = tf.function(lambda batch: model(batch, training=False), reduce_retracing=True)
        given = tf.nest.map_structure(lambda *parts: np.concatenate(parts), *map(call, batches))
    several = isinstance(given, Mapping)
    predicted = {head: np.asarray(given[head] if several else given, np.float64) for head in kinds}
    for head, values in predicted.items():
        if values.shape != (len(rows),) or not np.isfinite(values).all():
            what = "probability" if kinds[head] == "binary" else "number"
            raise ValueError(
                f"The model must give a finite {what} a row of {head!r}, {(len(rows),)}, not "
                f"{values.shape} with {int((~np.isfinite(values)).sum())} that are not finite."
            )
    return predicted, several


def _known(rows: Rows, head: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns the labels that are not missing, and which rows have them."""
    labels = np.asarray(rows.columns[head], np.float64)
    known = ~np.isnan(labels)
    if not known.any():
        raise ValueError(f"No row has the label {head!r}: there is nothing to compare with.")
    return labels[known], known


def _check_binary(head: str, labels: np.ndarray, predictions: np.ndarray) -> None:
    """Raises a ValueError for labels other than 0 and 1, and for predictions outside [0, 1]."""
    if not np.isin(labels, (0, 1)).all():
        strange = labels[~np.isin(labels, (0, 1))][0]
        raise ValueError(f"The label {head!r} is 0 or 1, and one row has {strange:g}.")
    if predictions.min() < 0 or predictions.max() > 1:
        raise ValueError(
            f"Predictions of {head!r} are probabilities, and these go from {predictions.min():g} "
            f"to {predictions.max():g}. If the model gives log-odds, apply tf.sigmoid to them."
        )


def _joined(values: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Returns the metrics of several heads in one dictionary."""
    return {f"{head}/{name}": x for head, found in values.items() for name, x in found.items()}


def _baselines(head: str, kind: str, train: Rows, rows: Rows) -> dict[str, Values]:
    trained, has_label = _known(train, head)
    labels, known = _known(rows, head)
    mean = float(trained.mean())
    predictions = {"rate" if kind == "binary" else "mean": np.full(len(labels), mean)}
    if "item_id" in train.columns and "item_id" in rows.columns:
        items, asked = train.columns["item_id"][has_label], rows.columns["item_id"][known]
        size = int(max(items.max(), asked.max())) + 1
        counts = np.bincount(items, minlength=size)
        sums = np.bincount(items, weights=trained, minlength=size)
        # Ten rows of the overall mean beside an item's own.
        predictions["items"] = ((sums + 10 * mean) / (counts + 10))[asked]
    return {name: _measure(kind, labels, p) for name, p in predictions.items()}


def _measure(kind: str, labels: np.ndarray, predictions: np.ndarray) -> Values:
    return {name: metric(labels, predictions) for name, metric in _METRICS[kind].items()}


def _intervals(
    kind: str, labels: np.ndarray, predictions: np.ndarray
) -> dict[str, tuple[float, float]]:
    """Returns the 95% confidence intervals of the metrics that `_measure` gives."""
    if kind == "regression":
        errors = _errors(labels, predictions)
        low, high = np.sqrt(_interval(np.square(errors)))
        return {"RMSE": (float(low), float(high)), "MAE": _interval(np.abs(errors))}
    positive, negative = _placements(labels, predictions)
    # DeLong, DeLong and Clarke-Pearson (1988): the variance of a mean of placements.
    spread = 1.96 * np.sqrt(_variance_of_mean(positive) + _variance_of_mean(negative))
    if min(len(positive), len(negative)) < 2:
        spread = 1.0  # One row says nothing of its variance.
    found = float(positive.mean())
    return {
        "AUC": (float(max(found - spread, 0)), float(min(found + spread, 1))),
        "LogLoss": _interval(_row_losses(labels, predictions)),
    }


def _errors(labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    return np.asarray(predictions, np.float64) - np.asarray(labels, np.float64)


def _placements(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns each positive's share of negatives below it, and the reverse for negatives."""
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


def _interval(values: np.ndarray) -> tuple[float, float]:
    """Returns the 95% confidence interval of the mean of `values`, none of them below 0."""
    mean, width = values.mean(), 1.96 * np.sqrt(_variance_of_mean(values))
    return float(max(mean - width, 0)), float(mean + width)
