"""Matrix factorization of tfrecs, as a worker of `benchmarks.factorization`."""

from __future__ import annotations

import numpy as np

import tfrecs
from benchmarks.factorization_plan import FactorizationSettings, read
from benchmarks.keras_turns import Turns
from benchmarks.keras_worker import PACKAGES
from benchmarks.worker import parse_settings
from tfrecs._keras import tf
from tfrecs.data import Histories, TrainSet


def loss_of(settings: FactorizationSettings, train: TrainSet) -> tfrecs.losses.Loss:
    """The loss, without the items that a user knows among the negatives."""
    if settings.loss == "softmax":
        return tfrecs.losses.FullSoftmax()
    negatives: tfrecs.negatives.Negatives = tfrecs.negatives.Uniform(
        settings.num_drawn or settings.num_negatives,
        shared=False,
        seed=settings.seed,
        known=tfrecs.negatives.KnownItems.from_train(train),
    )
    if settings.num_drawn:
        negatives = tfrecs.negatives.Hardest(settings.num_negatives, negatives)
    kind = {"bpr": tfrecs.losses.BPR, "warp": tfrecs.losses.WARP}[settings.loss]
    return kind(settings.num_negatives, negatives=negatives)


def build(settings: FactorizationSettings, train: TrainSet) -> tfrecs.models.MatrixFactorization:
    """The model, compiled."""
    model = tfrecs.models.MatrixFactorization(
        train.num_items,
        int(train.user_ids.max()),
        dim=settings.dim,
        regularization=settings.regularization,
        loss=loss_of(settings, train),
        seed=settings.seed,
    )
    # A softmax over all items touches every row.
    optimizer = "Adam" if settings.loss == "softmax" else "LazyAdam"
    model.compile(getattr(tfrecs.optimizers, optimizer)(settings.learning_rate))
    return model


def main() -> None:
    """Trains until the parent says stop."""
    settings = parse_settings(FactorizationSettings)
    split, worker = read(settings)
    users = np.arange(1, len(split.train) + 1, dtype=np.int32)
    train = TrainSet(Histories.from_lists(split.train), users, split.num_items)
    model = build(settings, train)
    examples = model.examples(train)
    everybody = {"user_id": tf.constant(users)}
    worker.set_model(
        lambda _: model.query_vectors(everybody).numpy(), lambda: model.item_vectors().numpy()
    )
    worker.ready(["tfrecs", *PACKAGES], examples.num_targets)
    batches = examples.batch(settings.batch_size, seed=settings.seed)
    turns = Turns(worker, examples.num_targets)
    worker.run(lambda: model.fit(batches, epochs=10**6, callbacks=[turns], verbose=0))


if __name__ == "__main__":
    main()
