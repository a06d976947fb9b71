import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tfrecs
from tfrecs.evaluation import (
    RANK_METRICS,
    Evaluator,
    Pools,
    coverage,
    evaluate,
    novelty,
    popularity_bias,
    popularity_ranks,
    random_lists,
    random_metrics,
)
from tfrecs.evaluation.ranking import NEVER

N = 8


@settings(max_examples=100, deadline=None)
@given(
    users=st.lists(
        st.tuples(
            st.lists(st.integers(1, N), max_size=10),
            st.lists(st.integers(1, N), min_size=1, max_size=4),
            st.lists(st.integers(0, N), min_size=3, max_size=3),
        ),
        min_size=1,
        max_size=6,
    ),
    counts=st.lists(st.integers(0, 3), min_size=N, max_size=N),
    recommend_known=st.booleans(),
    given_candidates=st.booleans(),
    k=st.integers(1, 10),
)
def test_popularity_equals_sorting_by_counts(
    users, counts, recommend_known, given_candidates, k, dataset, by_sorting
):
    history, targets, candidates = zip(*users, strict=True)
    data = dataset(
        history, targets, N, candidates=np.array(candidates) if given_candidates else None
    )
    pools = Pools.of(data, recommend_known)
    top = 0 if given_candidates else k
    ranks = popularity_ranks(pools, np.array([7, *counts, 7]), top=top)
    for u in range(len(users)):
        row = candidates[u] if given_candidates else None
        order = by_sorting(counts, history[u], set(targets[u]), row, recommend_known)
        found = ranks.ranks[ranks.offsets[u] : ranks.offsets[u + 1]]
        expected = [order.index(i) + 1 if i in order else NEVER for i in set(targets[u])]
        assert sorted(np.minimum(found, NEVER // 2)) == sorted(np.minimum(expected, NEVER // 2))
        if top:
            best = sorted(order, key=lambda i: (-counts[i - 1], i))[:k]
            assert ranks.top_items[u].tolist() == best + [0] * (k - len(best))


def test_popularity_equals_the_model_that_scores_by_counts(table, dataset):
    rng = np.random.default_rng(0)
    n, users = 40, 25
    counts = np.array([0, *rng.integers(0, 10, n), 0])
    history = [rng.integers(1, n + 1, rng.integers(0, 12)) for _ in range(users)]
    targets = [rng.integers(1, n + 1, rng.integers(1, 5)) for _ in range(users)]
    data = dataset(history, targets, n, counts=counts)
    report = evaluate(table(np.tile(counts[1:-1], (users + 1, 1))), data, ks=(3, 10))
    assert report.baselines["popularity"] == pytest.approx(report.metrics)
    sampled = dataclasses.replace(data, candidates=rng.integers(0, n + 1, (users, 7)))
    report = evaluate(table(np.tile(counts[1:-1], (users + 1, 1))), sampled, ks=(3, 10))
    assert report.baselines["popularity"] == pytest.approx(report.metrics)
    assert set(report.metrics) == {f"{name}@{k}" for name in RANK_METRICS for k in (3, 10)}


@pytest.mark.parametrize(("size", "m"), [(1, 1), (4, 1), (5, 2), (6, 3), (5, 5)])
@pytest.mark.parametrize("k", [1, 2, 3, 5, 9])
def test_random_metrics_are_the_mean_over_all_orders(size, m, k):
    # The targets' places, each set of them as likely as any other.
    places = np.array(list(itertools.combinations(range(1, size + 1), m)))
    offsets = np.arange(len(places) + 1) * m
    expected = random_metrics(np.array([size]), np.array([m]), k)
    for name, function in RANK_METRICS.items():
        mean = function(places.ravel(), k, offsets).mean()
        assert expected[name] == pytest.approx([mean]), name


@pytest.mark.parametrize(("size", "m", "more"), [(5, 2, 1), (4, 1, 3), (3, 0, 2), (0, 0, 1)])
@pytest.mark.parametrize("k", [1, 2, 9])
def test_random_metrics_where_some_targets_are_never_recommended(size, m, more, k):
    places = np.array(list(itertools.combinations(range(1, size + 1), m)))
    places = np.concatenate([places, np.full((len(places), more), NEVER)], axis=1).astype(np.int64)
    offsets = np.arange(len(places) + 1) * (m + more)
    expected = random_metrics(np.array([size]), np.array([m + more]), k, ranked=np.array([m]))
    for name, function in RANK_METRICS.items():
        mean = function(places.ravel(), k, offsets).mean()
        assert expected[name] == pytest.approx([mean]), name


def test_random_metrics_agree_with_simulation():
    rng = np.random.default_rng(0)
    size, m, k, times = 200, 7, 10, 20_000
    ranks = np.argsort(rng.random((times, size)), axis=1)[:, :m] + 1
    offsets = np.arange(times + 1) * m
    expected = random_metrics(np.array([size]), np.array([m]), k)
    for name, function in RANK_METRICS.items():
        values = function(ranks.ravel(), k, offsets)
        assert abs(values.mean() - expected[name][0]) < 4 * values.std() / times**0.5, name


def test_random_lists_agree_with_simulation(dataset):
    rng = np.random.default_rng(0)
    n, users, k, times = 30, 12, 3, 3_000
    counts = np.array([0, *rng.integers(0, 20, n), 0])
    history = [rng.choice(n, rng.integers(0, 28), replace=False) + 1 for _ in range(users)]
    pools = Pools.of(dataset(history, [[1 + u] for u in range(users)], n))
    allowed = np.ones((users, n), bool)
    allowed[pools.seen.rows, pools.seen.values - 1] = False
    values = {"Coverage": [], "Novelty": [], "PopularityBias": []}
    for _ in range(times):
        order = np.argsort(rng.random((users, n)) + 9.0 * ~allowed, axis=1)[:, :k]
        lists = np.where(np.take_along_axis(allowed, order, axis=1), order + 1, 0)
        values["Coverage"].append(coverage(lists, n))
        values["Novelty"].append(novelty(lists, counts).mean())
        values["PopularityBias"].append(popularity_bias(lists, counts).mean())
    expected = random_lists(pools, counts, k)
    for name, drawn in values.items():
        error = np.std(drawn) / times**0.5
        assert abs(np.mean(drawn) - expected[name]) < 4 * error, name


def test_random_lists_longer_than_the_catalogue(dataset):
    pools = Pools.of(dataset([[1], [2]], [[3], [3]], 3))
    assert random_lists(pools, np.ones(5), k=10) == pytest.approx(
        {"Coverage": 1.0, "Novelty": np.log2(3), "PopularityBias": 1.0}
    )


@pytest.mark.slow
def test_popularity_on_movielens_100k():
    """The published protocol: leave-last-out, full ranking, seen masked, training counts."""
    split = tfrecs.data.leave_last_out(tfrecs.data.load("ml-100k"))
    evaluator = Evaluator(split.test)
    ranks = popularity_ranks(evaluator.pools, split.test.item_counts).ranks
    assert RANK_METRICS["HR"](ranks, 10).mean() == pytest.approx(0.0838, abs=5e-5)
    assert RANK_METRICS["NDCG"](ranks, 10).mean() == pytest.approx(0.0432, abs=5e-5)
