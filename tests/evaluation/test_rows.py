"""AUC, log loss and errors against scikit-learn, and the report of one head and of several."""

import json

import numpy as np
import pytest
import sklearn.metrics

import tfrecs
from tfrecs.data import Rows
from tfrecs.evaluation import Report, Validation, auc, evaluate_rows, log_loss, mae, rmse


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


def test_intervals_cover_the_truth(monkeypatch):
    """Of many samples, about 95% of intervals hold the AUC of the distribution, Phi(1/sqrt 2)."""
    # `Fixed` looks at no batch, and to make a data set of each sample would take the time.
    monkeypatch.setattr(Rows, "batch", lambda *arguments, **options: None)
    rng = np.random.default_rng(1)
    truth, covered = 0.7602, []
    for _ in range(300):
        labels = (rng.random(200) < 0.4).astype(np.float32)
        scores = 1 / (1 + np.exp(-(rng.normal(size=200) + labels)))
        report = evaluate_rows(Fixed(scores), Rows({"y": labels}, "y"))
        low, high = report.intervals["AUC"]
        covered.append(low <= truth <= high)
    assert 0.91 < np.mean(covered) < 0.98


def test_intervals_end_where_metrics_do():
    rows = Rows({"y": np.float32([0, 1, 0])}, "y")
    report = evaluate_rows(Fixed(np.array([0.3, 0.35, 0.4])), rows)
    assert report.intervals["AUC"] == (0.0, 1.0)  # One positive row says nothing of its variance.
    rows = Rows({"y": np.float32([0, 1, 0, 1])}, "y")
    report = evaluate_rows(Fixed(np.array([0.3, 0.99, 1e-3, 1e-3])), rows)
    low, high = report.intervals["LogLoss"]
    assert low == 0 < report.metrics["LogLoss"] < high
    assert 0 <= report.intervals["AUC"][0] <= report.intervals["AUC"][1] <= 1


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


def test_a_report_of_rows_does_what_one_of_lists_does(tmp_path):
    train = Rows({"item_id": np.array([1, 1, 2, 2], np.int32), "y": np.float32([1, 1, 0, 0])}, "y")
    scores = np.array([0.9, 0.3, 0.6, 0.1])
    report = evaluate_rows(Fixed(scores), train, train=train, name="clicks")
    assert repr(report).startswith("Report(clicks: AUC 0.7500, LogLoss 0.")
    assert str(report).splitlines()[1].split() == ["model", "95%", "interval", "rate", "items"]
    assert report.interval("AUC") == report.intervals["AUC"]
    assert report.advice() is None
    report.plot(tmp_path / "report.png")
    report.save(tmp_path / "report.npz")
    for back in (Report.load(tmp_path / "report.npz"), Report.from_json(report.to_json())):
        assert (str(back), back.to_json()) == (str(report), report.to_json())
        assert (back.name, back.num_rows, back.positives) == ("clicks", 4, 2)
    with pytest.raises(ValueError, match="labelled rows"):
        report.interval("AUC", 0.9)
    with pytest.raises(ValueError, match="each user's metrics"):
        report.compare(report)
    heads = Heads(scores, np.array([2.0, 3.0, 2.0, 5.0]))
    rated = Rows({**train.columns, "rating": np.float32([1, 4, np.nan, 5])}, ["y", "rating"])
    both = evaluate_rows(heads, rated, train=rated, name="both")
    both.plot(tmp_path / "both.png")
    back = Report.from_json(both.to_json())
    assert (str(back), back.heads["rating"].num_rows) == (str(both), 3)


def test_the_former_name_of_the_report_still_works():
    with pytest.warns(FutureWarning, match="RowReport is now tfrecs.evaluation.Report"):
        assert tfrecs.evaluation.RowReport is Report


def test_refusals():
    clicks = Rows({"y": np.float32([0, 1, 1])}, "y")
    with pytest.raises(ValueError, match=r"'y' are probabilities, and these go from -3 to 30"):
        evaluate_rows(Fixed(np.array([-3.0, 9.0, 30.0])), clicks)
    stars = Rows({"y": np.float32([0, 4, 1])}, "y")
    with pytest.raises(ValueError, match="The label 'y' is 0 or 1, and one row has 4"):
        evaluate_rows(Fixed(np.array([0.1, 0.2, 0.3])), stars)
    rows = Rows({"y": np.float32([1, 0])}, "y")
    with pytest.raises(ValueError, match="rows of both labels"):
        evaluate_rows(Fixed(np.array([0.5])), Rows({"y": np.float32([1])}, "y"))
    with pytest.raises(ValueError, match="a finite probability a row"):
        evaluate_rows(Fixed(np.array([0.5, np.nan])), rows)
    with pytest.raises(ValueError, match="a finite probability a row"):
        evaluate_rows(Fixed(np.array([0.5])), rows)
    with pytest.raises(ValueError, match="The rows have no label: name one"):
        evaluate_rows(Fixed(np.array([0.5])), Rows({"y": np.float32([1, 0])}))
    heads = Heads(np.array([0.5, 0.5]), np.array([3.0, 4.0]))
    with pytest.raises(ValueError, match="The rows have no label 'rating', only the columns y"):
        evaluate_rows(heads, rows)
    empty = Rows({"y": np.float32([1, 0]), "rating": np.float32([np.nan] * 2)}, ["y", "rating"])
    with pytest.raises(ValueError, match="No row has the label 'rating'"):
        evaluate_rows(heads, empty)
    rated = Rows({"y": np.float32([1, 0]), "rating": np.float32([1, 2])}, ["y", "rating"])
    with pytest.raises(ValueError, match="a finite number a row of 'rating'"):
        evaluate_rows(Heads(np.array([0.5, 0.5]), np.array([3.0, np.inf])), rated)


class Heads(Fixed):
    def __init__(self, clicks, ratings):
        super().__init__({"y": clicks, "rating": ratings})
        self.label_kinds = {"y": "binary", "rating": "regression"}


def test_several_heads_and_rows_without_a_label():
    rng = np.random.default_rng(0)
    items = rng.integers(1, 9, 300).astype(np.int32)
    clicks = (rng.random(300) < 0.4).astype(np.float32)
    ratings = np.where(rng.random(300) < 0.3, np.nan, rng.normal(3, 1, 300)).astype(np.float32)
    rows = Rows({"item_id": items, "y": clicks, "rating": ratings}, ["y", "rating"])
    predicted = rng.random(300), ratings + np.nan_to_num(rng.normal(0, 0.5, 300))
    model = Heads(predicted[0], np.where(np.isnan(ratings), 0.0, predicted[1]))
    report = evaluate_rows(model, rows, train=rows, name="both")
    known = ~np.isnan(ratings)
    truth, guess = ratings[known].astype(np.float64), predicted[1][known]
    assert report.metrics == pytest.approx(
        {
            "y/AUC": sklearn.metrics.roc_auc_score(clicks, predicted[0]),
            "y/LogLoss": sklearn.metrics.log_loss(clicks, predicted[0]),
            "rating/RMSE": sklearn.metrics.root_mean_squared_error(truth, guess),
            "rating/MAE": sklearn.metrics.mean_absolute_error(truth, guess),
        }
    )
    assert rmse(truth, guess) == report.metrics["rating/RMSE"]
    assert mae(truth, guess) == report.metrics["rating/MAE"]
    error = np.abs(truth - guess)
    width = 1.96 * error.std(ddof=1) / np.sqrt(len(error))
    assert report.intervals["rating/MAE"] == pytest.approx(
        (error.mean() - width, error.mean() + width)
    )
    low, high = np.square(report.intervals["rating/RMSE"])
    assert (low + high) / 2 == pytest.approx(np.square(error).mean())
    assert report.baselines["mean"] == pytest.approx(
        {"rating/RMSE": truth.std(), "rating/MAE": np.abs(truth - truth.mean()).mean()}
    )
    assert set(report.baselines["items"]) == set(report.metrics)
    assert report.positives is None
    assert report.heads["y"].positives == clicks.sum()
    assert report.heads["rating"].num_rows == known.sum()
    text = str(report)
    assert text.startswith("both: 300 rows\ny: 300 rows")
    assert f"rating: {known.sum()} rows" in text
    assert json.loads(report.to_json())["heads"]["rating"]["metrics"]["MAE"] == pytest.approx(
        error.mean()
    )
    validation = Validation(rows)
    validation.set_model(model)
    validation.set_params({"epochs": 2})
    logs = {}
    validation.on_epoch_end(0, logs)
    assert logs == {f"val_{name}": value for name, value in report.metrics.items()}
