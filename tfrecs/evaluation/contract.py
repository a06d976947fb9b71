"""What evaluation asks of a model, and nothing more."""

from __future__ import annotations

from typing import Any, Protocol

from tfrecs.data import Vocabulary


class ItemScorer(Protocol):
    """Anything that scores items for users can be evaluated; `tfrecs.models.Model` does.

    `features` is `{"user_id": [B] int32, "history": [B, L] int32}`, the history padded with 0 on
    the left; a model that reads no history (`max_history` None) gets only "user_id". A model that
    has `event_inputs` (`tfrecs.data.EventInputs`) also gets the columns of the events that they
    name.

    Attributes:
        items: Vocabulary of the items, or None where the model does not know it.
        num_items: Number of items, n.
        max_history: How many of the most recent items of a history the model reads; None for none.
        is_product: Whether the score is the inner product of a query and an item vector. If so,
            item vectors are computed once for all users.

    Example:
        ```python
        class MostRecent:                        # Scores the last item of the history highest.
            items, num_items, max_history, is_product = None, 1000, 1, False

            def score(self, features, items=None):
                scores = tf.one_hot(features["history"][:, -1] - 1, self.num_items)
                return scores if items is None else tf.gather(scores, items - 1, batch_dims=1)

        tfrecs.evaluate(MostRecent(), split.test)
        ```
    """

    items: Vocabulary | None
    num_items: int
    max_history: int | None
    is_product: bool

    def query_vectors(self, features: dict[str, Any]) -> Any:
        """Vectors of the users, `[B, d]`; only asked for where `is_product`."""

    def item_vectors(self, items: Any = None) -> Any:
        """Vectors of the items 1..n, `[n, d]`; only asked for where `is_product`."""

    def score(self, features: dict[str, Any], items: Any = None) -> Any:
        """Scores of all items, `[B, n]`, item j in column j - 1, or of the given `[B, C]` items."""


class RowModel(Protocol):
    """Anything that predicts labels of rows.

    A model may have `label_kinds`, which gives each label's kind by name: "binary", predicted by
    the probability of 1, or "regression", a number. Without it the rows' one label is binary.
    """

    def predict(self, dataset: Any, **kwargs: Any) -> Any:
        """Predictions `[rows]` of a data set of batches; by name where there are several labels."""
