"""What Keras users expect of any model: weights in files, summaries, saving, before and after."""

import numpy as np
import pytest

from tests.serving.public_models import MODELS
from tfrecs._keras import keras
from tfrecs.data import Interactions, leave_last_out
from tfrecs.models import MatrixFactorization

FAST = ("SASRec",)
NAMES = [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in MODELS]


def same(one, other):
    pairs = zip(one.get_weights(), other.get_weights(), strict=True)
    return all(np.array_equal(a, b, equal_nan=True) for a, b in pairs)


def changed(name):
    model = MODELS[name]()
    for weight in model.trainable_weights:
        # Scores stay apart, as candidates are chosen by them.
        weight.assign(1.5 * weight + 0.001)
    return model


@pytest.mark.parametrize("name", NAMES)
def test_weights_come_back_from_every_form(name, tmp_path):
    model = changed(name)
    for form in ("w.h5", "w.hdf5", "w.weights.h5", "folder/w"):
        model.save_weights(str(tmp_path / form))
        other = MODELS[name]()
        assert not same(model, other)
        other.load_weights(str(tmp_path / form))
        assert same(model, other), form
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("tmp")]
    with pytest.raises(FileExistsError, match="is not to be replaced"):
        model.save_weights(tmp_path / "w.h5", overwrite=False)


@pytest.mark.parametrize("name", NAMES)
def test_summaries_of_models_that_nobody_called(name):
    lines = []
    model = MODELS[name]()
    assert model.count_params() == sum(weight.size for weight in model.get_weights())
    before = model.get_weights()
    model.summary(print_fn=lambda line, *more: lines.append(line))
    assert f"{model.count_params()}" in "\n".join(lines).replace(",", "")
    pairs = zip(before, model.get_weights(), strict=True)
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in pairs)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_saved_as_a_folder(name, tmp_path):
    model = changed(name)
    model.save(str(tmp_path / "folder"))
    again = keras.models.load_model(str(tmp_path / "folder"))
    features = model.example_features()
    np.testing.assert_allclose(
        keras.backend.get_value(again(features)) if name != "DeepCross" else again(features),
        model(features),
        rtol=1e-5,
        atol=1e-6,
    )


@pytest.mark.slow
def test_checkpoints_in_one_file(tmp_path):
    rng = np.random.default_rng(0)
    log = Interactions({"user_id": np.repeat(np.arange(9), 6), "item_id": rng.integers(0, 9, 54)})
    split = leave_last_out(log)
    model = MatrixFactorization.from_split(split, dim=4, seed=1)
    model.compile("adam")
    path = str(tmp_path / "best.h5")
    keep = keras.callbacks.ModelCheckpoint(path, save_weights_only=True)
    model.fit(model.examples(split.train).batch(16), callbacks=[keep], verbose=0)
    again = MatrixFactorization.from_split(split, dim=4, seed=2)
    again.load_weights(path)
    assert same(model, again)
    model.summary(print_fn=lambda *line: None)
