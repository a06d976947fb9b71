"""Golden requests: what an export is asked before it is given out, and what it must answer.

The expected answers come from the model, for ids that the data room encoded and not the graph.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tfrecs._keras import tf
from tfrecs.data import (
    Histories,
    Vocabulary,
)
from tfrecs.serving.exports.golden_values import ROWS, golden_events, golden_frame
from tfrecs.serving.exports.scores import Settings
from tfrecs.serving.exports.signature import (
    padding_id,
    unknown_id,
)
from tfrecs.serving.folder.replay import ask, difference, load
from tfrecs.serving.requests import column_request
from tfrecs.serving.values import as_trained

if TYPE_CHECKING:
    from tfrecs.models import Model

_LOWEST = np.finfo(np.float32).min


@dataclasses.dataclass(frozen=True, eq=False)
class Golden:
    """A request to a signature, and what the model answers.

    Args:
        signature: The signature's name.
        frame: The request as data, a row each.
        expected: Answers by output; outputs may be left out.
        described: The method of the model that answers, for an error.
    """

    signature: str
    frame: pd.DataFrame
    expected: dict[str, np.ndarray]
    described: str


def answered(
    folder: Path, goldens: Sequence[Golden], manifest: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Returns requests with the answers of the SavedModel in `folder`, for the manifest.

    Raises:
        ValueError: If an answer is not the model's, but for rounding.
    """
    loaded = load(folder, manifest)
    entries = []
    for golden in goldens:
        described = manifest["signatures"][golden.signature]
        request = column_request(golden.frame, described["inputs"], read=as_trained)
        if "history" in request and golden.signature == "serving_default":
            _pad_both_ways(request, described["inputs"])
        found = ask(loaded, golden.signature, request, described)
        wrong = difference(golden.expected, found, manifest["compute_dtype"])
        if wrong is not None:
            raise ValueError(
                f"The export does not answer as {golden.described} does, in {wrong!r} of "
                f"{golden.signature!r}. A model whose score is more than the product of "
                "query_vectors and item_vectors must have is_product False."
            )
        entries.append(
            {
                "signature": golden.signature,
                "inputs": {name: _plain(values) for name, values in request.items()},
                "outputs": {name: _plain(values) for name, values in found.items()},
            }
        )
    return entries


def of_recommendations(model: Model, settings: Settings) -> Golden:
    """Returns a request for recommendations: histories short, spread, too long and empty.

    It excludes the best items of each user but the last, one of them twice, and an unknown one.
    """
    frame, features, known = _queries(model)
    assert model.items is not None
    if settings.known_items is not None:
        rows = settings.known_items
        users = features["user_id"].numpy()
        known = [rows[u] if u < len(rows) else rows[0] for u in users]
    scores = np.array(model.score(features), np.float32)
    scores[~np.isfinite(scores)] = _LOWEST
    if not settings.recommend_known:
        for row, ids in zip(scores, known, strict=True):
            row[ids - 1] = _LOWEST
    if num_exclusions := settings.num_exclusions:
        best = np.argsort(-scores[:-1], axis=1, kind="stable")
        excluded = best[:, : min(max(num_exclusions - 2, 1), 3)]
        np.put_along_axis(scores[:-1], excluded, _LOWEST, axis=1)
        raw = [model.items.decode(row + 1).tolist() for row in excluded]
        more = [unknown_id(model.items)]
        lists = [[*(row + more + row[:1])[:num_exclusions]] for row in raw]
        frame["exclude"] = pd.Series([*lists, []], dtype=object)
    is_exact = settings.index == "exact"
    expected = {"score": -np.sort(-scores, axis=1)[:, : settings.k]} if is_exact else {}
    return Golden("serving_default", frame, expected, f"{type(model).__name__}.score")


def of_candidates(model: Model) -> Golden:
    """Returns a request to score items for users: known ones, repeated ones, an unknown one."""
    frame, features, _ = _queries(model)
    assert model.items is not None
    some = _some(model.items)
    lists = [some, some[:1] * 2, [unknown_id(model.items), *some[::-1]], []]
    frame["candidates"] = pd.Series(lists, dtype=object)
    ids = np.zeros((ROWS, max(map(len, lists))), np.int32)
    for row, candidates in zip(ids, lists, strict=True):
        row[: len(candidates)] = model.items.encode(np.array(candidates, object))
    ids[ids > model.num_items] = 0
    scores = np.array(model.score(features, tf.constant(np.maximum(ids, 1))), np.float32)
    scores[(ids == 0) | ~np.isfinite(scores)] = _LOWEST
    return Golden("score", frame, {"score": scores}, f"{type(model).__name__}.score")


def of_rows(model: Model, names: Mapping[str, str]) -> Golden:
    """Returns a request to score rows, with the names of outputs by the model's heads."""
    assert model.row_schema is not None
    schema = model.row_schema.with_columns(**dict.fromkeys(model.row_schema.labels))
    frame = golden_frame(schema)
    both = {"user_id": model.users, "item_id": model.items}
    ids = {name: vocabulary for name, vocabulary in both.items() if vocabulary is not None}
    for name, vocabulary in ids.items():
        frame[name] = pd.Series(_some(vocabulary), dtype=object)
    rows: dict[str, Any] = schema.encode(frame)
    rows |= {name: vocabulary.encode(frame[name]) for name, vocabulary in ids.items()}
    given = model.call({name: tf.constant(values) for name, values in rows.items()})
    heads = given if isinstance(given, dict) else dict.fromkeys(model.label_kinds, given)
    expected = {names[head]: np.asarray(values) for head, values in heads.items()}
    return Golden("score", frame, expected, f"{type(model).__name__}.call")


def of_vectors(model: Model) -> list[Golden]:
    """Returns requests for vectors of users and of items, known ones and new ones with features."""
    user_lookup, item_lookup = model.feature_lookups
    frame, features, _ = _queries(model)
    if user_lookup is not None:
        more, given = _features(user_lookup, features["user_id"].numpy())
        frame = frame.join(more)
        features |= {f"user.{name}": values for name, values in given.items()}
    name = type(model).__name__
    expected = {"vector": np.asarray(model.query_vectors(features))}
    queries = Golden("query_vectors", frame, expected, f"{name}.query_vectors")

    items = model.items
    assert items is not None
    frame = pd.DataFrame({"item_id": pd.Series(_some(items), dtype=object)})
    ids = items.encode(frame["item_id"])
    if item_lookup is not None:
        more, given = _features(item_lookup, ids)
        frame = frame.join(more)
        of_items: Callable[..., tf.Tensor] = model.item_vectors
        vectors = np.asarray(of_items(tf.constant(ids), features=given))
    else:
        table = np.asarray(model.item_vectors())
        vectors = np.concatenate([table, np.zeros_like(table[:1])])[ids - 1]
    return [queries, Golden("item_vectors", frame, {"vector": vectors}, f"{name}.item_vectors")]


def _some(vocabulary: Vocabulary) -> list[Any]:
    """A raw id for each row, the last one unknown."""
    ids = vocabulary.ids.tolist()
    known = [ids[i * (len(ids) - 1) // ROWS] for i in range(ROWS - 1)]
    return [*known, padding_id(vocabulary)]


def _queries(model: Model) -> tuple[pd.DataFrame, dict[str, tf.Tensor], list[np.ndarray]]:
    """Histories and users: as data, as the model's features, and the ids of each history."""
    assert model.items is not None
    length, users = model.max_history or 0, model.users
    ids = model.items.ids.tolist()
    spread = [ids[0], ids[len(ids) // 2], ids[-1]]
    long = [ids[i % len(ids)] for i in range(0, ROWS * 7 + 7 * length, 7)]
    histories = [ids[:1], spread, long, []]
    encoded = Histories.from_lists(model.items.encode(np.array(h, object)) for h in histories)
    frame = pd.DataFrame(index=range(ROWS))
    features = {}
    if length:
        features["history"] = tf.constant(encoded.padded(np.arange(ROWS), length))
        frame["history"] = pd.Series(histories, dtype=object)
    if users is not None:
        frame["user_id"] = pd.Series(_some(users), dtype=object)
        features["user_id"] = tf.constant(users.encode(frame["user_id"]))
    if model.event_inputs is not None:
        more, read = golden_events(model.event_inputs, encoded, length)
        frame, features = frame.join(more), features | read
    return frame, features, list(encoded) if length else [np.zeros(0, np.int32)] * ROWS


def _features(lookup: Any, ids: np.ndarray) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Features as data, and encoded with the stored values where one is missing."""
    # The last id is an unknown one: it gets known values, and a known one gets missing values.
    frame = golden_frame(lookup.schema)[::-1].reset_index(drop=True)
    table = lookup.table().columns
    given = lookup.schema.encode(frame)
    for name, column in given.items():
        if column.ndim == 1 and column.dtype.kind == "f":
            nothing = np.isnan(column)
        else:
            nothing = (column.reshape(len(column), -1) == 0).all(axis=1)
        column[nothing] = table[name][ids][nothing]
    return frame, given


def _pad_both_ways(request: dict[str, np.ndarray], inputs: Mapping[str, Any]) -> None:
    """Moves the padding of every other history, and of what is beside it, to the left."""
    kept = (request["history"] != inputs["history"]["missing"]).sum(axis=1)
    for name, given in inputs.items():
        if name == "history" or "beside" in given:
            request[name] = rows = request[name].copy()
            for i in range(1, len(rows), 2):
                # What stood behind the values is padding, as many places as they move.
                rows[i] = np.roll(rows[i], rows.shape[1] - kept[i])


def _plain(values: np.ndarray) -> list[Any]:
    """An array for JSON: strings for bytes, null for NaN."""
    if values.dtype == object:
        texts = [v.decode() if isinstance(v, bytes) else v for v in values.ravel()]
        return np.array([*texts, None], object)[:-1].reshape(values.shape).tolist()
    if values.dtype.kind == "f":
        return np.where(np.isnan(values), np.array(None, object), values).tolist()
    return values.tolist()
