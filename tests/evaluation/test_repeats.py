"""Repeated targets: a miss unless known items may be recommended, and told apart in the report."""

import numpy as np
import pytest

from tfrecs.data import Interactions, leave_last_out
from tfrecs.evaluation import Report, evaluate

N = 6


@pytest.fixture(scope="module")
def data(dataset):
    # The first user's target is new, the second's repeated, the third has one of each.
    return dataset([[1, 2], [3, 4], [5]], [[3], [3], [5, 6]], N)


@pytest.fixture(scope="module")
def model(table):
    return table(np.tile(np.arange(N, 0, -1.0), (4, 1)))  # Item i has rank i.


def test_known_items_are_never_recommended(model, data):
    report = evaluate(model, data, ks=(1, 4), baselines=False)
    # Without 1 and 2 the item 3 is first; without 5 the item 6 is fifth.
    assert report.metrics["HR@1"] == pytest.approx(1 / 3)
    assert report.metrics["HR@4"] == pytest.approx(1 / 3)
    assert (report.repeats.count, report.repeats.share) == (2, 0.5)
    new, repeated = report.repeats.metrics["new"], report.repeats.metrics["repeated"]
    assert (new["HR@1"], new["HR@4"], new["Recall@4"]) == (0.5, 0.5, 0.5)
    assert set(repeated.values()) == {0.0}
    assert evaluate(model, data, ks=(5,)).repeats.metrics["new"]["HR@5"] == 1.0


def test_known_items_may_be_recommended(model, data):
    report = evaluate(model, data, ks=(3,), recommend_known=True)
    # All have their rank of the whole catalogue: 3, 3, 5 and 6.
    assert report.metrics["HR@3"] == pytest.approx(2 / 3)
    assert report.metrics["MRR@3"] == pytest.approx(2 / 9)
    assert report.repeats.metrics["new"]["HR@3"] == 0.5
    assert report.repeats.metrics["repeated"]["MRR@3"] == pytest.approx(1 / 6)
    assert report.baselines["random"]["HR@3"] == pytest.approx((0.5 + 0.5 + 0.8) / 3)
    assert report.baselines["popularity"]["HR@3"] == 0.0  # All are as popular: ties count against.


def test_the_report_and_the_command_say_so(model, data, dataset, tmp_path):
    report = evaluate(model, data)
    text = str(report)
    assert (
        "Repeated targets (items that the user already had): 2 of 4 (50.0%), each a miss." in text
    )
    assert "New targets alone: HR@10 1.0000, NDCG@10 0.6934." in text  # (1 + 1 / log2(6)) / 2
    assert "Repeated targets alone: HR@10 0.0000, NDCG@10 0.0000." in text
    assert "50.0% of the targets" in report.repeats.advice(False)
    assert "train with --recommend_known true" in report.repeats.advice(False)
    assert "--recommend_known true ranks them" in report.repeats.advice(True)
    report.save(tmp_path / "report.npz")
    for back in (Report.load(tmp_path / "report.npz"), Report.from_json(report.to_json())):
        assert back.repeats == report.repeats
        assert str(back) == text
    none = evaluate(model, dataset([[1]], [[2]], N))
    assert "Repeated targets (items that the user already had): none." in str(none)
    assert none.repeats.advice(False) is None


def test_the_split_holds_the_setting(model):
    log = Interactions({"user_id": [1] * 4 + [2] * 3, "item_id": [1, 2, 3, 1, 4, 5, 6]})
    split = leave_last_out(log)
    assert evaluate(model, split.test, ks=(6,)).metrics["HR@6"] == 0.5
    known = split.with_recommend_known()
    assert evaluate(model, known.test, ks=(6,)).metrics["HR@6"] == 1.0
    assert known.validation.recommend_known
    assert known.train is split.train
    # Candidates of a set in which known items may be recommended hold known items too.
    drawn = known.test.sample_candidates(5).candidates
    assert sorted(drawn[0].tolist()) == [2, 3, 4, 5, 6]
    assert sorted(split.test.sample_candidates(5).candidates[0].tolist()) == [0, 0, 4, 5, 6]


def test_known_items_of_a_split():
    log = Interactions({"user_id": [1] * 4 + [2] * 2, "item_id": [4, 2, 4, 1, 3, 3]})
    split = leave_last_out(log)
    assert [row.tolist() for row in split.known_items()] == [[], [2, 4], [3]]
    assert [row.tolist() for row in split.known_items(test=True)] == [[], [1, 2, 4], [3]]


def test_the_former_argument_still_works(model, data):
    with pytest.warns(FutureWarning, match="mask_seen=False is now recommend_known=True"):
        report = evaluate(model, data, mask_seen=False)
    assert report.protocol["recommend_known"] is True


def test_lengths_of_lists(model, data):
    report = evaluate(model, data, ks=[10**12, 6])
    assert report.metrics["HR@1000000000000"] == report.metrics["HR@6"] == pytest.approx(2 / 3)
    for kind in (report.metrics, report.baselines["popularity"], report.baselines["random"]):
        assert kind["NDCG@1000000000000"] == pytest.approx(kind["NDCG@6"])
        assert kind["Coverage@1000000000000"] == pytest.approx(kind["Coverage@6"])
    for ks in ((2.7,), (True,), ("10",), "10", 10, ()):
        with pytest.raises(ValueError, match="length"):
            evaluate(model, data, ks=ks)
