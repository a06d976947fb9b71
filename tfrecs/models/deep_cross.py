"""DCN-V2: ranking by explicit feature crosses beside a deep network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from tfrecs._keras import tf
from tfrecs.configured import registered
from tfrecs.data import Categorical, FeatureTable, Label, Rows, RowSplit, Schema, Vocabulary
from tfrecs.layers import CrossNetwork, FeatureEncoder, FeatureLookup
from tfrecs.losses import global_sum
from tfrecs.models.base import Features, Model
from tfrecs.models.heads import Given, Heads, dense_of_parts
from tfrecs.tasks import MultiTask, Ranking

if TYPE_CHECKING:
    from typing_extensions import Self

_IDS = ("user_id", "item_id")
# Numbers in a cache line, and so what the width of a row is a multiple of.
_ALIGNMENT = 16


@registered
class DeepCross(Model):
    """DCN-V2 (Wang et al., "DCN V2", WWW 2021): predicts labels from the features of a row.

        x_0 = [embeddings of categories, numbers, texts]
        y = w [crosses(x_0), deep(x_0)] + b,   or w deep(crosses(x_0)) + b where stacked

    A row has the columns of `context` and, where the model knows users and items, `user_id`
    and `item_id`, whose features it looks up. Such a model scores any item for a user, and so ranks
    what a retrieval model found. See `layers.CrossNetwork` for the crosses.

    With a `tasks.MultiTask` the model has several heads, such as click, rating and watch time. Each
    predicts the label of its name: the probability of 1 where its loss is a binary cross-entropy,
    else the number itself. Heads share all but their weights w and b; with `task_experts` each
    takes its own mixture of experts (`layers.MMoE`) of [crosses(x_0), deep(x_0)] first. The first
    head ranks items, and by it the best epoch is chosen.

    Args:
        context: Schema of the columns of a row beside the ids. Its labels are what is predicted.
        items: Vocabulary of the items, or None for rows without `item_id`.
        users: Vocabulary of the users, or None for rows without `user_id`.
        user_features: Features of the users.
        item_features: Features of the items.
        dim: Size of the vectors of ids, categories and numbers.
        cross_layers: Number of cross layers.
        projection_dim: Rank of their matrices; None for full ones.
        num_experts: Experts of each cross layer (DCN-Mix); None for plain crosses.
        deep_units: Widths of the deep network's layers.
        structure: "parallel" or "stacked".
        dropout: Rate of the dropout in the deep network.
        embedding_regularization: Weight of the squared length of the batch's own embeddings,
            a mean over the batch, in the loss.
        task: What the model is trained for; default `tasks.Ranking` with binary cross-entropy of
            log-odds. A `tasks.MultiTask` names a label of `context` for each head.
        task_experts: Experts of the heads, layers as wide as the last of `deep_units`; or None.
        seed: Seed of initial weights and dropout.
        **kwargs: Arguments of `keras.Model`, such as `name`.

    Raises:
        ValueError: If the task does not fit the labels, there are none, or features are given
            without the ids they belong to.

    Example:
        >>> import numpy as np, pandas as pd, tfrecs
        >>> frame = pd.DataFrame({"age": [31.0, 58.0, 40.0, 22.0], "liked": [1, 0, 1, 0]})
        >>> schema = tfrecs.data.Schema.from_frame(frame, label="liked")
        >>> rows = tfrecs.data.Rows.from_frame(frame, schema)
        >>> model = tfrecs.models.DeepCross(schema, dim=4, deep_units=[8], seed=1)
        >>> model.adapt(rows)
        >>> model.compile(tfrecs.optimizers.Adam(0.01))
        >>> history = model.fit(rows.batch(2), epochs=2, verbose=0)
        >>> model.predict(rows.batch(2, seed=None), verbose=0).shape
        (4,)
    """

    default_split = "click_through"
    monitor = "val_AUC"

    def __init__(
        self,
        context: Schema,
        items: Vocabulary | None = None,
        users: Vocabulary | None = None,
        user_features: FeatureTable | None = None,
        item_features: FeatureTable | None = None,
        dim: int = 16,
        cross_layers: int = 3,
        projection_dim: int | None = None,
        num_experts: int | None = None,
        deep_units: Sequence[int] = (256, 256),
        structure: str = "parallel",
        dropout: float = 0.2,
        embedding_regularization: float = 0.0,
        task: Ranking | MultiTask | None = None,
        task_experts: int | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(items, **kwargs)
        # Numbers enter in float32: Keras would cast them in `predict`, but not in `fit`.
        self._autocast = False
        self._heads = Heads(task, context)
        if (user_features is not None and users is None) or (
            item_features is not None and self.items is None
        ):
            raise ValueError("Features of users and items need their vocabularies.")
        self.context = context
        self.users = users
        self.deep_units = list(deep_units)
        self.embedding_regularization = embedding_regularization
        self.task = self._heads.task
        self.remember(task=self.task)
        self.label: str = self._heads.first
        self.monitor, self.monitor_mode = self._heads.monitor, self._heads.monitor_mode

        columns: dict[str, Any] = {}
        for name, vocabulary in zip(_IDS, (users, self.items), strict=True):
            if vocabulary is not None:
                columns[name] = Categorical(vocabulary)
        self.lookups: dict[str, FeatureLookup] = {}
        for name, table in zip(_IDS, (user_features, item_features), strict=True):
            if table is not None:
                lookup = FeatureLookup(table, name=f"{name}_features")
                self.lookups[name] = lookup
                columns |= {
                    _qualified(name, column): kind for column, kind in lookup.schema.items()
                }
        columns |= {name: kind for name, kind in context.items() if not isinstance(kind, Label)}
        self.encoder = FeatureEncoder(
            Schema(columns), dim, multiple_of=_ALIGNMENT, seed=seed, name="features"
        )
        self.crosses = CrossNetwork(
            cross_layers,
            projection_dim,
            num_experts,
            deep_units=deep_units,
            structure=structure,
            dropout=dropout,
            seed=None if seed is None else 1000 * seed + 1,
            name="crosses",
        )
        units = self.deep_units[-1:] or [64]
        self.experts, self.output_layer = self._heads.layers(task_experts, units, seed)
        # All weights exist from here on: a checkpoint restores into them at once.
        shared = self.crosses(tf.zeros([1, self.encoder.width]))
        self.output_layer(shared if self.experts is None else self.experts(shared))

    @classmethod
    def from_split(cls, split: RowSplit, **kwargs: Any) -> Self:
        """Returns a model of a split's users, items and columns, adapted to its training part.

        Args:
            split: What it is to be trained on.
            **kwargs: Other arguments of the model.
        """
        model = super().from_split(split, **kwargs)
        model.adapt(split.train)
        return model

    def _features_of(self, split: RowSplit) -> dict[str, Any]:
        # The split is encoded already: with other columns or categories it would be misread.
        schemas = {"user": "user_id", "item": "item_id"}
        for name, key in schemas.items():
            table = getattr(split, f"{name}_features")
            mine = self.lookups[key].schema if key in self.lookups else None
            if mine != (None if table is None else table.schema):
                raise ValueError(
                    f"The split's {name} features are encoded otherwise than this model's: pass "
                    f"{name}_schema=model.lookups[{key!r}].schema to click_through."
                )
        if self.context != split.context:
            raise ValueError("The split's context is not this model's: pass it to click_through.")
        return {}

    def adapt(self, rows: Rows) -> None:
        """Learns from rows what the encoding of columns needs: bins, means, how frequent words are.

        Heads that predict a number begin with the mean of its labels.

        Args:
            rows: Training rows, with all columns that the model reads; with bins of trees also the
                label, the first one of several.

        Raises:
            ValueError: If a column is missing, or bins of trees have no label to learn from.
        """
        columns = dict(rows.columns)
        wanted = self.encoder.adapted_columns
        for name, lookup in self.lookups.items():
            for column, values in lookup.columns.items():
                # Only what is looked at: wide columns of items are large once a row has them.
                if _qualified(name, column) in wanted:
                    columns[_qualified(name, column)] = values.numpy()[columns[name]]
        self.encoder.adapt(columns, columns.get(self.label))
        self._heads.adapt(columns, self.output_layer)

    @property
    def row_schema(self) -> Schema:
        """The columns of a row beside its ids, labels among them: `context`."""
        return self.context

    @property
    def label_kinds(self) -> dict[str, str]:
        """The kind of each predicted label: "binary", for a probability, or "regression"."""
        return dict(self._heads.kinds)

    @property
    def predicts_by_label(self) -> bool:
        """Whether there are several heads, whose predictions have names."""
        return self._heads.several

    def logits(self, features: Features, training: bool = False) -> Given:
        """Returns the float32 log-odds of rows, or the number predicted; as `call`, by head.

        Args:
            features: The columns of the rows by name, encoded.
            training: Whether dropout applies.
        """
        return self._heads.by_name(self._outputs(self._embedded(features), training))

    def _embedded(self, features: Features) -> tf.Tensor:
        columns = dict(features)
        for name, lookup in self.lookups.items():
            found = lookup(features[name])
            columns |= {_qualified(name, column): values for column, values in found.items()}
        return self.encoder(columns)

    def _outputs(self, embedded: tf.Tensor, training: bool) -> tf.Tensor:
        parts = self.crosses.parts(embedded, training=training)
        if self.experts is None:
            return dense_of_parts(self.output_layer, parts)
        return self.output_layer(self.experts(tf.concat(parts, axis=-1)))

    def call(self, inputs: Features, training: bool = False) -> Given:
        """Returns the probability of label 1 of each row, or the number predicted.

        `[batch]` float32; with a `tasks.MultiTask` one a head by name.
        """
        return self._heads.predictions(self._outputs(self._embedded(inputs), training))

    def score(self, features: Features, items: tf.Tensor | None = None) -> tf.Tensor:
        """Returns the log-odds of items for each user, as `Model.score`; of the first head.

        Args:
            features: `"user_id"` `[batch]`, and columns of `context`; those that are not there
                count as missing.
            items: `[batch, c]` item ids; None for all.
        """
        if self.items is None:
            raise TypeError("This DeepCross knows no items: use logits() or call it.")
        batch = tf.shape(next(iter(features.values())))[0]
        if items is None:
            everything = tf.range(1, self.num_items + 1)
            items = tf.tile(everything[tf.newaxis], [batch, 1])
        count = tf.shape(items)[1]
        missing = self._missing_row()
        rows = {
            name: tf.repeat(features[name], count, axis=0)
            if name in features
            else tf.repeat(missing[name], batch * count, axis=0)
            for name in missing
        }
        rows["item_id"] = tf.reshape(items, [-1])
        outputs = self._outputs(self._embedded(rows), training=False)
        return tf.reshape(outputs[:, 0], [batch, count])

    @property
    def inputs_of_rows(self) -> frozenset[str]:
        """Names of the columns that a row has for the model, its labels left out."""
        return frozenset(self._missing_row())

    def _missing_row(self) -> Features:
        """One row of missing values, of all that the model takes in."""
        row = self.context.missing_row()
        for name, vocabulary in zip(_IDS, (self.users, self.items), strict=True):
            if vocabulary is not None:
                row[name] = tf.zeros([1], tf.int32)
        return row

    def example_features(self) -> Features:
        """Returns a row of missing values."""
        return self._missing_row()

    @property
    def feature_ranks(self) -> dict[str, int | None]:
        """The columns of a row and its labels, and their number of axes."""
        ranks: dict[str, int | None] = {n: x.shape.rank for n, x in self._missing_row().items()}
        return ranks | dict.fromkeys(self.context.labels)

    def examples(self, train: Rows, windows: Literal["last", "all"] = "all") -> Rows:
        """Returns the rows themselves."""
        del windows
        return train

    def compute_loss(self, inputs: Features, training: bool = False) -> tf.Tensor:
        """Returns the task's loss of a batch of rows, their labels among the columns."""
        embedded = self._embedded(inputs)
        loss = self._heads.loss(inputs, self._outputs(embedded, training), training)
        if training and self.embedding_regularization:
            squares = tf.square(tf.cast(embedded, tf.float32))
            if "sample_weight" in inputs:
                squares *= tf.cast(inputs["sample_weight"], tf.float32)[:, tf.newaxis]
            squares = tf.reduce_sum(squares)
            everybody = global_sum(self.target_count(inputs))
            loss += self.embedding_regularization * tf.math.divide_no_nan(squares, everybody)
        return loss


def _qualified(id_name: str, column: str) -> str:
    """The name of a feature among the columns of a row."""
    return f"{id_name.removesuffix('_id')}.{column}"
