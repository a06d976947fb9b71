"""The benchmark of two protocols."""

import sys
from pathlib import Path

import numpy as np
import pytest

import tfrecs

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # benchmarks is not installed

from benchmarks import protocols
from benchmarks.protocols import BY_TIME, LAST, compared, difference, swapped

DAY = 86_400


class Known:
    """A report of given values by user."""

    def __init__(self, values, users=None):
        self.per_user = {"NDCG@10": np.array(values)}
        self.metrics = {"NDCG@10": float(np.mean(values)), "HR@10": 0.5}
        self.baselines = {"popularity": {"NDCG@10": 0.3, "HR@10": 0.25}}
        self.user_ids = np.arange(len(values)) if users is None else np.array(users)


def test_pairs_that_swap():
    first = {"a": 4, "b": 3, "c": 2, "d": 1}
    assert swapped(first, first) == []
    assert swapped(first, {"a": 4, "b": 2, "c": 3, "d": 1}) == [("b", "c")]
    assert swapped(first, {"a": 0, "b": 0, "c": 0, "d": 0.5}) == [
        ("a", "d"),
        ("b", "d"),
        ("c", "d"),
    ]
    assert swapped({"a": 1, "b": 1}, {"a": 2, "b": 1}) == []  # Equal ones have no order.


def test_a_user_is_the_mean_of_its_seeds_and_has_all_its_rows():
    ours = [Known([1.0, 0.5, 0.0], [1, 1, 2]), Known([0.0, 0.5, 1.0], [1, 1, 2])]
    change = difference(ours, [Known([0.5, 0.25, 0.5], [1, 1, 2])])
    assert change.difference == pytest.approx(0.25 / 3)
    # User 1 has .25 in two rows, user 2 nothing in one: drawn twice, once each, or not at all.
    assert (change.low, change.high) == pytest.approx((0, 0.125))


def test_the_table_says_whether_the_order_changes():
    better, worse = [Known([0.6, 0.4])], [Known([0.2, 0.2])]
    found = {LAST: {"MF": worse, "SASRec": better}, BY_TIME: {"MF": better, "SASRec": worse}}
    rows, words = compared(found)
    assert rows.splitlines()[2:] == [
        "| SASRec | 0.5000 | 0.5000 | 1 | 0.5000 | 0.2000 | 3 |",
        "| popularity | 0.2500 | 0.3000 | 2 | 0.2500 | 0.3000 | 2 |",
        "| MF | 0.5000 | 0.2000 | 3 | 0.5000 | 0.5000 | 1 |",
    ]
    assert "Order by NDCG@10, by time: MF > popularity > SASRec." in words
    assert "**The order changes**: 3 pairs swap." in words
    assert "SASRec less MF: +0.3000 (p = " in words
    assert ", -0.3000 (p = " in words
    assert words.count("less") == 1  # Baselines have no values by user.
    same = {LAST: found[LAST], BY_TIME: found[LAST]}
    assert compared(same)[1].endswith("The order does not change.")


@pytest.mark.slow
def test_the_section(monkeypatch, tmp_path, capsys):
    rng = np.random.default_rng(0)
    rows = [
        (user, item, (user + 3 * place) * DAY)
        for user in range(40)
        for place, item in enumerate(rng.permutation(60)[:8])
    ]
    users, items, times = zip(*rows, strict=True)
    log = tfrecs.data.Interactions({"user_id": users, "item_id": items, "timestamp": times})
    monkeypatch.setattr(protocols, "load", lambda name: log)
    path = tmp_path / "RESULTS.md"
    arguments = ["--data", "x", "--targets", "successive", "--epochs", "1", "--output", str(path)]
    protocols.main(arguments)
    text = path.read_text()
    assert "### x" in text
    assert text.count("Order by NDCG@10") == 2
    for name in (*protocols.MODELS, *protocols.BASELINES):
        assert f"\n| {name} | " in text
    assert "MF, seed 0: NDCG@10" in capsys.readouterr().out
