"""The signatures of a model, and what the manifest says of them."""

from __future__ import annotations

from typing import Any

from tfrecs._keras import tf
from tfrecs.models import Model
from tfrecs.serving.exports import golden
from tfrecs.serving.exports.queries import RawQueries
from tfrecs.serving.exports.scores import CandidateScores, RowScores, Settings, TopItems
from tfrecs.serving.exports.signature import (
    RawIds,
    VocabularyFiles,
)
from tfrecs.serving.exports.vectors import Vectors
from tfrecs.serving.index.item_table import ItemTable


class Served:
    """All signatures of a model.

    Args:
        model: The model.
        as_stored: The model that answers as the export, see `stored`.
        table: The item vectors, None for a model without.
        files: Where the vocabularies are written.
        settings: How the export recommends.
    """

    def __init__(
        self,
        model: Model,
        as_stored: Any,
        table: ItemTable | None,
        files: VocabularyFiles,
        settings: Settings,
    ) -> None:
        self._model, self._as_stored, self._settings = model, as_stored, settings
        self._items = self._users = self._rows = None
        parts: list[Any] = []
        if model.recommends:
            assert model.items is not None
            self._items = RawIds(model.items, files, "items")
            if model.users is not None:
                self._users = RawIds(model.users, files, "users")
            queries = RawQueries(
                self._items, self._users, model.max_history or 0, model.event_inputs, files
            )
            parts.append(TopItems(model, self._items, queries, table, settings))
            if model.row_schema is None:  # Otherwise `score` takes rows, which say more.
                parts.append(CandidateScores(model, self._items, queries, table))
            if table is not None:
                parts.append(Vectors(model, self._items, queries, table, files))
        if model.row_schema is not None:
            self._rows = RowScores(model, files)
            parts.append(self._rows)
        self.signatures = {name: s for part in parts for name, s in part.signatures().items()}
        if "serving_default" not in self.signatures:
            self.signatures["serving_default"] = self.signatures["score"]
        # Only the weights that the graphs read are saved, in the model's order, because the order
        # of a graph is random and the same model should always give the same files.
        order = {variable.ref(): i for i, variable in enumerate(model.variables)}
        read = {v.ref(): v for s in self.signatures.values() for v in s.variables}
        self.module = tf.Module(name="served")
        self.module.parts = parts
        self.module.weights = sorted(read.values(), key=lambda v: (order.get(v.ref(), -1), v.name))

    def about(self) -> dict[str, Any]:
        """Returns what the manifest says of items, users, recommendations and signatures."""
        about: dict[str, Any] = {}
        if self._items is not None:
            about |= {
                "num_items": self._items.size,
                "max_history": self._model.max_history or 0,
                "k": self._settings.k,
                "num_exclusions": self._settings.num_exclusions,
                "index": self._settings.index,
                "item_precision": self._settings.item_precision,
                "recommend_known": self._settings.recommend_known,
                "id_dtype": self._items.dtype.name,
                "padding_id": self._items.padding,
                "vocabulary": f"assets/{self._items.path.name}",
            }
        if self._users is not None:
            about |= {
                "num_users": self._users.size,
                "user_id_dtype": self._users.dtype.name,
                "user_padding_id": self._users.padding,
                "user_vocabulary": f"assets/{self._users.path.name}",
            }
        known = self._settings.known_items
        if self._items is not None and known is not None:
            users = int((known.lengths > 0).sum())
            about["known_items"] = {"users": users, "items": len(known.values)}
        about["signatures"] = {name: s.description() for name, s in self.signatures.items()}
        return about

    def goldens(self) -> list[golden.Golden]:
        """Returns requests that try each signature."""
        model = self._as_stored
        goldens: list[golden.Golden] = []
        if self._items is not None:
            goldens.append(golden.of_recommendations(model, self._settings))
            if self._rows is None:
                goldens.append(golden.of_candidates(model))
            if model.is_product:
                goldens += golden.of_vectors(model)
        if self._rows is not None:
            goldens.append(golden.of_rows(model, self._rows.output_names))
        return goldens
