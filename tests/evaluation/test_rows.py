"""AUC and log loss against scikit-learn, and the report."""

import json

import numpy as np
import pytest
import sklearn.metrics

from tfrecs.data import Rows
from tfrecs.evaluation import auc, evaluate_rows, log_loss


class Fixed:
    def __init__(self, predictions):
        self.predictions = predictions

    def predict(self, dataset, **kwargs):
        return self.predictions


@pytest.mark.parametrize("decimals", [1, 9])  # with many ties, with none
def test_against_scikit_learn(decimals):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 500)
    scores = np.round(np.clip(rng.random(500) + 0.2 * labels, 0, 1), decimals)
    assert auc(labels, scores) == pytest.approx(sklearn.metrics.roc_auc_score(labels, scores))
    epsilon = np.finfo(np.float32).eps
    clipped = np.clip(scores, epsilon, 1 - epsilon)
    assert log_loss(labels, clipped) == pytest.approx(
        sklearn.metrics.log_loss(labels, clipped), rel=1e-3
    )


def test_intervals_cover_the_truth():
    """Of many samples, about 95% of intervals hold the AUC of the distribution, Phi(1/sqrt 2)."""
    rng = np.random.default_rng(1)
    truth, covered = 0.7602, []
    for _ in range(300):
        labels = (rng.random(200) < 0.4).astype(np.float32)
        scores = 1 / (1 + np.exp(-(rng.normal(size=200) + labels)))
        report = evaluate_rows(Fixed(scores), Rows({"y": labels}, "y"))
        low, high = report.intervals["AUC"]
        covered.append(low <= truth <= high)
    assert 0.91 < np.mean(covered) < 0.98


def test_report_and_baselines():
    train = Rows({"item_id": np.array([1, 1, 2, 2], np.int32), "y": np.float32([1, 1, 0, 0])}, "y")
    rows = Rows({"item_id": np.array([1, 2], np.int32), "y": np.float32([1, 0])}, "y")
    report = evaluate_rows(Fixed(np.array([0.9, 0.1])), rows, train=train, name="clicks")
    assert report.metrics["AUC"] == 1.0
    assert report.metrics["LogLoss"] == pytest.approx(-np.log(0.9))
    assert report.baselines["rate"] == {"AUC": 0.5, "LogLoss": pytest.approx(np.log(2))}
    assert report.baselines["items"]["LogLoss"] == pytest.approx(-np.log(7 / 12))
    assert json.loads(report.to_json())["positives"] == 1
    assert "clicks: 2 rows, 1 positive" in str(report)


def test_refusals():
    rows = Rows({"y": np.float32([1, 0])}, "y")
    with pytest.raises(ValueError, match="rows of both labels"):
        evaluate_rows(Fixed(np.array([0.5])), Rows({"y": np.float32([1])}, "y"))
    with pytest.raises(ValueError, match="a finite probability a row"):
        evaluate_rows(Fixed(np.array([0.5, np.nan])), rows)
    with pytest.raises(ValueError, match="a finite probability a row"):
        evaluate_rows(Fixed(np.array([0.5])), rows)
