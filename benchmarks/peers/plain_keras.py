"""SASRec as a page of plain tf.keras: what tfrecs's speed on long histories is compared with.

The same architecture as `tfrecs.models.SASRec`, from Keras's own layers: histories padded to the
model's length, logits of all items at every position, Keras's cross-entropy with sample weights.
"""

import functools

import numpy as np

from benchmarks import protocol
from benchmarks.sequential import Settings, in_batches
from benchmarks.worker import TENSORFLOW, Worker
from tfrecs._keras import keras, tf


class PlainSASRec(keras.Model):
    """Item ids `[batch, max_length]`, left-padded with 0, to logits of ids 0..num_items."""

    def __init__(self, num_items: int, settings: Settings) -> None:
        super().__init__()
        dim, dropout, layers = settings.dim, settings.dropout, keras.layers
        normal = functools.partial(keras.initializers.RandomNormal, stddev=0.02)
        self.dim = dim
        self.positions = tf.range(settings.max_length)
        self.items = layers.Embedding(num_items + 1, dim, normal())
        self.position = layers.Embedding(settings.max_length, dim, normal())
        self.drop = layers.Dropout(dropout)
        self.blocks = []
        for _ in range(settings.num_blocks):
            inner = [layers.Dense(dim, "relu"), layers.Dropout(dropout), layers.Dense(dim)]
            heads = settings.num_heads
            block = {
                "query_norm": layers.LayerNormalization(epsilon=1e-8),
                "attention": layers.MultiHeadAttention(heads, dim // heads, dropout=dropout),
                "norm": layers.LayerNormalization(epsilon=1e-8),
                "feed_forward": keras.Sequential([*inner, layers.Dropout(dropout)]),
            }
            self.blocks.append(block)
        self.last_norm = layers.LayerNormalization(epsilon=1e-8)

    def states(self, history: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        x = self.items(history) * self.dim**0.5 + self.position(self.positions)
        x = self.drop(x, training=training)
        valid = history[:, tf.newaxis] > 0
        for block in self.blocks:
            query = block["query_norm"](x)
            x = query + block["attention"](
                query, x, x, attention_mask=valid, use_causal_mask=True, training=training
            )
            x = block["norm"](x)
            x += block["feed_forward"](x, training=training)
        return self.last_norm(x)

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        return tf.matmul(self.states(inputs, training), self.items.embeddings, transpose_b=True)


def batches(split: protocol.Split, settings: Settings) -> tf.data.Dataset:
    """Returns histories, targets and weights of the most recent window of each user."""
    rows, length = [row for row in split.train if len(row) > 1], settings.max_length
    history = protocol.padded([row[:-1] for row in rows], length).astype(np.int32)
    target = protocol.padded([row[1:] for row in rows], length).astype(np.int32)
    dataset = tf.data.Dataset.from_tensor_slices((history, target, np.float32(target > 0)))
    shuffled = dataset.shuffle(len(rows), seed=settings.seed)
    return shuffled.batch(settings.batch_size).prefetch(4)


def train(settings: Settings, worker: Worker) -> None:
    split = protocol.read(settings.data)
    keras.utils.set_random_seed(settings.seed)
    model = PlainSASRec(split.num_items, settings)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(settings.learning_rate), loss)
    encode = in_batches(lambda table: model.states(table)[:, -1], settings.max_length)
    worker.set_model(split, encode, lambda: model.items.embeddings.numpy()[1:], settings.evaluate)
    targets = split.num_targets(settings.max_length)
    worker.ready(TENSORFLOW[:2], targets)
    worker.fit(model, batches(split, settings), targets)
