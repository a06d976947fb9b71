"""How well a model predicts the labels of rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from tfrecs._keras import keras, tf
from tfrecs.data import Rows
from tfrecs.evaluation.label_metrics import Values, intervals, measure
from tfrecs.evaluation.report import Report
from tfrecs.evaluation.tables import LabelledRows


class RowModel(Protocol):
    """Anything that predicts labels of rows.

    Its `label_kinds`, where it has them, say of each label by name whether it is "binary", and then
    predicted by the probability of 1, or "regression", a number. Else the rows' label is binary.
    """

    def predict(self, dataset: Any, **kwargs: Any) -> Any:
        """Predictions `[rows]` of a data set of batches; by name where there are several labels."""


def evaluate_rows(
    model: RowModel,
    rows: Rows,
    *,
    train: Rows | None = None,
    batch_size: int = 4096,
    name: str = "rows",
) -> Report:
    """Tests a model that predicts labels.

    A row whose label is NaN, which is to say missing, is left out of what is measured of it.

    Args:
        model: Gives probabilities, or numbers; `models.DeepCross` does.
        rows: Rows with labels.
        train: What the model was trained on, for the baselines; None for no baselines.
        batch_size: Rows predicted at once.
        name: What is predicted, for the report.

    Returns:
        The report.

    Raises:
        ValueError: If the rows have no labels, or only one of a binary kind, or a prediction is not
            finite.
    """
    kinds = _kinds(model, rows)
    predicted, several = _predict(model, rows, kinds, batch_size)
    if not several:
        head, kind = next(iter(kinds.items()))
        return _report(name, head, kind, rows, predicted[head], train)
    heads = {
        head: _report(head, head, kind, rows, predicted[head], train)
        for head, kind in kinds.items()
    }
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


def row_metrics(model: RowModel, rows: Rows, batch_size: int = 4096) -> dict[str, float]:
    """Returns the metrics of labels alone: what validation needs each epoch.

    Args:
        model: What to evaluate.
        rows: Rows with labels.
        batch_size: Rows predicted at once.
    """
    kinds = _kinds(model, rows)
    predicted, several = _predict(model, rows, kinds, batch_size)
    values = {}
    for head, kind in kinds.items():
        labels, known = _known(rows, head)
        values[head] = measure(kind, labels, predicted[head][known])
    return _joined(values) if several else next(iter(values.values()))


def _kinds(model: RowModel, rows: Rows) -> dict[str, str]:
    """The kind of each label that the model predicts, by name."""
    kinds: Mapping[str, str] = {} if rows.label is None else {rows.label: "binary"}
    if hasattr(model, "label_kinds"):
        kinds = model.label_kinds
        if not kinds:
            raise TypeError(
                f"{type(model).__name__} predicts no labels: evaluate it on users, such as the "
                "test part of tfrecs.data.leave_last_out(log)."
            )
    absent = [head for head in kinds or () if head not in rows.columns]
    if absent or not kinds:
        raise ValueError(
            f"The rows have no label {', '.join(map(repr, absent))}, only the columns "
            f"{', '.join(rows.columns)}."
            if absent
            else "The rows have no label: name one, Rows(columns, label)."
        )
    return dict(kinds)


def _predict(
    model: RowModel, rows: Rows, kinds: Mapping[str, str], batch_size: int
) -> tuple[dict[str, np.ndarray], bool]:
    """The predictions of each label, and whether the model gives them by name."""
    batches = rows.batch(batch_size, seed=None)
    given: Any
    if not isinstance(model, keras.Model) or model.distribute_strategy.num_replicas_in_sync == 1:
        given = model.predict(batches, verbose=0)
    else:
        given = _predict_alone(model, batches)
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


def _predict_alone(model: Any, batches: Any) -> Any:
    """Predictions by this process and one device, whatever strategy the model was made for.

    Keras would have all replicas of all workers take part, who are not all here.
    """
    call = tf.function(lambda batch: model(batch, training=False), reduce_retracing=True)
    return tf.nest.map_structure(lambda *parts: np.concatenate(parts), *map(call, batches))


def _known(rows: Rows, head: str) -> tuple[np.ndarray, np.ndarray]:
    """The labels that are there, and which rows have them."""
    labels = np.asarray(rows.columns[head], np.float64)
    known = ~np.isnan(labels)
    if not known.any():
        raise ValueError(f"No row has the label {head!r}: there is nothing to compare with.")
    return labels[known], known


def _report(
    name: str, head: str, kind: str, rows: Rows, predicted: np.ndarray, train: Rows | None
) -> Report:
    """Returns the report of one label."""
    labels, known = _known(rows, head)
    predicted = predicted[known]
    positives = int((labels > 0.5).sum()) if kind == "binary" else None
    return Report(
        metrics=measure(kind, labels, predicted),
        intervals=intervals(kind, labels, predicted),
        baselines={} if train is None else _baselines(head, kind, train, rows),
        table=LabelledRows(name, len(labels), positives),
        heads={},
    )


def _joined(values: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The metrics of several heads in one dictionary."""
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
    return {name: measure(kind, labels, p) for name, p in predictions.items()}
