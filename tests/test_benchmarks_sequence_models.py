"""The benchmarks of the sequence models: their plans, tables and paired differences."""

import argparse

import numpy as np
import pytest

from benchmarks import options, sequence_models
from benchmarks.harness import Outcome, Record


def record(name, model, targets):
    settings = sequence_models.Settings(model, data="log")
    found = Record(f"{name}-{model.lower()}", name, "module:train", settings)
    found.ready = {"targets_per_epoch": 1000}
    found.turns = [{"targets": 1, "seconds": 1.0}, {"targets": targets, "seconds": 2.0}]
    return found


def test_every_model_has_its_peers(tmp_path):
    groups = sequence_models.plan(tmp_path, threads=2)
    names = {model: [r.name for r in group] for model, group in groups.items()}
    assert names == {
        "GRU4Rec": ["tfrecs-gru4rec", "recbole-gru4rec"],
        "Caser": ["tfrecs-caser", "recbole-caser"],
        "BERT4Rec": [
            f"{trainer}-bert4rec" for trainer in ("tfrecs", "recbole", "rectools", "replay")
        ],
    }
    few = sequence_models.plan(tmp_path, 2, only="tfrecs-caser")
    assert [r.name for group in few.values() for r in group] == ["tfrecs-caser"]


def test_the_section_says_how_many_times_as_fast():
    groups = {
        "GRU4Rec": [record("tfrecs", "GRU4Rec", 9000), record("recbole", "GRU4Rec", 1000)],
        "Caser": [],
        "BERT4Rec": [],
    }
    text = sequence_models.section(
        argparse.Namespace(command="it", threads=2), Outcome(groups, {}, "A machine.", others=0.0)
    )
    lines = [line for line in text.splitlines() if line.startswith("| GRU4Rec")]
    assert lines[0].startswith("| GRU4Rec | tfrecs | 4,500")
    assert lines[1].startswith("| GRU4Rec | recbole | 500")
    assert lines[1].endswith("| 9.0 |")


def test_a_difference_is_that_of_each_user():
    rng = np.random.default_rng(0)
    base = [{"HR@10": rng.random(50), "NDCG@10": rng.random(50)} for _ in range(2)]
    better = [{name: values + 0.1 for name, values in users.items()} for users in base]
    row = options.row("better", {"users": better, "seconds": 2.0}, {"users": base, "seconds": 1.0})
    assert row["difference in NDCG@10"].startswith("+0.1000 [+0.1000, +0.1000]")
    assert float(row["p"]) < 0.01
    assert row["s an epoch"] == "2.0"
    first = options.row("base", {"users": base, "seconds": 1.0}, None)
    assert first["difference in NDCG@10"] == first["p"] == ""
    assert first["NDCG@10"].startswith(f"{np.mean([u['NDCG@10'].mean() for u in base]):.4f} ±")


@pytest.mark.parametrize("name", list(options.OPTIONS))
def test_the_command_line_takes_every_option(name):
    from tfrecs.cli.train import make_parser

    for recipe, small in options.RECIPES.values():
        flags = ["--recipe", recipe, *small, *options.OPTIONS[name], "--output", "run"]
        make_parser().parse_args(flags)
