"""The base of every model: what TFRS's `Model` leaves out, and the contract others use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from tfrecs._keras import keras, refuse_keras_3, tf, tfrs
from tfrecs.configured import Configured, plain
from tfrecs.data import EvaluationSet, Pairs, Rows, Sequences, TrainSet, Vocabulary
from tfrecs.data.batches.replicas import num_to_share, shares
from tfrecs.evaluation import CorpusValidation, RowValidation
from tfrecs.losses import global_sum
from tfrecs.models.checks import check_batches, check_compile, check_items
from tfrecs.models.epoch_sums import EpochSums
from tfrecs.models.finite_gradients import any_not_finite, any_replica, zeros_unless_finite
from tfrecs.models.keras_files import KerasFiles
from tfrecs.negatives.of_split import with_split

Features = dict[str, tf.Tensor]
Examples = Pairs | Sequences | Rows
# Arguments of models that a split gives.
OF_THE_SPLIT = ("items", "users", "user_features", "item_features", "context")


class Model(Configured, KerasFiles, tfrs.Model):
    """A `tfrs.Model` whose loss, precision and validation can be relied on.

    Subclasses implement `compute_loss` and either `query_vectors` and `item_vectors` (models whose
    score is the product of the two) or `score`. In return `fit` and `evaluate`

    - report the mean loss of the epoch over its targets, on any number of replicas (TFRS reports
      the last batch's);
    - scale the loss under `mixed_float16`;
    - keep non-finite gradients out of the weights: such a step applies a gradient of zeros, is
      counted in `nonfinite_steps` and warned of at the end of the epoch, and an epoch of nothing
      else ends the training with an error;
    - take an `EvaluationSet` as `validation_data`, and then add `val_HR@10` and `val_NDCG@10`,
      ranks among the whole catalogue, to each epoch's logs, for `EarlyStopping` and every other
      callback; or `Rows` with labels, and then add `val_AUC` and `val_LogLoss` (see
      `evaluation.RowValidation`);
    - give each replica of a `tf.distribute` strategy its share of every batch of a
      `tf.data.Dataset` whose size is known, so that a step is the one that a single device would
      take, however many rows it has (see `data.replicas.shares`). A model must be made in the
      strategy's scope.

    Args:
        items: Vocabulary of the items, or their number where raw ids play no part; None for a model
            that knows no items.
        **kwargs: Arguments of `keras.Model`, such as `name`.

    Raises:
        ValueError: If there are no items.
    """

    # What `tfrecs.train` takes if nothing else is named: the rule that parts a log, a function of
    # `tfrecs.data`; the validation metric by which the best epoch is chosen, and which value of it
    # is better, "max" or "min"; examples of a batch.
    default_split = "leave_last_out"
    monitor = "val_NDCG@10"
    monitor_mode = "max"
    default_batch_size = 1024
    # The constructor's argument that says what is minimised.
    loss_argument = "loss"

    def __init__(self, items: Vocabulary | int | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_items(items, type(self).__name__)
        self.items = items if isinstance(items, Vocabulary) else None
        counted = self.items or ()
        self.num_items = int(items) if isinstance(items, int | np.integer) else len(counted)
        if items is not None and self.num_items < 1:
            raise ValueError("A model needs at least one item.")
        self.static_shapes = False
        self._epoch_sums = EpochSums()
        self._mean_loss = keras.metrics.Mean("loss")
        self.nonfinite_steps = self.add_weight(
            name="nonfinite_steps",
            shape=(),
            dtype=tf.int64,
            initializer="zeros",
            trainable=False,
            synchronization=tf.VariableSynchronization.ON_READ,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )

    @classmethod
    def from_split(cls, split: Any, **kwargs: Any) -> Model:
        """Returns a model for what a split holds.

        Args:
            split: A `Split`, or, for models of rows, a `RowSplit`.
            **kwargs: Other arguments of the model.
        """
        return cls(split.items, **kwargs)

    def grown(self, split: Any) -> Model:
        """Returns this model for a split with new users and items; what was learned is kept.

        Known users and items keep their vectors, and a new one gets the vector of an unknown
        one, or initial ones where there is none; train on the new data from there. The split is
        one of `log.continuing(users, items)`, with the vocabularies of this model.

        Args:
            split: The new split.

        Raises:
            ValueError: If the split numbers the items otherwise than this model does.
        """
        for name in ("items", "users"):
            mine, theirs = getattr(self, name, None), getattr(split, name)
            if mine is not None and not np.array_equal(theirs.ids[: len(mine)], mine.ids):
                raise ValueError(
                    f"The {name} of the split do not begin with those of the model: split "
                    "log.continuing(users, items) with the model's own vocabularies."
                )
        config = self.get_config()
        hyperparameters = {n: x for n, x in config.items() if n not in OF_THE_SPLIT}
        hyperparameters = with_split(hyperparameters, split)
        model = type(self).from_split(split, **hyperparameters, **self._features_of(split))
        grown = set()
        for old, new in zip(self.submodules, model.submodules, strict=True):
            if hasattr(new, "grow_from"):
                new.grow_from(old)
                grown |= {variable.ref() for variable in new.variables}
        for old, new in zip(self.variables, model.variables, strict=True):
            if new.ref() not in grown:
                new.assign(old)
        return model

    def description(self) -> dict[str, Any]:
        """Returns what `keras.utils.deserialize_keras_object` makes an untrained twin from.

        As `keras.utils.serialize_keras_object`, less what it was compiled with.
        """
        return plain(self)

    def get_build_config(self) -> None:
        """Returns None: a constructed model has all its weights."""
        return

    def _features_of(self, split: Any) -> dict[str, Any]:
        """The arguments that a split gives, where they must be encoded as this model knows them."""
        del split
        return {}

    def examples(self, train: TrainSet, windows: Literal["last", "all"] = "all") -> Examples:
        """Returns what the model learns from, in its own form; the `batch` of that is for `fit`.

        Args:
            train: The training part of a split.
            windows: For sequence models, see `Sequences`.
        """
        del windows
        return train.pairs(self.max_history)

    def example_features(self) -> Features:
        """Returns features of one query, such as `call` takes."""
        features = {"user_id": tf.zeros([1], tf.int32)}
        if self.max_history is not None:
            features["history"] = tf.zeros([1, self.max_history], tf.int32)
        return features if self.num_items else {}

    @property
    def feature_ranks(self) -> dict[str, int | None]:
        """The features of a training batch and their number of axes; empty where unknown."""
        return {}

    @property
    def max_history(self) -> int | None:
        """Number of positions of `"history"` that the model reads; None if it reads none."""
        return None

    @property
    def is_product(self) -> bool:
        """Whether scores are products of `query_vectors` and `item_vectors`."""
        return type(self).query_vectors is not Model.query_vectors

    def query_vectors(self, features: Features) -> tf.Tensor:
        """Returns the float32 vectors `[batch, dim]` of the batch's queries."""
        raise TypeError(f"{type(self).__name__} has no query vectors: use score().")

    def item_vectors(self, items: tf.Tensor | None = None) -> tf.Tensor:
        """Returns the float32 vectors of `items` (ids 1..n); None for all, `[n, dim]`."""
        raise TypeError(f"{type(self).__name__} has no item vectors: use score().")

    def score(self, features: Features, items: tf.Tensor | None = None) -> tf.Tensor:
        """Returns the scores of items for each query of a batch.

        Args:
            features: The batch, as the data room makes it.
            items: `[batch, c]` item ids; None for all items.

        Returns:
            `[batch, c]` float32; or `[batch, n]`, column j for item id j + 1.
        """
        queries = self.query_vectors(features)
        if items is None:
            return tf.matmul(queries, self.item_vectors(), transpose_b=True)
        return tf.linalg.matvec(self.item_vectors(items), queries)

    def target_count(self, features: Features) -> tf.Tensor:
        """Returns how many targets the batch has, or the sum of their weights.

        It is the weight of the batch's loss in the epoch's mean.
        """
        if "sample_weight" in features:
            return tf.reduce_sum(tf.cast(features["sample_weight"], tf.float32))
        return tf.cast(tf.shape(next(iter(features.values())))[0], tf.float32)

    def valid_targets(
        self,
        queries: tf.Tensor,
        targets: tf.Tensor,
        user_ids: tf.Tensor | None = None,
        sample_weight: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor | None, tf.Tensor | None]:
        """Leaves out the positions without a target, so that no loss is computed for them.

        Where shapes must be static (under XLA, on TPUs: `static_shapes`) all positions stay, and
        weights tell them apart. Both give the same loss. Positions without a target then repeat
        the targets of others, so that negatives taken from the batch are drawn by its targets.

        Args:
            queries: `[positions, dim]`.
            targets: `[positions]` int32, 0 for no target.
            user_ids: `[positions]`, whose they are, or None.
            sample_weight: `[positions]`, the targets' weights, or None.

        Returns:
            The queries, their targets, their weights or None, and their users or None.
        """
        valid = targets > 0
        if self.static_shapes:
            first_valid = tf.argsort(tf.cast(~valid, tf.int32), stable=True)
            count = tf.maximum(tf.reduce_sum(tf.cast(valid, tf.int32)), 1)
            repeated = tf.gather(
                targets, tf.gather(first_valid, tf.range(tf.size(targets)) % count)
            )
            filled = tf.maximum(tf.where(valid, targets, repeated), 1)
            weights = tf.cast(valid, tf.float32)
            if sample_weight is not None:
                weights *= sample_weight
            return queries, filled, weights, user_ids
        index = tf.where(valid)[:, 0]
        users, weights = (
            None if rows is None else tf.gather(rows, index) for rows in (user_ids, sample_weight)
        )
        return tf.gather(queries, index), tf.gather(targets, index), weights, users

    def compile(self, *args: Any, jit_compile: bool | None = None, **kwargs: Any) -> None:
        """Configures the training; see `keras.Model.compile`.

        Args:
            *args: As `keras.Model.compile`.
            jit_compile: Whether XLA compiles the steps; shapes are static then.
            **kwargs: As `keras.Model.compile`.

        Raises:
            ValueError: If there is a loss or a metric, which the model would ignore; XLA is to
                compile the steps of several replicas on CPUs; or the model was made outside of the
                strategy in whose scope this is called.
        """
        check_compile(self, args, kwargs)
        self._check_scope()
        replicas = self.distribute_strategy.num_replicas_in_sync
        if jit_compile and replicas > 1 and not tf.config.list_logical_devices("GPU"):
            raise ValueError(
                "XLA has no way to let several replicas on CPUs exchange gradients: leave "
                "jit_compile (--jit) out, or train on one device."
            )
        self.static_shapes = bool(jit_compile) or isinstance(
            tf.distribute.get_strategy(), tf.distribute.TPUStrategy
        )
        super().compile(*args, jit_compile=jit_compile, **kwargs)

    def fit(
        self,
        x: Any = None,
        *args: Any,
        validation_data: Any = None,
        callbacks: Sequence[keras.callbacks.Callback] | None = None,
        **kwargs: Any,
    ) -> keras.callbacks.History:
        """Trains the model; see `keras.Model.fit`.

        Args:
            x: As `keras.Model.fit`. Batches with a `first_batch` resume an epoch: it has the
                remaining steps, with the numbers that they have in the whole epoch. Where it was
                stopped its sums may be known too: see `resume_epoch`. What several replicas take
                of batches: `data.replicas.shares`.
            *args: As `keras.Model.fit`.
            validation_data: An `EvaluationSet` (each epoch's logs get `val_HR@10` and
                `val_NDCG@10`), `Rows` with labels (`val_AUC`, `val_LogLoss`), or what Keras takes.
            callbacks: Keras callbacks.
            **kwargs: As `keras.Model.fit`.

        Returns:
            Keras's `History`.

        Raises:
            FloatingPointError: If all gradients of an epoch were non-finite.
            ValueError: If `x` is no batches of what the model learns from, there are labels or
                weights beside them, or the model was made outside of the strategy in whose scope
                this is called.
        """
        self._check_scope()
        for name in ("y", "sample_weight", "class_weight"):
            if kwargs.get(name) is not None or (args and name == "y" and args[0] is not None):
                raise ValueError(f"{type(self).__name__}.fit has no use for {name}.")
        check_batches(self, x)
        refuse_keras_3(callbacks, "callbacks")
        first: list[keras.callbacks.Callback] = [self._epoch_sums]
        if isinstance(validation_data, EvaluationSet):
            first.append(CorpusValidation(validation_data))
            validation_data = None
        elif isinstance(validation_data, Rows):
            first.append(RowValidation(validation_data))
            validation_data = None
        self._epoch_sums.first_batch = getattr(x, "first_batch", 0)
        x, steps = self._shared(x)
        if steps is not None:
            kwargs["steps_per_epoch"] = kwargs.get("steps_per_epoch") or steps
        elif self.first_batch:
            # Keras counts an epoch's steps by the length of the data set, and begins at the step
            # that `_maybe_load_initial_counters_from_ckpt` tells.
            x = x.apply(tf.data.experimental.assert_cardinality(x.num_batches))
        try:
            return super().fit(
                x,
                *args,
                validation_data=validation_data,
                callbacks=[*first, *(callbacks or [])],
                **kwargs,
            )
        except Exception:
            # A step whose tracing failed half-way could never be traced again.
            self.train_function = None
            raise

    def _check_scope(self) -> None:
        """Keras itself finds out in the middle of a step, and does not say what it is."""
        strategy = tf.distribute.get_strategy()
        inside = strategy.extended.variable_created_in_scope
        if tf.distribute.has_strategy() and not inside(self.nonfinite_steps):
            raise ValueError(
                f"{type(self).__name__} was made outside of the scope of this "
                f"{type(strategy).__name__}: make the model within `with strategy.scope():`."
            )

    @property
    def first_batch(self) -> int:
        """The batch that the epoch in training began with: 0, unless it is a resumed one."""
        return self._epoch_sums.first_batch

    def epoch_state(self) -> dict[str, Any]:
        """Returns what the epoch in training has summed up so far, for `resume_epoch`.

        With the weights, the optimizer and the number of the next batch, this is all that a
        training that is stopped within an epoch needs to go on as if it had not been.
        """
        return self._epoch_sums.get_state(self)

    def resume_epoch(self, state: dict[str, Any]) -> None:
        """Lets the next `fit` go on with the sums of an epoch that was stopped.

        Args:
            state: What `epoch_state` returned.
        """
        self._epoch_sums.set_state(state)

    def _maybe_load_initial_counters_from_ckpt(
        self, steps_per_epoch: int | None, initial_epoch: int
    ) -> tuple[int, int]:
        epoch, step = super()._maybe_load_initial_counters_from_ckpt(steps_per_epoch, initial_epoch)
        return epoch, step or self.first_batch

    def evaluate(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Returns the loss of batches; see `keras.Model.evaluate`.

        Args:
            x: Batches, as for `fit`.
            *args: As `keras.Model.evaluate`.
            **kwargs: As `keras.Model.evaluate`.
        """
        check_batches(self, x)
        x, steps = self._shared(x)
        if steps is not None and kwargs.get("steps") is None:
            kwargs["steps"] = steps
        return super().evaluate(x, *args, **kwargs)

    def _shared(self, x: Any) -> tuple[Any, int | None]:
        """Batches as the replicas take them, and how many there are where they have no end."""
        strategy = self.distribute_strategy
        # Workers of parameter servers are not in step.
        servers = tf.distribute.ParameterServerStrategy
        if strategy.num_replicas_in_sync == 1 or isinstance(strategy, servers):
            return x, None
        steps = num_to_share(x)
        return (x, None) if steps is None else (shares(x, strategy), steps)

    def train_step(self, features: Features) -> dict[str, tf.Tensor]:
        """Takes one step; Keras calls it."""
        optimizer = self.optimizer
        scaling = isinstance(optimizer, keras.mixed_precision.LossScaleOptimizer)
        with tf.GradientTape() as tape:
            loss = self.compute_loss(features, training=True)
            objective = loss + self._regularization()
            scaled = optimizer.get_scaled_loss(objective) if scaling else objective
        gradients = tape.gradient(scaled, self.trainable_variables)
        if scaling:
            # A loss scale is found by trying ones that overflow: its optimizer skips those steps.
            gradients = optimizer.get_unscaled_gradients(gradients)
            lowest = tf.cast(optimizer.loss_scale, tf.float32) <= 1.0
            bad = ~tf.math.is_finite(objective) | (lowest & any_not_finite(gradients))
            self.nonfinite_steps.assign_add(tf.cast(any_replica(bad), tf.int64))
        else:
            gradients = self._finite(gradients)
        optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        return self._logs(loss, features)

    def test_step(self, features: Features) -> dict[str, tf.Tensor]:
        """Evaluates the loss of a batch; Keras calls it."""
        return self._logs(self.compute_loss(features, training=False), features)

    def _logs(self, loss: tf.Tensor, features: Features) -> dict[str, tf.Tensor]:
        # A replica's loss is its share of the whole batch's mean: its sum over everybody's count.
        count = self.target_count(features)
        share = tf.math.divide_no_nan(loss * global_sum(count), count)
        self._mean_loss.update_state(share, sample_weight=count)
        return {metric.name: metric.result() for metric in self.metrics}

    def _regularization(self) -> tf.Tensor:
        """Returns the layers' losses, once for all replicas together."""
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        return tf.add_n([tf.zeros(()), *map(tf.reduce_sum, self.losses)]) / replicas

    def _finite(self, gradients: list[Any]) -> list[Any]:
        gradients, bad = zeros_unless_finite(gradients)
        self.nonfinite_steps.assign_add(tf.cast(bad, tf.int64))
        return gradients
