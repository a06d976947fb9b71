"""One number of negatives, one owner: the sampler's, or else the loss's."""

import pytest

from tfrecs import losses
from tfrecs._keras import keras
from tfrecs.negatives import Hardest, Mixed, Uniform
from tfrecs.training import build, describe

SAMPLED = [losses.SampledSoftmax, losses.BinaryCrossEntropy, losses.GBCE, losses.SquaredError]
SAMPLED += [losses.BPR, losses.Margin, losses.WARP]


def test_gbce_is_calibrated_for_the_negatives_that_are_drawn():
    # alpha = 8 / 1000: beta = .008 (.75 (1 - 125) + 125), the paper's equation.
    loss = losses.GBCE(t=0.75, negatives=Uniform(8, shared=False))
    assert loss.positive_weight(1001) == pytest.approx(0.256)
    mixed = losses.GBCE(negatives=Mixed([Uniform(5), Uniform(3)]))
    assert mixed.positive_weight(1001) == pytest.approx(0.256)
    hard = losses.GBCE(negatives=Hardest(8, Uniform(20, shared=False)))
    assert hard.positive_weight(1001) == pytest.approx(0.256)
    assert losses.GBCE(8).positive_weight(1001) == pytest.approx(0.256)


@pytest.mark.parametrize("kind", SAMPLED, ids=lambda kind: kind.__name__)
def test_the_sampler_says_how_many(kind):
    loss = kind(negatives=Uniform(9, shared=True))
    assert (loss.num_negatives, loss.shared) == (9, True)
    again = keras.utils.deserialize_keras_object(keras.utils.serialize_keras_object(loss))
    assert (again.num_negatives, again.shared) == (9, True)
    # config.yaml says it once.
    spec = describe(loss)
    assert spec["init_args"]["negatives"]["init_args"]["num_negatives"] == 9
    number = "max_trials" if kind is losses.WARP else "num_negatives"
    assert spec["init_args"][number] is None
    assert build(spec).num_negatives == 9
    alone = describe(kind(6))["init_args"]
    assert (alone[number], alone["negatives"]) == (6, None)


@pytest.mark.parametrize("kind", SAMPLED, ids=lambda kind: kind.__name__)
def test_contradictions_are_refused(kind):
    assert kind(9, negatives=Uniform(9)).num_negatives == 9
    with pytest.raises(ValueError, match=f"{kind.__name__}: num_negatives is 4, and the Uniform g"):
        kind(4, negatives=Uniform(9))
    with pytest.raises(ValueError, match="shared is True, and the Uniform given as negatives has"):
        kind(shared=True, negatives=Uniform(9, shared=False))
    with pytest.raises(ValueError, match="seed is of no use beside negatives"):
        kind(negatives=Uniform(9), seed=3)


def test_calibration_needs_a_number():
    with pytest.raises(ValueError, match="which the Dense does not say: use a sampler"):
        losses.GBCE(negatives=keras.layers.Dense(1))
