"""The figures of a run on a log with repeats are those that its export gives, for every model."""

import json

import numpy as np
import pandas as pd
import pytest

import tfrecs
from tfrecs.serving import Recommender
from tfrecs.training import Run

NUM_USERS, NUM_ITEMS, LENGTH = 60, 40, 14
MODELS = ("SASRec", "TwoTower", "MatrixFactorization", "GeneralizedMF", "MLP", "NeuralMF")


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A log in which a third of the purchases are repeats."""
    rng = np.random.default_rng(4)
    rows = []
    for user in range(NUM_USERS):
        bought = []
        for time in range(LENGTH):
            again = bought and rng.random() < 1 / 3
            bought.append(int(rng.choice(bought) if again else rng.zipf(1.3) % NUM_ITEMS))
            rows.append((f"u{user}", f"i{bought[-1]}", 100 * time + user))
    path = tmp_path_factory.mktemp("shop") / "shop.csv"
    pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"]).to_csv(path, index=False)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("recommend_known", [False, True], ids=["left out", "ranked"])
@pytest.mark.parametrize("name", MODELS)
def test_reported_figures_are_those_of_the_export(name, recommend_known, shop, tmp_path, capsys):
    run, exports = tmp_path / "run", tmp_path / "exports"
    known = ["--recommend_known", str(recommend_known).lower()]
    fast = ["--epochs", "2", "--batch_size", "64", "--model", name, "--model.dim", "8"]
    tfrecs.cli.main(["train", "--data", str(shop), "--output", str(run), *fast, *known])
    assert "of the targets are items that the user already had" in capsys.readouterr().out
    tfrecs.cli.main(["export", str(run), "--output", str(exports), "--k", str(NUM_ITEMS)])
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["recommend_known"] is recommend_known
    assert metrics["repeats"]["test"]["share"] > 0.2

    recommender, test = Recommender(exports), Run(run).load_split().test
    assert recommender.recommend_known is recommend_known
    hits, gains = [], []
    for row, user in enumerate(test.user_ids):
        asked = {}
        if recommender.reads_history:
            asked["history"] = test.items.decode(test.history[row]).tolist()
        if recommender.knows_users:
            asked["user"] = test.users.decode([user]).tolist()[0]
        answer = recommender.recommend(k=min(recommender.k, NUM_ITEMS), **asked)
        (target,) = test.items.decode(test.targets[row]).tolist()
        # Equal scores count against the target.
        answer.sort(key=lambda pair: (-pair[1], pair[0] == target))
        rank = next((i for i, (item, _) in enumerate(answer, 1) if item == target), np.inf)
        hits.append(rank <= 10)
        gains.append(1 / np.log2(1 + rank) if rank <= 10 else 0.0)
    assert metrics["test"]["HR@10"] == pytest.approx(np.mean(hits), abs=1e-6)
    assert metrics["test"]["NDCG@10"] == pytest.approx(np.mean(gains), abs=1e-6)

    tfrecs.cli.main(["evaluate", str(run), "--json", str(tmp_path / "report.json")])
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["metrics"]["NDCG@10"] == pytest.approx(metrics["test"]["NDCG@10"], abs=1e-6)
    assert report["protocol"]["recommend_known"] is recommend_known
