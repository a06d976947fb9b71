import dataclasses
import itertools
import json
import re

import numpy as np
import pytest

from tfrecs.evaluation import Report, bootstrap_means, evaluate, randomization_test
from tfrecs.evaluation.comparison import bounds
from tfrecs.evaluation.tables import LabelledRows

N, USERS = 40, 60


@pytest.fixture(scope="module")
def data(dataset):
    rng = np.random.default_rng(0)
    history = [rng.integers(1, N + 1, 5) for _ in range(USERS)]
    targets = [[1 + u % N] for u in range(USERS)]
    return dataset(history, targets, N, counts=np.array([0, *rng.integers(1, 9, N), 0]))


@pytest.fixture(scope="module")
def reports(data, table):
    """A model that knows something and one that knows nothing."""
    rng = np.random.default_rng(1)
    scores = rng.normal(size=(USERS + 1, N))
    poor = evaluate(table(scores), data, ks=(5, 10))
    scores[np.arange(1, USERS + 1), data.targets.values - 1] += 1.5
    return evaluate(table(scores), data, ks=(5, 10)), poor


def test_metrics_are_the_means_over_users(reports):
    report = reports[0]
    assert set(report.baselines) == {"popularity", "random"}
    for metrics in (report.metrics, *report.baselines.values()):
        assert list(metrics) == [
            f"{name}@{k}"
            for k in (5, 10)
            for name in (
                *("HR", "NDCG", "MRR", "MAP", "Recall", "Precision"),
                *("Coverage", "Novelty", "PopularityBias"),
            )
        ]
    for name, values in report.per_user.items():
        assert values.shape == (USERS,)
        assert report.metrics[name] == pytest.approx(values.mean())
    assert report.metrics["HR@10"] > report.baselines["random"]["HR@10"]


def test_baselines_can_be_left_out(data, table):
    report = evaluate(table(np.zeros((USERS + 1, N))), data, baselines=False)
    assert report.baselines == {}
    assert "popularity" not in str(report)


def test_bootstrap_interval_is_that_of_the_binomial():
    hits = (np.arange(1000) < 300).astype(float)[:, None]
    low, high = bounds(bootstrap_means(hits, samples=2000, seed=3), 0.95)
    error = 1.96 * (0.3 * 0.7 / 1000) ** 0.5
    assert low == pytest.approx([0.3 - error], abs=0.003)
    assert high == pytest.approx([0.3 + error], abs=0.003)


def test_bootstrap_draws_the_same_users_for_every_column():
    values = np.random.default_rng(0).normal(size=(50, 1))
    means = bootstrap_means(np.hstack([values, 2 * values + 1]), samples=100)
    np.testing.assert_allclose(means[:, 1], 2 * means[:, 0] + 1)
    assert len(np.unique(means[:, 0])) == 100


def test_intervals_of_a_report(reports):
    report = reports[0]
    low, high = report.interval("HR@10")
    assert low < report.metrics["HR@10"] < high
    assert report.interval("HR@10") == (low, high)
    wider = report.interval("HR@10", 0.99)
    assert wider[0] <= low < high <= wider[1]
    assert report.interval("NDCG@10", seed=1) != report.interval("NDCG@10", seed=2)
    with pytest.raises(ValueError, match="No metric 'HR@7' here, only HR@5"):
        report.interval("HR@7")
    with pytest.raises(ValueError, match="Coverage@10 belongs to all users' lists together"):
        report.interval("Coverage@10")
    with pytest.raises(ValueError, match="between 0 and 1"):
        report.interval("HR@10", 95)


def test_randomization_test_equals_trying_all_sign_flips():
    differences = np.random.default_rng(2).normal(0.3, 1, (10, 2))
    differences[3] = 0  # A user without a difference changes nothing.
    signs = np.array(list(itertools.product([-1, 1], repeat=10)))
    means = np.abs(signs @ differences)
    exact = (means >= np.abs(differences.sum(axis=0)) - 1e-12).mean(axis=0)
    np.testing.assert_allclose(randomization_test(differences, 20_000), exact, atol=0.015)
    assert randomization_test(np.zeros((5, 1)), 100) == 1


def test_comparison_is_paired(reports):
    good, poor = reports
    comparison = good.compare(poor)
    row = comparison["NDCG@10"]
    assert row.difference == pytest.approx(good.metrics["NDCG@10"] - poor.metrics["NDCG@10"])
    assert 0 < row.low < row.difference < row.high
    assert row.p_value < 0.001
    back = poor.compare(good)["NDCG@10"]
    assert (back.difference, back.low) == pytest.approx((-row.difference, -row.high), abs=0.01)
    assert "Coverage@10" not in comparison.differences
    text = str(comparison)
    assert "Table minus Table, 60 users, paired" in text
    assert f"{row.difference:+.4f}" in text
    itself = good.compare(good)
    assert all(d == (0, 0, 0, 1) for d in itself.differences.values())


def test_the_p_value_is_right_where_nothing_differs():
    """Of comparisons of two equally good models, about 5% fall under 0.05."""
    rng = np.random.default_rng(0)
    p_values = randomization_test(rng.normal(size=(40, 400)), 1000)
    assert 0.025 < (p_values < 0.05).mean() < 0.08


def test_what_cannot_be_compared_is_refused(reports, data, table, dataset):
    good = reports[0]
    model = table(np.zeros((USERS + 1, N)))
    with pytest.raises(ValueError, match="same users in the same order.* 60 and 59 users"):
        good.compare(evaluate(model, data.subset(np.arange(1, USERS)), ks=(5, 10)))
    with pytest.raises(ValueError, match="same users in the same order"):
        good.compare(evaluate(model, data.subset(np.arange(USERS)[::-1]), ks=(5, 10)))
    others = dataset(data.history, [[2]] * USERS, N, counts=data.item_counts)
    with pytest.raises(ValueError, match="one ranking task"):
        good.compare(evaluate(model, others, ks=(5, 10)))
    with pytest.raises(ValueError, match="recommend_known False and True"):
        good.compare(evaluate(model, data, ks=(5, 10), recommend_known=True))
    with pytest.raises(ValueError, match="Evaluate both with the same ks"):
        good.compare(evaluate(model, data, ks=(7,)))
    with pytest.raises(ValueError, match="each user's metrics"):
        good.compare(Report.from_json(good.to_json()))


def test_the_table_says_what_was_ranked_and_how(reports, data, table):
    lines = str(reports[0]).splitlines()
    assert lines[0].split() == ["Table", "95%", "interval", "popularity", "random"]
    cells = next(line.split() for line in lines if line.startswith("NDCG@10"))
    low, high = reports[0].interval("NDCG@10")
    assert cells[1] == f"{reports[0].metrics['NDCG@10']:.4f}"
    assert cells[2:4] == [f"[{low:.4f},", f"{high:.4f}]"]
    assert cells[4] == f"{reports[0].baselines['popularity']['NDCG@10']:.4f}"
    text = str(reports[0])
    assert "toy test, by hand: 60 users, 60 targets." in text
    assert "Ranked among all 40 items but those in the user's history (35 to " in text
    assert "ties count against the target" in text
    assert "One target a user: Recall = HR" in text
    assert "MAP@10" not in text

    model = table(np.zeros((USERS + 1, N)))
    assert "among all 40 items (40)" in str(evaluate(model, data, recommend_known=True))
    candidates = np.tile([1, 2, 3, 3, 0], (USERS, 1))
    text = str(
        evaluate(model, dataclasses.replace(data, candidates=candidates), recommend_known=True)
    )
    assert "the candidates given for the user and the targets (3 to 4, 4 on average)" in text
    assert "Repeated candidates, counted once: 60." in text
    assert "Candidates that are a target of their user, left out: 6." in text


def test_the_table_shows_all_metrics_of_many_targets(dataset, table):
    data = dataset([[1], [2, 3]], [[4, 5, 5], [2]], N)
    text = str(evaluate(table(np.zeros((3, N))), data))
    assert "MAP@10" in text
    assert "Repeated targets, counted once: 1." in text
    assert (
        "Repeated targets (items that the user already had): 1 of 3 (33.3%), each a miss." in text
    )


def test_the_short_form_fits_a_line(reports):
    assert repr(reports[0]).startswith("Report(Table, toy test: HR@5 0.5667")
    assert "\n" not in repr(reports[0])


def test_json_keeps_all_but_the_users(reports):
    report = reports[0]
    text = report.to_json()
    content = json.loads(text)
    assert content["metrics"] == report.metrics
    assert content["protocol"]["users"] == USERS
    back = Report.from_json(text)
    assert str(back) == str(report)
    assert back.to_json() == text
    assert back.interval("HR@10") == report.interval("HR@10")
    with pytest.raises(ValueError, match="read without its users, with 95% intervals only"):
        back.interval("HR@10", 0.9)


def test_saved_reports_come_back_whole(reports, tmp_path):
    good, poor = reports
    good.save(tmp_path / "good.report")
    back = Report.load(tmp_path / "good.report")
    assert str(back) == str(good)
    assert back.baselines == good.baselines
    assert list(back.per_user) == list(good.per_user)
    for name, values in good.per_user.items():
        np.testing.assert_array_equal(back.per_user[name], values)
    assert back.compare(poor).differences == good.compare(poor).differences
    assert back.interval("HR@10", 0.9) == good.interval("HR@10", 0.9)


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", '{"protocol": {}}', '{"name": "x", "heads": 3}']
)
def test_text_that_is_no_report(text):
    with pytest.raises(ValueError, match="This text is no report"):
        Report.from_json(text)


def test_files_that_are_no_report(reports, tmp_path):
    saved = tmp_path / "saved.npz"
    reports[0].save(saved)
    whole = saved.read_bytes()
    np.savez(tmp_path / "another.npz", users=np.arange(3))
    np.save(tmp_path / "array.npy", np.arange(3))
    (tmp_path / "empty.npz").write_bytes(b"")
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "damaged.npz").write_bytes(whole[:60] + bytes(40) + whole[100:])
    for name in ("another.npz", "array.npy", "empty.npz", "cut.npz", "damaged.npz"):
        with pytest.raises(ValueError, match=rf"{re.escape(name)} is no report"):
            Report.load(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        Report.load(tmp_path / "none.npz")


def test_a_damaged_report_is_refused_or_read_whole(tmp_path):
    table = LabelledRows("a model", 100, 30)
    report = Report({"AUC": 0.7}, {"rate": {"AUC": 0.5}}, table, intervals={"AUC": (0.6, 0.8)})
    path = tmp_path / "saved.npz"
    report.save(path)
    assert Report.load(path).to_json() == report.to_json()
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    refusals = []
    for _ in range(500):
        damaged = bytearray(whole)
        damaged[rng.integers(len(whole))] ^= rng.integers(1, 256)
        path.write_bytes(damaged)
        try:
            assert Report.load(path).to_json() == report.to_json()
        except ValueError as error:
            refusals.append(str(error))
    assert len(refusals) > 250
    assert all(text.startswith(f"{path} is no report") for text in refusals)


def test_only_reports_are_compared(reports):
    with pytest.raises(TypeError, match="compared with another one"):
        reports[0].compare(None)


def test_the_picture(reports, tmp_path):
    import matplotlib

    backend = matplotlib.get_backend()
    for report in (reports[0], Report.from_json(reports[0].to_json())):
        report.plot(tmp_path / "report.png")
        picture = matplotlib.image.imread(tmp_path / "report.png")
        assert picture.shape[0] > 300
        assert picture.shape[1] > 700
        # The model's colour fills more than a speck.
        blue = np.abs(picture[..., :3] - np.array([0x1F, 0x5F, 0xA8]) / 255).max(axis=2) < 0.02
        assert blue.mean() > 0.005
    reports[0].plot(tmp_path / "report.svg")
    assert "<svg" in (tmp_path / "report.svg").read_text()
    assert matplotlib.get_backend() == backend


def test_bootstrap_draws_users_with_all_their_rows():
    values = np.array([[1.0], [5.0], [2.0], [9.0]])
    users = np.array([7, 3, 7, 7])
    # Two users, of 3 rows (sum 12) and of 1 row (5): drawn twice, or both once.
    means = bootstrap_means(values, samples=2000, users=users)[:, 0]
    possible = np.array([12 / 3, 17 / 4, 5 / 1])
    shares = (np.abs(means[:, None] - possible) < 1e-12).mean(axis=0)
    np.testing.assert_allclose(shares, [0.25, 0.5, 0.25], atol=0.04)
    alone = bootstrap_means(values, samples=50, users=np.array([4, 3, 2, 1]))
    np.testing.assert_array_equal(alone, bootstrap_means(values, samples=50))


def test_randomization_flips_users_with_all_their_rows():
    rng = np.random.default_rng(3)
    users, differences = np.repeat(np.arange(8), 3), rng.normal(0.2, 1, (24, 2))
    signs = np.array(list(itertools.product([-1, 1], repeat=8)))
    means = np.abs(np.repeat(signs, 3, axis=1) @ differences)
    exact = (means >= np.abs(differences.sum(axis=0)) - 1e-12).mean(axis=0)
    found = randomization_test(differences, 20_000, users=users)
    np.testing.assert_allclose(found, exact, atol=0.015)
