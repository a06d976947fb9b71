"""The benchmark of what negatives do."""

import numpy as np
import pandas as pd
import pytest

from benchmarks import negatives_effect
from tfrecs.data import Interactions, leave_last_out

FEW = [negatives_effect.FIRST, "of the batch, 256 shared", "all items, no sampling"]


@pytest.fixture(scope="module")
def split():
    rng = np.random.default_rng(0)
    rows = [(user, int(item)) for user in range(40) for item in rng.permutation(150)[:8]]
    users, items = zip(*rows, strict=True)
    genres = pd.DataFrame({"item_id": range(150), "genres": [list("ab"), list("c")] * 75})
    return leave_last_out(Interactions({"user_id": users, "item_id": items}, item_features=genres))


@pytest.mark.slow
def test_the_section(split, monkeypatch, tmp_path, capsys):
    every = negatives_effect.kinds
    assert len(every(split, 0)) == 11
    monkeypatch.setattr(negatives_effect.tfrecs.data, "load", lambda name: None)
    monkeypatch.setattr(negatives_effect, "leave_last_out", lambda log: split)
    monkeypatch.setattr(
        negatives_effect,
        "kinds",
        lambda split, seed: {kind: every(split, seed)[kind] for kind in FEW},
    )
    path = tmp_path / "RESULTS.md"
    negatives_effect.main(["--epochs", "1", "--seeds", "0", "--output", str(path)])
    text = path.read_text()
    assert text.count("| of the batch, 256 shared |") == 2
    assert "### MF" in text
    assert "### SASRec" in text
    assert "MF, of the batch, 256 shared, seed 0: NDCG@10" in capsys.readouterr().out


def test_difference():
    class Known:
        def __init__(self, values):
            self.per_user = {"NDCG@10": np.array(values)}

    ours, theirs = [Known([1.0, 0.5, 0.0])], [Known([0.0, 0.5, 0.0]), Known([0.0, 0.5, 0.5])]
    low, mean, high = negatives_effect.difference(ours, theirs)
    # Of the users: 1, 0 and -1/4; the standard deviation of these is 0.6614.
    assert mean == pytest.approx(0.25)
    assert high - mean == pytest.approx(1.96 * 0.6614 / 3**0.5, rel=1e-3)
    assert mean - low == pytest.approx(high - mean)
