"""What is saved of a model: its signatures, and what the manifest says of them."""

from __future__ import annotations

from typing import Any

from tfrecs._keras import tf
from tfrecs.data import Histories
from tfrecs.models import Model
from tfrecs.serving.exports import golden
from tfrecs.serving.exports.raw_ids import RawIds, VocabularyFiles
from tfrecs.serving.exports.scores import CandidateScores, KnownItemsTable, RowScores, TopItems
from tfrecs.serving.exports.signature import RawQueries
from tfrecs.serving.exports.vectors import Vectors
from tfrecs.serving.index.exact import ItemTable
from tfrecs.serving.index.scann import ScannIndex


class Served:
    """All signatures of a model, and what is known of them.

    Args:
        model: The model.
        files: Where the vocabularies are written.
        k: How many items a recommendation has.
        num_exclusions: How many items a request can exclude.
        index: How items are found.
        recommend_known: Whether known items may be recommended.
        known_items: The items of each user that are never recommended, where requests do not say
            them; None for none.
    """

    def __init__(
        self,
        model: Model,
        files: VocabularyFiles,
        k: int,
        num_exclusions: int,
        index: str,
        *,
        recommend_known: bool,
        known_items: Histories | None,
    ) -> None:
        self._model, self._k = model, k
        self._num_exclusions, self._index = num_exclusions, index
        self._recommend_known, self._known_items = recommend_known, known_items
        self._items = self._users = self._rows = None
        parts: list[Any] = []
        if model.recommends:
            assert model.items is not None
            self._items = RawIds(model.items, files, "items")
            if model.users is not None:
                self._users = RawIds(model.users, files, "users")
            queries = RawQueries(self._items, self._users, model.max_history or 0)
            table = ItemTable(model) if model.is_product else None
            known = None if known_items is None else KnownItemsTable(known_items)
            scann = None
            if index == "scann":
                assert table is not None
                had = 0 if recommend_known else model.max_history or 0
                scann = ScannIndex(
                    table, k, num_exclusions + (had if known is None else known.longest)
                )
            parts.append(
                TopItems(
                    model,
                    model.items,
                    self._items,
                    queries,
                    table,
                    k,
                    num_exclusions,
                    leave_out_history=not recommend_known,
                    known=known,
                    scann=scann,
                )
            )
            if model.row_schema is None:  # Else it scores rows, which say more.
                parts.append(CandidateScores(model, self._items, queries, table))
            if table is not None:
                parts.append(Vectors(model, self._items, queries, table, files))
        if model.row_schema is not None:
            self._rows = RowScores(model, files)
            parts.append(self._rows)
        self.signatures = {name: s for part in parts for name, s in part.signatures().items()}
        if "serving_default" not in self.signatures:
            self.signatures["serving_default"] = self.signatures["score"]
        # Saves the weights that the graphs read, and no others. Their order is fixed (a graph's is
        # random), so that the same model always gives the same files.
        order = {variable.ref(): i for i, variable in enumerate(model.variables)}
        read = {v.ref(): v for s in self.signatures.values() for v in s.variables}
        self.module = tf.Module(name="served")
        self.module.parts = parts
        self.module.weights = sorted(read.values(), key=lambda v: (order.get(v.ref(), -1), v.name))

    def about(self) -> dict[str, Any]:
        """What the manifest says of items, users and recommendations, where there are some."""
        if self._items is None:
            return {}
        about = {
            "num_items": self._items.size,
            "max_history": self._model.max_history or 0,
            "k": self._k,
            "num_exclusions": self._num_exclusions,
            "index": self._index,
            "recommend_known": self._recommend_known,
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
        if self._known_items is not None:
            rows = self._known_items
            about["known_items"] = {
                "users": int((rows.lengths > 0).sum()),
                "items": len(rows.values),
            }
        return about

    def goldens(self) -> list[golden.Golden]:
        """Requests that try each signature."""
        model = self._model
        goldens: list[golden.Golden] = []
        if self._items is not None:
            exact = self._index == "exact"
            goldens.append(
                golden.of_recommendations(
                    model,
                    self._k,
                    self._num_exclusions,
                    exact=exact,
                    recommend_known=self._recommend_known,
                    known_items=self._known_items,
                )
            )
            if self._rows is None:
                goldens.append(golden.of_candidates(model))
            if model.is_product:
                goldens += golden.of_vectors(model)
        if self._rows is not None:
            goldens.append(golden.of_rows(model, self._rows.output_names))
        return goldens
