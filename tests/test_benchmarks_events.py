"""The benchmark of features of events and times."""

import gzip
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # benchmarks is not installed

from benchmarks import events


class Known:
    """A report of given values by user."""

    def __init__(self, values):
        self.per_user = {"NDCG@10": np.array(values)}
        self.metrics = {"NDCG@10": float(np.mean(values)), "HR@10": 0.5, "MRR@10": 0.25}
        self.baselines = {"popularity": {"NDCG@10": 0.1, "HR@10": 0.2, "MRR@10": 0.05}}
        self.user_ids = np.arange(len(values))


def test_a_variant_stands_beside_its_plain_model():
    found = {
        "SASRec": [Known([0.25, 0.25]), Known([0.75, 0.25])],
        "SASRec, ratings": [Known([0.5, 0.5]), Known([0.5, 0.5])],
        "GRU4Rec": [Known([0.125, 0.125])],
    }
    popularity, plain, ratings, other = events.rows_of("ml-1m", found)
    assert popularity["NDCG@10"] == "0.1000"
    assert plain["NDCG@10"] == "0.3750"
    assert plain["NDCG@10 gained"] == other["NDCG@10 gained"] == ""
    # User 0 has .5 and .5 on average, user 1 .5 and .25.
    assert ratings["NDCG@10 gained"] == "+0.1250"
    assert ratings["95% interval"] == "+0.0000 to +0.2500"


def write(folder):
    """Small files in the forms of the real ones."""
    rng = np.random.default_rng(0)
    (folder / "ml-1m").mkdir(parents=True)
    (folder / "rsc15-64").mkdir()
    (folder / "ml-latest-small").mkdir()
    rows = [
        (u, i + 1, rng.integers(1, 6), t)
        for u in range(1, 31)
        for t, i in enumerate(rng.permutation(12)[:6])
    ]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "rating", "order"])
    frame.sample(frac=1, random_state=0).to_parquet(folder / "ml-1m" / "ratings.parquet")
    movies = "\n".join(f"{i}::Film {i}::{['Comedy', 'Drama|Comedy'][i % 2]}" for i in range(1, 13))
    users = "\n".join(
        f"{u}::{'FM'[u % 2]}::{[18, 35][u % 2]}::{u % 3}::{u:05}" for u in range(1, 31)
    )
    for name, text in (("movies", movies), ("users", users)):
        (folder / "ml-1m" / f"{name}.dat.gz").write_bytes(gzip.compress((text + "\n").encode()))
    for name, first in (("train", 0), ("test", 100)):
        clicks = [
            (first + s, int(i), "S" if i % 2 else "1", 1_400_000_000 + 1000 * (first + s) + 7.5 * t)
            for s in range(60)
            for t, i in enumerate(rng.integers(0, 8, 4))
        ]
        frame = pd.DataFrame(clicks, columns=["SessionId", "ItemId", "CatId", "Time"])
        frame.to_csv(folder / "rsc15-64" / f"{name}.tsv.gz", sep="\t", index=False)
    rows = [
        (u, i, 3.0, 10**9 + 1000 * t + 37 * u)
        for u in range(30)
        for t, i in enumerate(rng.permutation(12)[:6])
    ]
    frame = pd.DataFrame(rows, columns=["userId", "movieId", "rating", "timestamp"])
    frame.to_csv(folder / "ml-latest-small" / "ratings.csv.gz", index=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "only"),
    [
        ("ml-1m", ["SASRec", "SASRec, all three"]),
        ("rsc15-64", ["GRU4Rec", "GRU4Rec, categories", "SASRec, categories and intervals"]),
        ("ml-latest-small", ["SASRec, request time"]),
    ],
)
def test_the_section(data, only, tmp_path, capsys):
    write(tmp_path / "data")
    path = tmp_path / "RESULTS.md"
    argv = ["--data", str(tmp_path / "data"), "--sets", data, "--only", *only]
    events.main([*argv, "--epochs", "1", "--output", str(path)])
    text = path.read_text()
    assert f"### {data}" in text
    said = capsys.readouterr().out
    for name in only:
        assert f"\n| {name} | " in text
        assert f"{data}: {name}, seed 0: NDCG@" in said
