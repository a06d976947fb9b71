"""The base of every model: what TFRS's `Model` leaves out, and the contract others use."""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tfrecs._keras import tf
from tfrecs.configured import Configured, bind, constructor_arguments, plain
from tfrecs.data import EventInputs, FeatureTable, Pairs, Rows, Schema, Sequences, Vocabulary
from tfrecs.layers import FeatureLookup, ItemEmbedding
from tfrecs.models.checks import check_items
from tfrecs.models.fitting import Fitting
from tfrecs.models.keras_files import KerasFiles
from tfrecs.models.training_step import Features

if TYPE_CHECKING:
    from typing_extensions import Self

Examples = Pairs | Sequences | Rows


class Model(Configured, KerasFiles, Fitting):
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
      `evaluation.Validation`);
    - give each replica of a `tf.distribute` strategy its share of every batch of a
      `tf.data.Dataset` whose size is known, so that a step is the one that a single device would
      take, however many rows it has (see `data.batches.replicas.shares`). A model must be made in
      the strategy's scope.

    Args:
        items: Vocabulary of the items, or their number where raw ids play no part; None for a model
            that knows no items.
        **kwargs: Arguments of `keras.Model`, such as `name`.

    Raises:
        ValueError: If there are no items.
    """

    # Defaults of `tfrecs.train`: the split rule, a function of `tfrecs.data`; the validation metric
    # that chooses the best epoch; whether its best value is the "max" or the "min"; and the
    # examples of a batch.
    default_split = "leave_last_out"
    monitor = "val_NDCG@10"
    monitor_mode = "max"
    default_batch_size = 1024
    # The constructor's argument that says what is minimised, and those that a split gives.
    loss_argument = "loss"
    split_arguments = (
        "items",
        "users",
        "user_features",
        "item_features",
        "event_schema",
        "context",
    )

    def __init__(self, items: Vocabulary | int | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_items(items, type(self).__name__)
        self.items = items if isinstance(items, Vocabulary) else None
        counted = self.items or ()
        self.num_items = int(items) if isinstance(items, int | np.integer) else len(counted)
        if items is not None and self.num_items < 1:
            raise ValueError("A model needs at least one item.")
        # Models that know users by their id set these.
        self.users: Vocabulary | None = None
        self.num_users: int | None = None

    @classmethod
    def from_split(cls, split: Any, **kwargs: Any) -> Self:
        """Returns a model of a split's users, items and features, as far as it takes them.

        Args:
            split: A `Split`, or, for models of rows, a `RowSplit`.
            **kwargs: Other arguments of the model.

        Raises:
            TypeError: If `split` is no split of the model's kind.
        """
        return cls(**{**cls._arguments_of(split, without=kwargs), **kwargs})

    @classmethod
    def _arguments_of(cls, split: Any, without: Container[str] = ()) -> dict[str, Any]:
        """Returns the constructor's arguments that the split has; refuses what is no such split."""
        takes = constructor_arguments(cls)
        wanted = [n for n in cls.split_arguments if n in takes and n not in without]
        missing = [name for name in wanted if not hasattr(split, name)]
        if missing:
            raise TypeError(
                f"{cls.__name__} is made from a split, tfrecs.data.{cls.default_split}(log), and "
                f"not from {type(split).__name__}, which has no {' and no '.join(missing)}."
            )
        return {name: getattr(split, name) for name in wanted}

    def grown(self, split: Any) -> Self:
        """Returns this model for a split with new users and items; what was learned is kept.

        Known users and items keep their vectors, and a new one gets the vector of an unknown
        one, or initial ones where there is none; train on the new data from there. The split is
        one of `log.continuing(users, items)`, with the vocabularies of this model.

        Args:
            split: The new split.

        Raises:
            TypeError: If `split` is no split of the model's kind.
            ValueError: If the model has no vocabularies, or the split's items or users do not begin
                with its own, in order.
        """
        # What was left out of this model stays out.
        config = {
            name: value
            for name, value in self.get_config().items()
            if value is None or name not in self.split_arguments
        }
        self._arguments_of(split, without={*config, "event_schema"})
        for name, count in (("items", self.num_items), ("users", self.num_users)):
            mine, theirs = getattr(self, name), getattr(split, name, None)
            if mine is None and count:
                raise ValueError(
                    f"This {type(self).__name__} was made from a number of {name}, so it cannot "
                    f"find them in a split: make it from a vocabulary, such as split.{name}."
                )
            if mine is None or theirs is None:
                continue
            if not np.array_equal(theirs.ids[: len(mine)], mine.ids):
                raise ValueError(
                    f"The {name} of the split do not begin with those of the model: split "
                    "log.continuing(users, items) with the model's own vocabularies."
                )
        arguments = {**bind(config, split), **self._features_of(split)}
        model = type(self).from_split(split, **arguments)
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
        """Returns the config from which `keras.utils.deserialize_keras_object` makes a twin.

        The twin is untrained and not compiled.
        """
        return plain(self)

    def get_build_config(self) -> None:
        """Returns None: a constructed model has all its weights."""
        return

    def _features_of(self, split: Any) -> dict[str, Any]:
        """Returns the split's features, in the columns and categories that this model learned."""
        tables = {}
        for name, lookup in zip(("user", "item"), self.feature_lookups, strict=True):
            if lookup is None:
                continue
            frame, ids = getattr(split, f"{name}_frame"), getattr(split, f"{name}s")
            if frame is None:
                raise ValueError(f"The model has features of {name}s, and the new log has none.")
            tables[f"{name}_features"] = FeatureTable.from_frame(frame, ids, lookup.schema)
        return tables

    def examples(self, train: Any, windows: Literal["last", "all"] = "all") -> Examples:
        """Returns the model's training examples; `fit` takes the result of their `batch`.

        Args:
            train: The training part of a split: a `TrainSet`, or `Rows` for models of rows.
            windows: For sequence models, see `Sequences`.
        """
        del windows
        return train.pairs(self.max_history)

    def example_features(self) -> Features:
        """Returns features of one query, such as `call` takes."""
        features = {"user_id": tf.zeros([1], tf.int32)}
        if self.max_history is not None:
            features["history"] = tf.zeros([1, self.max_history], tf.int32)
        if self.event_inputs is not None:
            features |= self.event_inputs.missing_events(1, self.max_history)
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
    def event_inputs(self) -> EventInputs | None:
        """What the model reads of the events of a history, beside their items; None for nothing."""
        return None

    @property
    def recommends(self) -> bool:
        """Whether the model scores items for a history or a user that a request can name."""
        return self.items is not None and (self.max_history is not None or self.users is not None)

    @property
    def needs_known_items(self) -> bool:
        """Whether requests do not say what a user has: it knows users and reads no history."""
        return self.recommends and self.max_history is None

    @property
    def row_schema(self) -> Schema | None:
        """The columns of the rows whose labels it predicts; None if it predicts none."""
        return None

    @property
    def label_kinds(self) -> dict[str, str]:
        """The kind of each predicted label: "binary", for a probability, or "regression"."""
        return {}

    @property
    def predicts_by_label(self) -> bool:
        """Whether `call` gives the predictions of rows by the names of labels."""
        return False

    @property
    def feature_lookups(self) -> tuple[FeatureLookup | None, FeatureLookup | None]:
        """The features that vectors of users, and of items, are made of; None for none."""
        return None, None

    @property
    def is_product(self) -> bool:
        """Whether scores are products of `query_vectors` and `item_vectors`."""
        return type(self).query_vectors is not Model.query_vectors

    @property
    def has_item_codes(self) -> bool:
        """Whether item vectors are put together from codes, which exports hold in their place."""
        return False

    @property
    def read_tables(self) -> list[ItemEmbedding]:
        """Plain tables of items that queries are made of, which exports may store smaller."""
        return []

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

    def call(self, inputs: Features, training: bool = False) -> Any:
        """Returns the scores of all items for each query: `score(inputs)`."""
        del training
        return self.score(inputs)

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
