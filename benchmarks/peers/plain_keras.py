"""SASRec as a page of plain tf.keras: what tfrecs's speed on long histories is compared with.

The same architecture as `tfrecs.models.SASRec`, from Keras's own layers: histories padded to the
model's length, logits of all items at every position, Keras's cross-entropy with sample weights.
"""

import numpy as np

from benchmarks import protocol
from benchmarks.sequential import Settings, in_batches
from benchmarks.worker import TENSORFLOW, Worker
from tfrecs._keras import keras, tf


class PlainSASRec(keras.Model):
    """Item ids `[batch, max_length]`, left-padded with 0, to logits of ids 0..num_items."""

    def __init__(
        self,
        num_items: int,
        dim: int,
        num_blocks: int,
        num_heads: int,
        max_length: int,
        dropout: float,
    ) -> None:
        super().__init__()

        def normal() -> keras.initializers.Initializer:
            return keras.initializers.RandomNormal(stddev=0.02)

        self.dim = dim
        self.positions = tf.range(max_length)
        self.items = keras.layers.Embedding(num_items + 1, dim, normal())
        self.position = keras.layers.Embedding(max_length, dim, normal())
        self.drop = keras.layers.Dropout(dropout)
        self.blocks = [
            {
                "query_norm": keras.layers.LayerNormalization(epsilon=1e-8),
                "attention": keras.layers.MultiHeadAttention(
                    num_heads, dim // num_heads, dropout=dropout
                ),
                "norm": keras.layers.LayerNormalization(epsilon=1e-8),
                "feed_forward": keras.Sequential(
                    [
                        keras.layers.Dense(dim, "relu"),
                        keras.layers.Dropout(dropout),
                        keras.layers.Dense(dim),
                        keras.layers.Dropout(dropout),
                    ]
                ),
            }
            for _ in range(num_blocks)
        ]
        self.last_norm = keras.layers.LayerNormalization(epsilon=1e-8)

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


def batches(split: protocol.Split, max_length: int, batch_size: int, seed: int) -> tf.data.Dataset:
    """Histories, targets and weights of the most recent window of each user."""
    rows = [row for row in split.train if len(row) > 1]
    history = protocol.padded([row[:-1] for row in rows], max_length).astype(np.int32)
    target = protocol.padded([row[1:] for row in rows], max_length).astype(np.int32)
    dataset = tf.data.Dataset.from_tensor_slices((history, target, np.float32(target > 0)))
    return dataset.shuffle(len(rows), seed=seed).batch(batch_size).prefetch(4)


def train(settings: Settings, worker: Worker) -> None:
    split = protocol.read(settings.data)
    keras.utils.set_random_seed(settings.seed)
    model = PlainSASRec(split.num_items, **settings.architecture)
    model.compile(
        optimizer=keras.optimizers.Adam(settings.learning_rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    examples = batches(split, settings.max_length, settings.batch_size, settings.seed)
    encode = in_batches(lambda table: model.states(table)[:, -1], settings.max_length)
    worker.set_model(split, encode, lambda: model.items.embeddings.numpy()[1:], settings.evaluate)
    targets = split.num_targets(settings.max_length)
    worker.ready(TENSORFLOW[:2], targets)
    worker.fit(model, examples, targets)
