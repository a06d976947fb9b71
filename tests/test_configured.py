"""Objects remember their constructor's arguments: configs, attributes, and what replaces them."""

import copy
import json

import numpy as np
import pytest

import tfrecs
from tfrecs._keras import keras, tf
from tfrecs.configured import Configured, built, part_seeds, plain


class Scale(Configured, keras.layers.Layer):
    def __init__(self, factor=2.0, sizes=(1, 2), **kwargs):
        super().__init__(**kwargs)
        self.sizes = list(sizes)


class Shifted(Scale):
    def __init__(self, shift, **kwargs):
        super().__init__(**kwargs)
        self.shift = shift


def test_defaults_and_positional_arguments_are_remembered():
    config = Scale(3.0, name="scale").get_config()
    assert config["factor"] == 3.0
    assert config["sizes"] == [1, 2]
    assert config["name"] == "scale"


def test_a_subclass_remembers_what_it_passes_on():
    config = json.loads(json.dumps(Shifted(1.5, factor=4.0).get_config()))
    again = Shifted.from_config(config)
    assert (again.shift, again.factor) == (1.5, 4.0)
    assert again.get_config() == config


def test_arguments_are_attributes_and_others_are_not():
    scale = Scale(3.0)
    assert scale.factor == 3.0
    with pytest.raises(AttributeError, match="'Scale' object has no attribute 'fcator'"):
        scale.fcator  # noqa: B018
    # Keras asks a model for these before it sets them.
    model = tfrecs.models.SASRec(9, dim=8, loss="bpr")
    assert not hasattr(model, "loss") or model.loss != "bpr"


def test_copies_keep_what_is_remembered():
    assert copy.copy(Scale(3.0)).factor == 3.0


def test_wrong_arguments_name_the_class():
    with pytest.raises(TypeError, match="Shifted: missing a required argument: 'shift'"):
        Shifted()
    with pytest.raises(TypeError, match="SASRec|dmi"):
        tfrecs.models.SASRec(9, dmi=8)


def test_a_size_is_remembered_for_an_array():
    frequency = tfrecs.negatives.ItemFrequency(np.array([3, 1, 2]))
    assert frequency.get_config()["counts"] == 3


def test_a_chosen_default_is_remembered():
    model = tfrecs.models.SASRec(9, dim=8)
    assert model.get_config()["loss"]["class_name"] == "FullSoftmax"


def test_what_is_remembered_holds_no_weights():
    loss = tfrecs.losses.BPR(seed=1)
    model = tfrecs.models.MatrixFactorization(9, 5, dim=4, loss=loss, seed=1)
    assert len(model.weights) == len({id(weight) for weight in model.weights})
    assert sum(part is loss for part in model.submodules) == 1


def test_configs_are_built_at_every_depth_and_stay_as_they_are():
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    task = tfrecs.tasks.MultiTask({"click": tfrecs.tasks.Ranking(loss)})
    config = plain(task)
    before = copy.deepcopy(config)
    again = built([{"inside": config}])[0]["inside"]
    assert config == before
    assert again.heads["click"].label_kind == "binary"


def test_vocabularies_come_back_from_configs():
    items = tfrecs.data.Vocabulary(["tea", "milk"])
    model = tfrecs.models.GRU4Rec(items, dim=4, seed=1)
    again = keras.utils.deserialize_keras_object(json.loads(json.dumps(model.description())))
    assert again.items == items
    features = {"history": tf.constant([[0, 1, 2]])}
    again.set_weights(model.get_weights())
    np.testing.assert_allclose(again.score(features), model.score(features))


def test_seeds_of_parts():
    assert [part_seeds(2, step=100)(i) for i in range(3)] == [2000, 2100, 2200]
    assert part_seeds(None)(4) is None
