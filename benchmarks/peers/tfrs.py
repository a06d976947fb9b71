"""TensorFlow Recommenders: the model of its DCN tutorial, and its exact search."""

from collections.abc import Sequence

import numpy as np

from benchmarks import serving
from benchmarks.ranking import CATEGORY_NAMES, NUMBER_NAMES, Settings, vocabulary_sizes
from benchmarks.worker import TENSORFLOW, Worker
from tfrecs._keras import keras, tf, tfrs


class TutorialDCN(tfrs.Model):
    """The model of TFRS's tutorial "Deep & Cross Network (DCN)", its crosses beside the network.

    One Keras `Embedding` a column, `tfrs.layers.dcn.Cross`, Keras's dense layers.
    """

    def __init__(
        self, sizes: Sequence[int], dim: int, cross_layers: int, deep_units: Sequence[int]
    ) -> None:
        super().__init__()
        self.embeddings = {
            name: keras.layers.Embedding(size + 1, dim)
            for name, size in zip(CATEGORY_NAMES, sizes, strict=True)
        }
        self.crosses = [tfrs.layers.dcn.Cross() for _ in range(cross_layers)]
        self.deep = [keras.layers.Dense(units, "relu") for units in deep_units]
        self.logit = keras.layers.Dense(1)
        self.task = tfrs.tasks.Ranking(keras.losses.BinaryCrossentropy(from_logits=True))

    def call(self, features: dict[str, tf.Tensor]) -> tf.Tensor:
        parts = [self.embeddings[name](features[name]) for name in CATEGORY_NAMES]
        parts += [features[name][:, tf.newaxis] for name in NUMBER_NAMES]
        x0 = crossed = deep = tf.concat(parts, axis=1)
        for layer in self.crosses:
            crossed = layer(x0, crossed)
        for layer in self.deep:
            deep = layer(deep)
        return self.logit(tf.concat([crossed, deep], axis=1))

    def compute_loss(self, features: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        return self.task(labels=features["label"][:, tf.newaxis], predictions=self(features))


def cached_batches(columns: dict[str, np.ndarray], batch_size: int) -> tf.data.Dataset:
    """Returns batches made once and kept, as the tutorial does: they cost next to nothing."""
    return tf.data.Dataset.from_tensor_slices(columns).batch(batch_size, True).cache()


def train(settings: Settings, worker: Worker) -> None:
    keras.utils.set_random_seed(settings.seed)
    sizes = vocabulary_sizes(settings.ids).tolist()
    model = TutorialDCN(sizes, settings.dim, settings.cross_layers, settings.deep_units)
    model.compile(keras.optimizers.Adam(settings.learning_rate))
    batches = cached_batches(settings.shuffled(), settings.batch_size)
    settings.fit(worker, TENSORFLOW, model, batches.repeat())


def search(settings: serving.Settings, worker: Worker) -> None:
    serving.search_layer(tfrs.layers.factorized_top_k.BruteForce, settings, worker)
