"""The benchmarks of matrix factorization and of the NCF split, in small."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import pytest

import tfrecs

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # benchmarks is not installed

from benchmarks import factorization, ncf, protocol, recipes
from benchmarks.harness import Outcome, Record
from tfrecs.data import Histories, TrainSet


def epoch(number, seconds, ndcg):
    quality = {"HR@10": 2 * ndcg, "NDCG@10": ndcg}
    return {"epoch": number, "seconds": seconds, "validation": quality, "test": quality}


def record(name, *epochs):
    settings = factorization.Settings(data="log", loss="bpr", dim=32, learning_rate=0.01)
    turns = [{"targets": 10, "steps": 1, "seconds": 10.0}] * 2
    return Record(name, name, "module", settings, turns=turns, epochs=list(epochs))


def test_the_section_tells_seconds_to_the_peers_best(tmp_path):
    (tmp_path / factorization.DATA).write_text("")
    options = factorization.parse_arguments(["--data", str(tmp_path), "--patience", "3"])
    records = [
        record("tfrecs-bpr", epoch(1, 4.0, 0.02), epoch(2, 8.0, 0.031), epoch(3, 12.0, 0.05)),
        record("implicit-bpr", epoch(1, 2.0, 0.025), epoch(2, 20.0, 0.03)),
        record("implicit-als", epoch(1, 2.0, 0.09)),
        record("lightfm-warp", epoch(1, 20.0, 0.01)),
    ]
    assert factorization.bar(records) is records[1]
    outcome = Outcome({"all": records}, {}, "A machine.", 0.02)
    text = factorization.section(options, outcome)
    assert "`python -m benchmarks.factorization --patience 3`" in text
    assert "s to validation NDCG@10 0.0300" in text
    row = next(line for line in text.splitlines() if line.startswith("| tfrecs-bpr |"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[1] == "d32, rate 0.01, regularization 0"
    assert cells[2:5] == ["6.67", "8.00", "3 of 3"]
    assert cells[5:] == [".1000 / .0500"] * 2
    assert "| lightfm-warp | d32, rate 0.01, regularization 0 | 20.0 | not in 20 |" in text
    assert text.endswith("Other processes took 2% of the processors' time meanwhile.")


def test_wrong_names_and_missing_data_are_refused(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("TFRECS_DATA", raising=False)
    for argv, message in (
        (["--data", str(tmp_path)], "set TFRECS_DATA or give --data"),
        (["--only", "spotlight"], "there are tfrecs-bpr, tfrecs-bpr-hard"),
    ):
        if "--only" in argv:
            (tmp_path / factorization.DATA).write_text("")
            argv = ["--data", str(tmp_path), *argv]
        with pytest.raises(SystemExit):
            factorization.parse_arguments(argv)
        assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("loss", "drawn"),
    [
        pytest.param("bpr", 0, marks=pytest.mark.slow),
        ("bpr", 8),
        pytest.param("warp", 0, marks=pytest.mark.slow),
        ("softmax", 0),
    ],
)
def test_the_worker_trains_what_the_plan_names(loss, drawn):
    rng = np.random.default_rng(0)
    rows = [rng.permutation(12)[:6] + 1 for _ in range(30)]
    train = TrainSet(Histories.from_lists(rows), np.arange(1, 31), 12)
    settings = factorization.Settings("", loss, dim=8, learning_rate=0.05, num_negatives=4)
    settings = dataclasses.replace(settings, num_drawn=drawn)
    model = factorization.build(settings, train)
    history = model.fit(model.examples(train).batch(32), epochs=4, verbose=0).history["loss"]
    assert history[-1] < history[0]
    if loss != "softmax":
        negatives = model.loss_function.negatives
        assert (negatives.candidates if drawn else negatives).known is not None


def test_pairs_are_numbered_from_0():
    split = protocol.leave_last_out([np.array([7, 5, 9, 5]), np.array([9, 7, 5])])
    users, items = factorization.pairs(split)
    assert (users.tolist(), items.tolist()) == ([0, 0, 1], [1, 0, 2])


@pytest.fixture
def ncf_folder(tmp_path, monkeypatch):
    """20 users of 16 items, in the files of He et al."""
    folder = tmp_path / "data" / "ml-1m-ncf"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    train, test, negatives = [], [], []
    for user in range(20):
        items = rng.permutation(16)
        train += [f"{user}\t{item}\t5" for item in items[:6]]
        test.append(f"{user}\t{items[6]}\t5\t0")
        negatives.append("\t".join([f"({user},{items[6]})", *map(str, items[7:12])]))
    for name, lines in (("train", train), ("test.rating", test), ("test.negative", negatives)):
        (folder / f"x.{name}").write_text("\n".join(lines) + "\n")
    monkeypatch.setenv("TFRECS_DATA", str(tmp_path / "data"))
    return tmp_path


@pytest.mark.slow
def test_one_seed_of_the_comparison(ncf_folder, monkeypatch):
    """All recipes by `tfrecs train` itself, one epoch each, then the pretrained model."""
    monkeypatch.setattr(ncf, "EPOCHS", 1)
    runs = ncf_folder / "runs"
    found = {}
    for name, recipe in ncf.RECIPES.items():
        more = ["--epochs", "1", "--batch_size", "32", "--learning_rate", "0.01"]
        more += ["--model.dim", "8"]
        path = tfrecs.recipes.path(recipe)
        argv = ["train", "--recipe", str(path), *more, "--output", str(runs / recipe)]
        assert tfrecs.cli.main(argv) == 0
        found[name] = [json.loads((runs / recipe / "metrics.json").read_text())]
    gmf, mlp = (tfrecs.training.Run(runs / ncf.RECIPES[name]) for name in ("GMF", "MLP"))
    metrics = ncf.pretrained(gmf, mlp, 0, runs / "pretrained")
    assert ncf.pretrained(gmf, mlp, 0, runs / "pretrained") == metrics
    found[ncf.PRETRAINED] = [metrics]
    text = ncf.section([0], found)
    for name, [run] in found.items():
        row = next(line for line in text.splitlines() if line.startswith(f"| {name} |"))
        assert f"| {run['test']['HR@10']:.4f} | {run['test']['NDCG@10']:.4f} |" in row
    assert "| popularity | | | | " in text
    found["MF"] *= 2
    more = ncf.section([0, 1], found, once=["GMF", ncf.PRETRAINED])
    assert "--seeds 0 1 --once GMF 'NeuMF, pretrained'`" in more
    assert "| MF | 2 | 1 | " in more
    assert "| GMF | 1 | 1 | " in more
    assert "ranked among its 99" in text
    section = recipes.section("mf-ml-1m-ncf", [0], found["MF"][:1])
    assert "1 + 5 candidates" in section
    assert "full ranking" not in section


def test_what_goes_on_from_others_is_not_asked_for_without_them(capsys):
    with pytest.raises(SystemExit):
        ncf.main(["--once", "GMF"])
    assert "NeuMF, pretrained needs GMF and MLP of every seed" in capsys.readouterr().err


def test_the_figure_is_drawn(tmp_path):
    runs = {
        16: {"test": {"HR@10": 0.6, "NDCG@10": 0.3}},
        64: {"test": {"HR@10": 0.7, "NDCG@10": 0.4}},
    }
    ncf.plot({"dot product": runs, "MLP": runs}, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    curves = {"dot product": runs, "MLP": runs}
    text = ncf.sizes_section(0, curves, Path("benchmarks/figure.png"))
    assert "--seeds 0 --plot benchmarks/figure.png --sizes 16 64`" in text
    assert "| 64 | 0.7000 / 0.4000 | 0.7000 / 0.4000 |" in text


def test_the_figure_takes_the_recipes_own_size_from_the_table(monkeypatch):
    asked = []
    monkeypatch.setattr(recipes, "train", lambda *given: asked.append(given))
    ncf.curve("MLP", [16, 128], 1, Path("runs"))
    flags = ["--model.dim", "16", "--model.hidden_units", "null"]
    assert asked == [
        ("mlp-ml-1m-ncf", 1, Path("runs/mlp-ml-1m-ncf-d16-1"), flags),
        ("mlp-ml-1m-ncf", 1, Path("runs/mlp-ml-1m-ncf-1")),
    ]
