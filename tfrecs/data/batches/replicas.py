"""The share of each replica of a `tf.distribute` strategy in a batch."""

from __future__ import annotations

from typing import Any

from tfrecs._keras import tf


def shares(dataset: tf.data.Dataset, strategy: tf.distribute.Strategy) -> Any:
    """Returns a data set that gives each replica of a strategy its share of every batch.

    The shares are consecutive parts of the batch, as equal as possible: 8 rows on 3 replicas give
    2, 3 and 3 rows; with fewer rows than replicas some get none. So every step has the batch that
    one device would have, and the batch size counts the rows of all replicas. (TensorFlow deals out
    whole batches to workers, or guesses how a batch was made.)

    Each worker makes all batches and takes its parts, so a data set must give the same batches on
    every worker, as a `tfrecs.data` one does. One that shuffles needs a seed.

    Args:
        dataset: Batches: tensors, or structures of them, with rows along the first axis.
        strategy: The strategy.

    Returns:
        A `tf.distribute.DistributedDataset`. It repeats without end, as Keras wants it with
        `steps_per_epoch`; each repetition iterates over `dataset` again.
    """
    replicas = strategy.num_replicas_in_sync

    def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
        local = replicas // context.num_input_pipelines
        first = context.input_pipeline_id * local

        def cut(*batch: Any) -> tf.data.Dataset:
            # A tuple from a data set arrives as several arguments.
            whole = batch if len(batch) > 1 else batch[0]
            return tf.data.Dataset.range(first, first + local).map(
                lambda replica: _share(whole, replica, replicas)
            )

        def cut_once(*batch: Any) -> Any:
            return _share(batch if len(batch) > 1 else batch[0], tf.constant(first), replicas)

        endless = dataset.repeat()
        return endless.map(cut_once) if local == 1 else endless.flat_map(cut)

    return strategy.distribute_datasets_from_function(of_worker)


def num_to_share(dataset: Any) -> int | None:
    """Returns the number of an epoch's batches, or None if `shares` cannot take the data set.

    `shares` takes only data sets of known size whose elements have rows.
    """
    if not isinstance(dataset, tf.data.Dataset):
        return None
    size = getattr(dataset, "num_batches", None) or int(dataset.cardinality())
    specs = tf.nest.flatten(dataset.element_spec)
    have_rows = all(isinstance(spec, tf.TensorSpec) and spec.shape.rank for spec in specs)
    return size if size > 0 and have_rows else None


def _share(batch: Any, replica: tf.Tensor, replicas: int) -> Any:
    """Returns a replica's rows of a batch."""
    first = tf.nest.flatten(batch)[0]
    replica = tf.cast(replica, tf.int64)
    rows: Any = first.shape[0]
    if rows is not None and rows % replicas == 0:
        # The share's shape is as static as the batch's.
        size = rows // replicas
        begin = replica * size
        return tf.nest.map_structure(
            lambda x: tf.ensure_shape(x[begin : begin + size], [size, *x.shape[1:]]), batch
        )
    rows = tf.shape(first, tf.int64)[0]
    begin, end = replica * rows // replicas, (replica + 1) * rows // replicas
    return tf.nest.map_structure(lambda x: x[begin:end], batch)
