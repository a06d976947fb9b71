"""A model as its export stores it: item vectors in fewer bits, and what that costs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from tfrecs.data import EvaluationSet
from tfrecs.evaluation import evaluate
from tfrecs.models import Model
from tfrecs.serving.index.item_table import ItemPrecision, ItemTable, stored_rows

if TYPE_CHECKING:
    from tfrecs._keras import tf

METRIC = "NDCG@10"


class StoredModel:
    """A product model whose items are read from the table of an export.

    It answers whatever evaluation and golden requests ask of a `Model`.

    Args:
        model: The model.
        table: The vectors by which items are scored.
    """

    def __init__(self, model: Model, table: ItemTable) -> None:
        self._model, self._table = model, table

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def item_vectors(
        self, items: tf.Tensor | None = None, features: dict[str, Any] | None = None
    ) -> tf.Tensor:
        """Returns the stored vectors of items; with features the model's, as the export does."""
        if features is not None:
            return self._model.item_vectors(items, features=features)  # type: ignore[call-arg]
        rows = self._table.rows
        return rows.of(np.arange(rows.num_rows, dtype=np.int32) if items is None else items - 1)

    def score(self, features: dict[str, Any], items: tf.Tensor | None = None) -> tf.Tensor:
        """Returns products of vectors, as `Model.score` does."""
        return Model.score(self, features, items)  # type: ignore[arg-type]


@contextmanager
def stored(
    model: Model, precision: ItemPrecision
) -> Iterator[tuple[Model | StoredModel, ItemTable | None]]:
    """Stores the items of a model as an export does; within the block queries read them too.

    Histories are read from the same rows where items are scored by the vectors that they are read
    by: an export then holds them once.

    Args:
        model: The model.
        precision: How item vectors are stored.

    Yields:
        The model that answers as its export, and the table of items; None without vectors.

    Raises:
        ValueError: If the precision cannot hold the vectors.
    """
    if not (model.recommends and model.is_product):
        yield model, None
        return
    with ExitStack() as stack:
        table = ItemTable(model, precision)
        scored_by = np.asarray(model.item_vectors(), np.float32)
        for embedding in model.read_tables:
            read = np.asarray(embedding.rows(), np.float32)
            if np.array_equal(read, scored_by):
                rows = table.rows
            elif precision != "float32":
                rows = stored_rows(read, precision)
            else:
                continue
            stack.enter_context(embedding.stored_as(rows.of))
        yield model if precision == "float32" else StoredModel(model, table), table


def metric_of(
    model: Model | StoredModel, part: EvaluationSet, recommend_known: bool | None
) -> float:
    """Returns NDCG@10 of a model on the users of a part of a split."""
    report = evaluate(model, part, (10,), recommend_known=recommend_known, baselines=False)
    return float(report.metrics[METRIC])
