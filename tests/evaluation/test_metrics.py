import doctest
import importlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrecs.evaluation import (
    RANK_METRICS,
    average_precision,
    coverage,
    hit_rate,
    mrr,
    ndcg,
    novelty,
    popularity_bias,
    precision,
    recall,
)

RANX = {
    "HR": "hit_rate",
    "NDCG": "ndcg",
    "MRR": "mrr",
    "MAP": "map",
    "Recall": "recall",
    "Precision": "precision",
}


@pytest.mark.parametrize(
    "module",
    ["metrics", "baselines", "ranking", "comparison"],
)
def test_the_examples_in_the_docstrings_run(module):
    result = doctest.testmod(importlib.import_module(f"tfrecs.evaluation.{module}"))
    assert result.failed == 0
    assert result.attempted > 0 or module == "pools"


def test_one_target_a_user_by_hand():
    ranks = np.array([1, 2, 10, 11])
    assert hit_rate(ranks, 10).tolist() == [1, 1, 1, 0]
    assert ndcg(ranks, 10) == pytest.approx([1, 0.6309297536, 0.2890648263, 0])
    assert mrr(ranks, 10) == pytest.approx([1, 0.5, 0.1, 0])
    assert average_precision(ranks, 10) == pytest.approx([1, 0.5, 0.1, 0])
    assert recall(ranks, 10).tolist() == [1, 1, 1, 0]
    assert precision(ranks, 10) == pytest.approx([0.1, 0.1, 0.1, 0])


def test_many_targets_a_user_by_hand():
    ranks, offsets = np.array([5, 1, 3, 20, 7]), np.array([0, 4, 5])
    assert hit_rate(ranks, 5, offsets).tolist() == [1, 0]
    # Of four targets at 1, 3, 5 and 20: (1/1 + 2/3 + 3/5) / 4.
    assert average_precision(ranks, 5, offsets) == pytest.approx([(1 + 2 / 3 + 3 / 5) / 4, 0])
    assert mrr(ranks, 5, offsets).tolist() == [1, 0]
    assert recall(ranks, 5, offsets).tolist() == [0.75, 0]
    assert precision(ranks, 5, offsets).tolist() == [0.6, 0]
    gain = 1 + 1 / np.log2(4) + 1 / np.log2(6)
    ideal = 1 + 1 / np.log2(3) + 1 / np.log2(4) + 1 / np.log2(5)
    assert ndcg(ranks, 5, offsets) == pytest.approx([gain / ideal, 0])


def test_ideal_dcg_is_taken_at_k():
    # Five targets, all of the first two places hold one: nothing is better than that.
    assert ndcg(np.array([1, 2, 9, 10, 11]), 2, np.array([0, 5])) == pytest.approx([1])


_ASK_RANX = """
import json, sys
from ranx import Qrels, Run, evaluate

asked = json.load(sys.stdin)
scores = evaluate(Qrels(asked["qrels"]), Run(asked["run"]), asked["names"], return_mean=False)
print(json.dumps({name: list(map(float, values)) for name, values in scores.items()}))
"""


def _ranx(**asked):
    """What ranx says, in a process where it does not first compile for a minute."""
    done = subprocess.run(
        [sys.executable, "-c", _ASK_RANX],
        input=json.dumps(asked),
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.mark.slow
def test_agrees_with_ranx_on_many_targets():
    rng = np.random.default_rng(0)
    n, users = 60, 80
    qrels, run, ranks, sizes = {}, {}, [], []
    for u in range(users):
        order = rng.permutation(n)
        targets = rng.choice(n, rng.integers(1, 25), replace=False)
        qrels[f"u{u:02}"] = {f"i{i}": 1 for i in targets}
        run[f"u{u:02}"] = {f"i{item}": float(n - place) for place, item in enumerate(order)}
        ranks += [int(np.flatnonzero(order == i)[0]) + 1 for i in targets]
        sizes.append(len(targets))
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    ks = (1, 5, 10, 20)
    names = [f"{name}@{k}" for name in RANX.values() for k in ks]
    expected = _ranx(qrels=qrels, run=run, names=names)
    for k in ks:
        for name, ranx_name in RANX.items():
            ours = RANK_METRICS[name](np.array(ranks), k, offsets)
            np.testing.assert_allclose(ours, expected[f"{ranx_name}@{k}"], atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), k=st.integers(1, 12))
def test_bounds_and_order(data, k):
    users = data.draw(
        st.lists(st.lists(st.integers(1, 30), min_size=1, max_size=8, unique=True), min_size=1)
    )
    offsets = np.concatenate([[0], np.cumsum([len(user) for user in users])])
    ranks = np.concatenate(users)
    backwards = np.concatenate([user[::-1] for user in users])
    values = {name: function(ranks, k, offsets) for name, function in RANK_METRICS.items()}
    for name, function in RANK_METRICS.items():
        assert values[name].shape == (len(users),)
        assert (values[name] >= 0).all()
        assert (values[name] <= 1 + 1e-12).all()
        # The order in which a user's targets are listed means nothing, a longer list never hurts.
        np.testing.assert_allclose(function(backwards, k, offsets), values[name])
    for name in ("HR", "MRR", "MAP", "Recall"):
        assert (RANK_METRICS[name](ranks, k + 1, offsets) >= values[name] - 1e-12).all()
    assert ((values["HR"] > 0) == (values["Recall"] > 0)).all()


@pytest.mark.parametrize(
    ("ranks", "k", "offsets", "message"),
    [
        ([1], 0, None, "at least 1; got 0"),
        ([0], 10, None, "count from 1, got 0"),
        ([1, 2], 10, [0, 2, 2], "user 1 has none"),
        ([1, 2], 10, [0, 1], "rise from 0 to its length"),
        ([], 10, None, "rise from 0 to its length"),
    ],
)
def test_wrong_ranks_are_refused(ranks, k, offsets, message):
    for function in RANK_METRICS.values():
        with pytest.raises(ValueError, match=message):
            function(np.array(ranks, int), k, None if offsets is None else np.array(offsets))


def test_beyond_accuracy_by_hand():
    lists = np.array([[1, 2], [2, 0]])
    counts = np.array([9, 8, 4, 0, 4, 9])  # The first and the last entry are no items.
    assert coverage(lists, 4) == 0.5
    assert novelty(lists, counts) == pytest.approx([(1 + 2) / 2, 2])
    assert novelty(np.array([[3]]), counts) == pytest.approx([4])  # Never seen: as one of 16.
    assert popularity_bias(lists, counts) == pytest.approx([(8 + 4) / 2 / 4, 4 / 4])
    everything = np.tile([1, 2, 3, 4], (3, 1))
    assert coverage(everything, 4) == 1
    assert popularity_bias(everything, counts) == pytest.approx([1, 1, 1])
    assert novelty(np.zeros((1, 2), int), counts).tolist() == [0]


@pytest.mark.parametrize("k", [2.7, 10.0, 0, -1, True, "10", None, float("nan")])
def test_lengths_of_lists_are_positive_whole_numbers(k):
    for function in RANK_METRICS.values():
        with pytest.raises(ValueError, match="k is the length of a list, a whole number"):
            function(np.array([3]), k)


@pytest.mark.parametrize("name", RANK_METRICS)
def test_lists_longer_than_any_catalogue_cost_nothing(name):
    ranks, offsets = np.array([1, 3, 2]), np.array([0, 2, 3])
    np.testing.assert_allclose(
        RANK_METRICS[name](ranks, 10**12, offsets),
        RANK_METRICS[name](ranks, 3, offsets) * (3 / 10**12 if name == "Precision" else 1),
    )
