"""The baselines of recent items and of the user's last items, and the warning of a leak."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrecs._keras import tf
from tfrecs.data import Interactions, PartTimes, global_time, leave_last_out
from tfrecs.evaluation import Pools, Report, evaluate, last_items_ranks
from tfrecs.evaluation.ranking import NEVER

N = 8
DAY = 86_400


@settings(max_examples=150, deadline=None)
@given(
    users=st.lists(
        st.tuples(
            st.lists(st.integers(0, N + 1), max_size=12),
            st.lists(st.integers(1, N), min_size=1, max_size=4),
            st.lists(st.integers(0, N), min_size=3, max_size=3),
        ),
        min_size=1,
        max_size=6,
    ),
    given_candidates=st.booleans(),
    k=st.integers(1, 10),
)
def test_last_items_equal_reading_each_history_backwards(users, given_candidates, k, dataset):
    history, targets, candidates = zip(*users, strict=True)
    data = dataset(
        history, targets, N, candidates=np.array(candidates) if given_candidates else None
    )
    pools = Pools.of(data, True)
    top = 0 if given_candidates else k
    ranks = last_items_ranks(pools, data.history, top=top)
    for u in range(len(users)):
        pool = {*candidates[u], *targets[u]} if given_candidates else {*range(1, N + 1)}
        order = [i for i in dict.fromkeys(reversed(history[u])) if i in pool and 1 <= i <= N]
        found = ranks.ranks[ranks.offsets[u] : ranks.offsets[u + 1]]
        expected = [order.index(i) + 1 if i in order else NEVER for i in sorted({*targets[u]})]
        assert np.minimum(found, NEVER // 2).tolist() == np.minimum(expected, NEVER // 2).tolist()
        if top:
            assert ranks.top_items[u].tolist() == (order + [0] * k)[:k]


def test_last_items_need_known_items(dataset):
    data = dataset([[1]], [[2]], N)
    with pytest.raises(ValueError, match="leave out known items"):
        last_items_ranks(Pools.of(data), data.history)


@pytest.fixture(scope="module")
def data(dataset):
    counts = np.array([0, 9, 8, 7, 6, 5, 4, 3, 2, 0])
    recent = np.array([0, 0, 0, 1, 2, 2, 0, 0, 0, 0])
    data = dataset([[1, 2, 1], [3, 4], [5]], [[2], [4], [6]], N, counts=counts)
    return dataclasses.replace(data, times=PartTimes(recent, 0.25))


@pytest.fixture(scope="module")
def model(table):
    return table(np.tile(np.arange(N, 0, -1.0), (4, 1)))


def test_the_report_has_them_where_it_can(model, data, table):
    report = evaluate(model, data, ks=(1, 2, 3), recommend_known=True)
    assert list(report.baselines) == ["popularity", "random", "popularity_7_days", "last_items"]
    # Histories read backwards: 1 2; 4 3; 5. The targets 2, 4, 6 have ranks 2, 1 and none.
    last = report.baselines["last_items"]
    assert (last["HR@1"], last["HR@2"]) == pytest.approx((1 / 3, 2 / 3))
    assert last["MRR@2"] == pytest.approx((1 / 2 + 1) / 3)
    assert last["Coverage@3"] == pytest.approx(5 / 8)  # Items 1 to 5, and none to fill up.
    # Of the last week: 4 and 5 twice, 3 once, the others tie. Item 4 has rank 2, by its tie.
    recent = report.baselines["popularity_7_days"]
    assert (recent["HR@1"], recent["HR@2"], recent["HR@3"]) == pytest.approx((0, 1 / 3, 1 / 3))
    by_counts = table(np.tile(data.times.recent_counts[1:-1], (4, 1)))
    assert recent == pytest.approx(
        evaluate(by_counts, data, (1, 2, 3), recommend_known=True).metrics
    )
    masked = evaluate(by_counts, data)
    assert list(masked.baselines) == ["popularity", "random", "popularity_7_days"]
    assert masked.baselines["popularity_7_days"] == pytest.approx(masked.metrics)
    candidates = dataclasses.replace(data, candidates=np.array([[1, 3], [3, 5], [5, 7]]))
    sampled = evaluate(by_counts, candidates, ks=(1, 2), recommend_known=True)
    assert sampled.baselines["popularity_7_days"] == pytest.approx(sampled.metrics)
    # Among the candidates and targets: 1 2; 4 3; 5.
    assert sampled.baselines["last_items"]["HR@1"] == pytest.approx(1 / 3)
    assert sampled.baselines["last_items"]["HR@2"] == pytest.approx(2 / 3)


def test_the_report_says_which_are_left_out(model, data):
    text = str(evaluate(model, data))
    assert "popularity_7_days counts the 5 interactions of the last 7 days." in text
    assert "Baselines left out: last_items (known items are not recommended)." in text
    untimed = dataclasses.replace(data, times=None, recommend_known=True)
    text = str(evaluate(model, untimed))
    assert "Baselines left out: popularity_7_days (the data have no times)." in text
    quiet = dataclasses.replace(data, times=PartTimes(np.zeros(N + 2, int), 0.0))
    report = evaluate(model, quiet)
    assert list(report.baselines) == ["popularity", "random"]
    assert "popularity_7_days (no interaction in these days), last_items" in str(report)
    assert "left out" not in str(evaluate(model, data, baselines=False))


def test_the_report_warns_of_training_on_the_future(model, data):
    report = evaluate(model, data)
    warning = (
        "Trained on the future: on average 25.0% of the training interactions are later than a "
        "target. Split by time without this leak: --split global_time."
    )
    assert str(report).count(warning) == 1
    assert report.protocol["trained_on_future"] == 0.25
    assert warning in str(Report.from_json(report.to_json()))
    little = dataclasses.replace(data.times, trained_on_future=1e-6)
    assert "less than 0.1%" in str(evaluate(model, dataclasses.replace(data, times=little)))
    for times in (None, dataclasses.replace(data.times, trained_on_future=0.0)):
        report = evaluate(model, dataclasses.replace(data, times=times))
        assert "future" not in str(report)


def test_reports_of_earlier_versions_are_read(model, data):
    report = evaluate(model, data)
    for name in ("rows", "trained_on_future", "recent_interactions", "baselines_left_out"):
        del report.table.protocol[name]
    back = Report.from_json(report.to_json())
    assert "3 users, 3 targets." in str(back)
    assert "One target a user" in str(back)


def log():
    """Every user meets items a day apart; the first user is a year before the others."""
    rng = np.random.default_rng(0)
    rows = [
        (user, item, (0 if user == 0 else 365) * DAY + place * DAY)
        for user in range(12)
        for place, item in enumerate(rng.permutation(20)[:9])
    ]
    users, items, times = zip(*rows, strict=True)
    return Interactions({"user_id": users, "item_id": items, "timestamp": times})


class LastPlusOne:
    """Scores the item after the last of the history highest: rank and row are easy to follow."""

    items, num_items, max_history, is_product = None, 20, 1, False

    def score(self, features, items=None):
        distance = (tf.range(1, 21)[None] - features["history"][:, -1:] - 1) % 20
        scores = -tf.cast(distance, tf.float32)
        return scores if items is None else tf.gather(scores, items - 1, batch_dims=1)


def test_a_user_with_several_rows():
    split = global_time(log(), times=(370 * DAY, 372 * DAY), targets="successive")
    report = evaluate(LastPlusOne(), split.test, ks=(5,))
    # 11 users with the interactions of 2 days each: the model sees the first in the second's row.
    assert len(split.test) == 22
    hits = []
    for history, (target,) in zip(split.test.history, split.test.targets, strict=True):
        order = sorted(range(1, 21), key=lambda i, last=history[-1]: (i - last - 1) % 20)
        hits.append([i for i in order if i not in history].index(target) < 5)
    assert report.per_user["HR@5"].tolist() == hits
    assert report.metrics["HR@5"] == pytest.approx(np.mean(hits))
    text = str(report)
    assert "11 users, 22 targets in 22 rows." in text
    assert "One target a row: Recall = HR" in text
    assert "trained on the future" not in text.lower()
    # Users are drawn with both of their rows.
    pairs = np.reshape(hits, (11, 2)).mean(axis=1)
    error = pairs.std() / 11**0.5
    low, high = report.interval("HR@5", samples=20_000)
    assert (high - low) / 2 == pytest.approx(1.96 * error, rel=0.15)
    assert report.compare(report).num_users == 11


def test_leave_last_out_warns_and_global_time_does_not():
    report = evaluate(LastPlusOne(), leave_last_out(log()).test)
    # Of 84 training interactions 77 are later than the first user's target, none than the others'.
    assert report.protocol["trained_on_future"] == pytest.approx(77 / 84 / 12)
    assert "on average 7.6% of the training" in str(report)
    assert "popularity_7_days" in report.baselines
    by_time = evaluate(LastPlusOne(), global_time(log(), targets="last").test)
    assert by_time.protocol["trained_on_future"] == 0


def test_rows_with_candidates_of_their_own():
    split = global_time(log(), times=(370 * DAY, 372 * DAY), targets="successive")
    candidates = split.test.with_candidates(np.zeros((22, 1)))
    # Alone in its pool, each target is first.
    assert evaluate(LastPlusOne(), candidates, ks=(3,)).metrics["NDCG@3"] == 1
