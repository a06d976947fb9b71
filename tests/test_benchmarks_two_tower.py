"""The benchmark of two towers, on a log of a few users."""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tfrecs

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # benchmarks is not installed

from benchmarks import two_tower


@pytest.mark.slow
def test_three_models_and_a_section():
    rng = np.random.default_rng(0)
    log = tfrecs.data.Interactions(
        {
            "user_id": np.repeat(range(30), 6),
            "item_id": np.concatenate([rng.permutation(12)[:6] for _ in range(30)]),
        },
        item_features=pd.DataFrame({"item_id": range(12), "year": np.arange(12.0)}),
    )
    split = tfrecs.data.leave_last_out(log)
    options = argparse.Namespace(seed=0, epochs=1, batch_size=64, learning_rate=0.01)
    rows = []
    for name, changes, logq in (("all", {}, True), ("less", two_tower.WITHOUT_FEATURES, False)):
        model, seconds, epoch = two_tower.trained(split, changes, logq, options)
        assert (model.item_tower.lookup is None) == bool(changes)
        reports = [
            tfrecs.evaluate(model, part, ks=(10,), baselines=part is split.test)
            for part in (split.validation, split.test)
        ]
        rows.append((name, *reports, seconds, epoch))
    text = two_tower.section(options, rows)
    assert f"| all | 1 | {rows[0][3]:.0f} | {rows[0][1].metrics['HR@10']:.4f} /" in text
    difference = rows[0][2].metrics["NDCG@10"] - rows[1][2].metrics["NDCG@10"]
    assert f"| all less less | {difference:+.4f} |" in text
