"""What the models of users and items share: any loss, growth, the command line."""

import json

import numpy as np
import pytest

import tfrecs
from tfrecs._keras import keras, tf
from tfrecs.cli import main
from tfrecs.data import Interactions, leave_last_out
from tfrecs.models import MLP, GeneralizedMF, MatrixFactorization, NeuralMF

CLASSES = [MatrixFactorization, GeneralizedMF, MLP, NeuralMF]
LOSSES = {
    "FullSoftmax": lambda: tfrecs.losses.FullSoftmax(),
    "SampledSoftmax": lambda: tfrecs.losses.SampledSoftmax(32, seed=1),
    "BinaryCrossEntropy": lambda: tfrecs.losses.BinaryCrossEntropy(4, seed=1),
    "SquaredError": lambda: tfrecs.losses.SquaredError(4, seed=1),
    "BPR": lambda: tfrecs.losses.BPR(4, seed=1),
    "WARP": lambda: tfrecs.losses.WARP(20, seed=1),
}

# One that weighs each item by itself and one that ranks them; FullSoftmax: test_withheld.py.
QUICK = {"BinaryCrossEntropy", "WARP"}


def tastes(seed=0):
    """Users with one of four tastes: 9 of its 20 items, the first ones of all tastes most often."""
    rng = np.random.default_rng(seed)
    wanted = 1 / np.arange(2, 22) ** 0.5
    rows = []
    for user in range(240):
        items = rng.choice(20, 9, replace=False, p=wanted / wanted.sum())
        rows += [(user, int(4 * item + user % 4)) for item in items]
    users, items = zip(*rows, strict=True)
    return Interactions({"user_id": users, "item_id": items})


@pytest.fixture(scope="module")
def split():
    return leave_last_out(tastes())


def learned(model, split, epochs=8):
    model.compile(tfrecs.optimizers.Adam(0.02))
    model.fit(model.examples(split.train).batch(64), epochs=epochs, verbose=0)
    report = tfrecs.evaluate(model, split.test, ks=(10,))
    return report.metrics["HR@10"] / report.baselines["popularity"]["HR@10"]


@pytest.mark.parametrize(
    "name",
    [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in LOSSES],
)
def test_every_loss_finds_the_tastes(name, split):
    """The withheld item is one of 12 that are left of the taste; of all, popularity knows 10."""
    model = MatrixFactorization.from_split(split, dim=8, loss=LOSSES[name](), seed=1)
    assert learned(model, split) > 2


# Quick: test_withheld.py.
@pytest.mark.slow
@pytest.mark.parametrize("cls", [GeneralizedMF, MLP, NeuralMF])
def test_every_model_finds_the_tastes(cls, split):
    assert learned(cls.from_split(split, dim=8, seed=1), split) > 2


@pytest.mark.parametrize("cls", CLASSES)
def test_an_unknown_user_has_finite_scores_that_no_row_changes(cls):
    model = cls(items=7, users=3, dim=4, stddev=1.0, seed=1)
    unknown = {"user_id": tf.constant([4, 0, -1, 2**31 - 1])}
    before = model.score(unknown).numpy()
    assert np.isfinite(before).all()
    np.testing.assert_array_equal(before, before[[0, 0, 0, 0]])
    model.user_embedding.table.assign(model.user_embedding.table + 1)
    np.testing.assert_array_equal(model.score(unknown), before)
    assert np.abs(model.score({"user_id": tf.constant([1])}) - before[:1]).max() > 0


@pytest.mark.slow
@pytest.mark.parametrize("cls", CLASSES)
def test_grown_scores_as_before_and_learns_the_new(cls):
    rows = {"user_id": [1, 1, 1, 2, 2, 2], "item_id": [1, 2, 3, 1, 3, 2]}
    first = leave_last_out(Interactions(rows))
    model = cls.from_split(first, dim=16, seed=1)
    more = Interactions(
        {
            name: [*ids, *new]
            for (name, ids), new in zip(rows.items(), ([9, 9, 9, 9], [1, 7, 8, 3]), strict=True)
        }
    )
    second = leave_last_out(more.continuing(first.users, first.items))
    grown = model.grown(second)
    assert (grown.num_users, grown.num_items) == (3, 5)
    features = {"user_id": tf.constant([2, 1])}
    np.testing.assert_allclose(
        grown.score(features)[:, :3], model.score(features), rtol=1e-5, atol=1e-6
    )
    new_user = grown.user_embedding.table[2].numpy()
    grown.compile(keras.optimizers.SGD(0.1))
    grown.fit(grown.examples(second.train).batch(8), verbose=0)
    assert np.abs(grown.user_embedding.table[2] - new_user).max() > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["matrix-factorization", "neural-mf"])
def test_from_the_command_line(name, tmp_path, capsys):
    tastes().frame.to_csv(tmp_path / "log.csv", index=False)
    run, served = tmp_path / "run", tmp_path / "export"
    argv = ["--model", name, "--model.dim", "4", "--model.loss", "bpr", "--epochs", "1"]
    argv += ["--data", str(tmp_path / "log.csv")]
    assert main(["train", *argv, "--output", str(run)]) == 0, capsys.readouterr().err
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["model"].lower() == name.replace("-", "")
    assert metrics["num_users"] == 240
    assert main(["export", str(run), "--output", str(served), "--k", "5"]) == 0
    capsys.readouterr()
    assert main(["recommend", str(served), "--user", "17", "--k", "3"]) == 0
    assert len(capsys.readouterr().out.splitlines()) >= 3
    assert main(["recommend", str(served), "--user", "nobody"]) == 2
