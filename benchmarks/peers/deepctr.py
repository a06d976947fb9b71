"""DCN-V2 of DeepCTR 0.9.4, for `benchmarks.ranking`."""

import tensorflow as tf
from deepctr.feature_column import DenseFeat, SparseFeat
from deepctr.models import DCN

from benchmarks.ranking import CATEGORY_NAMES, NUMBER_NAMES, Settings, vocabulary_sizes
from benchmarks.worker import Worker


def train(settings: Settings, worker: Worker) -> None:
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
    features = settings.shuffled()
    labels = features.pop("label")
    batches = tf.data.Dataset.from_tensor_slices((features, labels))
    batches = batches.batch(settings.batch_size, True).cache().repeat()
    settings.fit(worker, ["deepctr", "tensorflow", "tf-keras"], model, batches)
