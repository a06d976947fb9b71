import functools

import pytest

import tfrecs
from tfrecs._keras import keras
from tfrecs.training import build, describe


def test_a_model_and_its_loss_come_back_from_plain_data():
    loss = tfrecs.losses.SampledSoftmax(5, shared=False, logq=False, seed=3)
    model = tfrecs.models.SASRec(9, dim=8, num_blocks=1, dropout=0.25, loss=loss, seed=4)
    spec = describe(model, skip=("items",))
    assert spec["class_path"] == "tfrecs.models.SASRec"
    assert spec["init_args"]["dropout"] == 0.25
    assert spec["init_args"]["loss"]["class_path"] == "tfrecs.losses.SampledSoftmax"
    assert spec["init_args"]["loss"]["init_args"]["num_negatives"] == 5

    again = build(spec, 9)
    assert type(again) is tfrecs.models.SASRec
    assert (again.dim, again.num_blocks, again.dropout, again.seed) == (8, 1, 0.25, 4)
    assert type(again.loss_function) is tfrecs.losses.SampledSoftmax
    assert (again.loss_function.num_negatives, again.loss_function.logq) == (5, False)
    assert describe(again, skip=("items",)) == spec


@pytest.mark.parametrize(
    ("optimizer", "path"),
    [
        (keras.optimizers.Adam(0.01, beta_1=0.8), "tf_keras.optimizers.Adam"),
        (keras.optimizers.SGD(0.01, momentum=0.9), "tf_keras.optimizers.SGD"),
        (tfrecs.optimizers.LazyAdam(0.01, beta_1=0.8), "tfrecs.optimizers.LazyAdam"),
    ],
)
def test_optimizers(optimizer, path):
    spec = describe(optimizer, skip=("learning_rate",))
    assert spec["class_path"] == path
    assert "learning_rate" not in spec["init_args"]
    again = build(spec, 0.01)
    assert type(again) is type(optimizer)
    assert again.get_config() == optimizer.get_config()


def test_specs_hold_only_what_yaml_can_say():
    def check(value):
        if isinstance(value, dict):
            assert all(isinstance(key, str) for key in value)
            return all(map(check, value.values()))
        if isinstance(value, list):
            return all(map(check, value))
        return value is None or type(value) in (bool, int, float, str)

    assert check(describe(tfrecs.models.SASRec(9, dim=8), skip=("items",)))
    assert check(describe(keras.optimizers.Adam()))


def test_arguments_beside_the_spec():
    loss = functools.partial(build, {"class_path": "tfrecs.losses.GBCE"})(num_negatives=4, t=0.5)
    assert (loss.num_negatives, loss.t) == (4, 0.5)


@pytest.mark.parametrize("path", ["tfrecs.models.Nothing", "no.such.module.Thing", "Thing"])
def test_unknown_classes_are_named(path):
    with pytest.raises(ValueError, match=f"There is no class '{path}'"):
        build({"class_path": path})
