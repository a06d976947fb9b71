"""SASRec of tfrecs, and in plain Keras, as workers of `benchmarks.sequential`.

Both are trained through `model.fit`, with TensorFlow's own choice of threads, as a user would.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import tfrecs
from benchmarks import plain_keras, protocol
from benchmarks.keras_turns import Turns
from benchmarks.worker import Settings, Worker, parse_settings
from tfrecs._keras import keras, tf

PACKAGES = ["tensorflow", "tf-keras", "tensorflow-recommenders"]


def in_batches(
    states: Callable[[tf.Tensor], tf.Tensor], length: int, batch_size: int = 512
) -> protocol.Encoder:
    """An encoder of whole splits from one of padded int32 tables."""
    graph = tf.function(states, input_signature=[tf.TensorSpec([None, length], tf.int32)])

    def encode(rows: protocol.Histories) -> np.ndarray:
        table = protocol.padded(rows, length).astype(np.int32)
        starts = range(0, len(table), batch_size)
        return np.concatenate([graph(table[at : at + batch_size]).numpy() for at in starts])

    return encode


def train_tfrecs(settings: Settings, split: protocol.Split, worker: Worker) -> None:
    """tfrecs, from the log on."""
    parts = tfrecs.data.leave_last_out(tfrecs.data.read(settings.data))
    negatives = {"num_negatives": settings.num_negatives}
    losses = {
        "full": tfrecs.losses.FullSoftmax,
        "sampled": lambda: tfrecs.losses.SampledSoftmax(**negatives),
    }
    optimizers = {"adam": tfrecs.optimizers.Adam, "lazy_adam": tfrecs.optimizers.LazyAdam}
    model = tfrecs.models.SASRec(
        parts.items,
        dim=settings.dim,
        num_blocks=settings.num_blocks,
        num_heads=settings.num_heads,
        max_length=settings.max_length,
        dropout=settings.dropout,
        loss=losses[settings.loss](),
        seed=settings.seed,
    )
    model.compile(optimizer=optimizers[settings.optimizer](settings.learning_rate))
    sequences = parts.train.sequences(settings.max_length, windows="last")
    expected = split.num_targets(settings.max_length)
    if sequences.num_targets != expected:
        raise RuntimeError(f"tfrecs trains on {sequences.num_targets} targets, not {expected}")
    batches = sequences.batch(settings.batch_size, seed=settings.seed)

    # tfrecs's ids of the split's items.
    ids = parts.items.encode(split.items)
    known = np.concatenate([[0], ids]).astype(np.int32)
    encode = in_batches(
        lambda table: model.query_vectors({"history": tf.gather(known, table)}), settings.max_length
    )
    worker.set_model(encode, lambda: model.item_vectors().numpy()[ids - 1])
    worker.ready(["tfrecs", *PACKAGES], expected)
    turns = Turns(worker, expected)
    worker.run(lambda: model.fit(batches, epochs=10**6, callbacks=[turns]))


def train_plain_keras(settings: Settings, split: protocol.Split, worker: Worker) -> None:
    """The same model written plainly."""
    keras.utils.set_random_seed(settings.seed)
    model = plain_keras.PlainSASRec(
        split.num_items,
        settings.dim,
        settings.num_blocks,
        settings.num_heads,
        settings.max_length,
        settings.dropout,
    )
    plain_keras.compiled(model, settings.learning_rate)
    batches = plain_keras.batches(split, settings.max_length, settings.batch_size, settings.seed)
    encode = in_batches(lambda table: model.states(table)[:, -1], settings.max_length)
    worker.set_model(encode, lambda: model.items.embeddings.numpy()[1:])
    targets = split.num_targets(settings.max_length)
    worker.ready(PACKAGES[:2], targets)
    turns = Turns(worker, targets)
    worker.run(lambda: model.fit(batches, epochs=10**6, callbacks=[turns]))


def main() -> None:
    """Trains until the parent says stop."""
    settings = parse_settings()
    split = protocol.leave_last_out(protocol.read_rows(settings.data))
    worker = Worker(split, evaluate=settings.evaluate)
    train = {"tfrecs": train_tfrecs, "keras": train_plain_keras}[settings.model]
    train(settings, split, worker)


if __name__ == "__main__":
    main()
