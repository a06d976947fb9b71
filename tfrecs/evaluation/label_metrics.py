"""How far predictions are from labels: AUC and log loss, RMSE and MAE."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

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
        probabilities: `[rows]` of label 1; cut to what a float32 tells from 0 and 1.
    """
    return float(_row_losses(labels, probabilities).mean())


def rmse(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Returns the root of the mean squared error.

    Args:
        labels: `[rows]`.
        predictions: `[rows]`.

    Example:
        >>> import numpy as np
        >>> rmse(np.array([3.0, 5.0, 1.0, 4.0]), np.array([1.0, 5.0, 1.0, 4.0]))
        1.0
    """
    return float(np.sqrt(np.square(_errors(labels, predictions)).mean()))


def mae(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Returns the mean absolute error.

    Args:
        labels: `[rows]`.
        predictions: `[rows]`.

    Example:
        >>> import numpy as np
        >>> mae(np.array([3.0, 5.0]), np.array([2.0, 5.0]))
        0.5
    """
    return float(np.abs(_errors(labels, predictions)).mean())


# What is measured of each kind of label.
_METRICS: dict[str, dict[str, Callable[[np.ndarray, np.ndarray], float]]] = {
    "binary": {"AUC": auc, "LogLoss": log_loss},
    "regression": {"RMSE": rmse, "MAE": mae},
}


def measure(kind: str, labels: np.ndarray, predictions: np.ndarray) -> Values:
    """Returns the metrics of a kind of label by name.

    Args:
        kind: "binary" (`auc`, `log_loss`) or "regression" (`rmse`, `mae`).
        labels: `[rows]`.
        predictions: `[rows]`, probabilities of label 1 or numbers.
    """
    return {name: metric(labels, predictions) for name, metric in _METRICS[kind].items()}


def intervals(
    kind: str, labels: np.ndarray, predictions: np.ndarray
) -> dict[str, tuple[float, float]]:
    """Returns the 95% confidence intervals of what `measure` gives.

    Args:
        kind: As `measure`.
        labels: As `measure`.
        predictions: As `measure`.
    """
    if kind == "regression":
        errors = _errors(labels, predictions)
        low, high = np.sqrt(np.maximum(_interval(np.square(errors)), 0))
        return {"RMSE": (float(low), float(high)), "MAE": _interval(np.abs(errors))}
    positive, negative = _placements(labels, predictions)
    # DeLong, DeLong and Clarke-Pearson (1988): the variance of a mean of placements.
    spread = 1.96 * np.sqrt(_variance_of_mean(positive) + _variance_of_mean(negative))
    found = float(positive.mean())
    return {
        "AUC": (float(found - spread), float(min(found + spread, 1))),
        "LogLoss": _interval(_row_losses(labels, predictions)),
    }


def _errors(labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    return np.asarray(predictions, np.float64) - np.asarray(labels, np.float64)


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


def _interval(values: np.ndarray) -> tuple[float, float]:
    """The 95% confidence interval of their mean."""
    mean, width = values.mean(), 1.96 * np.sqrt(_variance_of_mean(values))
    return float(mean - width), float(mean + width)
