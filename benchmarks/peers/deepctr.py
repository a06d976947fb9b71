"""DCN-V2 of DeepCTR 0.9.4, as a worker of `benchmarks.ranking`; in an environment of its own."""

from __future__ import annotations

import numpy as np

from benchmarks.ranking_data import CATEGORY_NAMES, NUMBER_NAMES, make_table, vocabulary_sizes
from benchmarks.ranking_plan import RankingSettings
from benchmarks.worker import Worker, parse_settings


def main() -> None:
    """Trains until the parent says stop."""
    settings = parse_settings(RankingSettings)
    # DeepCTR prints when it is imported: the worker takes standard output for itself first.
    worker = Worker(None, evaluate=False)
    import tensorflow as tf
    from deepctr.feature_column import DenseFeat, SparseFeat
    from deepctr.models import DCN

    from benchmarks.keras_turns import Turns

    sizes = vocabulary_sizes(settings.ids).tolist()
    columns = [
        SparseFeat(name, size + 1, settings.dim)
        for name, size in zip(CATEGORY_NAMES, sizes, strict=True)
    ] + [DenseFeat(name, 1) for name in NUMBER_NAMES]
    # No linear part of the categories (it cannot do without one of the numbers), and no
    # regularisers, which read whole tables: the others have neither.
    model = DCN(
        columns[len(sizes) :],
        columns,
        cross_num=settings.cross_layers,
        cross_parameterization="matrix",
        dnn_hidden_units=settings.deep_units,
        l2_reg_linear=0,
        l2_reg_embedding=0,
        l2_reg_cross=0,
        seed=settings.seed,
    )
    model.compile(tf.keras.optimizers.Adam(settings.learning_rate), "binary_crossentropy")
    table = make_table(settings.rows, settings.ids, settings.seed)
    order = np.random.default_rng(settings.seed).permutation(len(table.labels))
    features = {name: values[order] for name, values in table.columns().items()}
    labels = features.pop("label")
    batches = tf.data.Dataset.from_tensor_slices((features, labels))
    batches = batches.batch(settings.batch_size, True).cache().repeat()
    targets = settings.epoch_steps * settings.batch_size
    width = settings.dim * len(CATEGORY_NAMES) + len(NUMBER_NAMES)
    worker.ready(["deepctr", "tensorflow", "tf-keras"], targets, width=width)
    turns = Turns(worker, targets)
    worker.run(
        lambda: model.fit(
            batches,
            steps_per_epoch=settings.epoch_steps,
            epochs=10**6,
            callbacks=[turns],
            verbose=0,
        )
    )


if __name__ == "__main__":
    main()
