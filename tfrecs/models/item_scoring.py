"""What sequence models share on the side of the items: their tables, vectors and scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tfrecs._keras import tf
from tfrecs.configured import check_integer
from tfrecs.layers import (
    FeaturedItemEmbedding,
    FeatureLookup,
    ItemEmbedding,
    QuantizedItemEmbedding,
)
from tfrecs.models.base import Model
from tfrecs.models.quantizing import quantized_copy
from tfrecs.models.similarity import check_similarity, item_side, query_side

if TYPE_CHECKING:
    from typing_extensions import Self


class ItemScoring(Model):
    """A model that reads and scores items by tables of vectors.

    A constructor calls `score_items`, and makes `embedding` by `make_embedding`. Where items are
    scored by other vectors than they are read by, it makes an `output_embedding` too.
    """

    embedding: ItemEmbedding
    feature_dim: int
    code_length: int
    num_centroids: int

    def score_items(self, similarity: str, temperature: float, item_bias: bool) -> None:
        """Notes how states and items are compared.

        Args:
            similarity: As `SequenceModel` takes it.
            temperature: As there.
            item_bias: As there.

        Raises:
            ValueError: If an argument is out of its range.
        """
        check_similarity(similarity, temperature)
        check_integer("feature_dim", self.feature_dim, least=0)
        check_integer("code_length", self.code_length, least=0)
        if self.code_length and self.feature_dim:
            raise ValueError(
                "code_length quantises vectors of ids, and feature_dim adds features to them: "
                "give one of the two."
            )
        if item_bias and similarity != "dot":
            raise ValueError(f'item_bias needs similarity "dot", not {similarity!r}.')
        self.similarity = similarity
        self.temperature = temperature
        # Not of the class: Keras tracks no layer under a name that the class has.
        self.output_embedding: ItemEmbedding | None = None
        self.item_bias: ItemEmbedding | None = None
        if item_bias:
            self.item_bias = ItemEmbedding(self.num_items, 1, "zeros", name="item_bias")

    @classmethod
    def from_split(cls, split: Any, **kwargs: Any) -> Self:
        """Returns a model of a split's items, which has read their features or codes from it."""
        if not kwargs.get("feature_dim"):
            kwargs.setdefault("item_features", None)  # Encoding them takes time.
        elif getattr(split, "item_frame", None) is None and "item_features" not in kwargs:
            raise ValueError(
                f"{cls.__name__}: feature_dim is {kwargs['feature_dim']}, and the data have no "
                "features of items."
            )
        model = super().from_split(split, **kwargs)
        for embedding in (model.embedding, model.output_embedding):
            if isinstance(embedding, QuantizedItemEmbedding):
                embedding.adapt(split.train)
        return model

    def make_embedding(self, dim: int, seed: int | None, name: str) -> ItemEmbedding:
        """Returns a new table of item vectors: plain, quantised, or with the items' features."""
        if self.code_length:
            return QuantizedItemEmbedding(
                self.num_items, dim, self.code_length, self.num_centroids, seed, name=name
            )
        if self.item_features is None or not self.feature_dim:
            return ItemEmbedding(self.num_items, dim, seed=seed, name=name)
        return FeaturedItemEmbedding(
            self.num_items, dim, self.item_features, self.feature_dim, seed, name=name
        )

    def quantized(self, code_length: int, num_centroids: int = 256) -> Self:
        """Returns this trained model with its items product-quantised.

        Codes and centroids are by k-means of the trained vectors, and lose less than codes of the
        log (`from_split`). A few epochs of further training bring back a part of what is lost.

        Args:
            code_length: Codes of an item, see `layers.QuantizedItemEmbedding`.
            num_centroids: Centroids of each sub-vector.

        Raises:
            ValueError: If the items' vectors are quantised already, or hold features.

        Example:
            >>> import tfrecs
            >>> model = tfrecs.models.SASRec(items=100, dim=16, max_length=5, seed=1)
            >>> model.quantized(code_length=8, num_centroids=16).embedding.codes().shape
            (100, 8)
        """
        return quantized_copy(self, code_length, num_centroids)

    @property
    def feature_lookups(self) -> tuple[FeatureLookup | None, FeatureLookup | None]:
        """None for the users, whose features are not read, and the features of items or None."""
        return None, getattr(self.output_embedding or self.embedding, "lookup", None)

    @property
    def has_item_codes(self) -> bool:
        """Whether the vectors that items are scored by are product-quantised."""
        return isinstance(self.output_embedding or self.embedding, QuantizedItemEmbedding)

    @property
    def read_tables(self) -> list[ItemEmbedding]:
        """The table that histories are read by, where it is plain."""
        return [self.embedding] if type(self.embedding) is ItemEmbedding else []

    def item_vectors(
        self, items: tf.Tensor | None = None, features: Mapping[str, tf.Tensor] | None = None
    ) -> tf.Tensor:
        """Returns the float32 vectors of items.

        Args:
            items: Ids 1..n, or n + 1 for an item that training did not see; None for all,
                `[n, dim]`.
            features: `[batch, ...]` encoded columns by name, for new items. They replace the
                features that the model stores.
        """
        vectors = item_side(self.item_rows(items, features), self.similarity)
        if self.item_bias is not None:
            # The bias is one more coordinate, and the queries have a 1 there.
            vectors = tf.concat([vectors, self.known_rows(self.item_bias, items)], axis=-1)
        return vectors

    def item_rows(
        self, items: tf.Tensor | None, features: Mapping[str, tf.Tensor] | None
    ) -> tf.Tensor:
        """Returns the vectors that items are scored by, before similarity and bias."""
        embedding = self.output_embedding or self.embedding
        if isinstance(embedding, FeaturedItemEmbedding):
            return embedding.rows(items, features)
        return embedding.rows(items)

    def known_rows(self, embedding: ItemEmbedding, items: tf.Tensor | None) -> tf.Tensor:
        """Returns float32 rows of a table; zeros for an item that training did not see."""
        if items is None:
            return tf.cast(embedding.rows(), tf.float32)
        rows = tf.cast(embedding.rows(tf.minimum(items, self.num_items)), tf.float32)
        return tf.where((items <= self.num_items)[..., tf.newaxis], rows, 0.0)

    def _query(self, states: tf.Tensor) -> tf.Tensor:
        queries = query_side(states, self.similarity, self.temperature)
        if self.item_bias is not None:
            queries = tf.concat([queries, tf.ones_like(queries[..., :1])], axis=-1)
        return queries
