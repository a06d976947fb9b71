"""The vectors of items and users as Parquet files, for a search engine or a notebook."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tfrecs._keras import tf
from tfrecs.data import EvaluationSet

if TYPE_CHECKING:
    from tfrecs.models import Model


def write_vectors(
    model: Model,
    folder: str | os.PathLike[str],
    users: EvaluationSet | None = None,
    *,
    batch_size: int = 1024,
) -> list[Path]:
    """Writes `items.parquet`, and `users.parquet` where users are given.

    Each has the raw ids, `item_id` or `user_id`, and their `vector`, a list of float32. The score
    of a user and an item is the inner product of their vectors.

    Args:
        model: A model whose score is a product of two vectors, with a vocabulary.
        folder: Where to write; it is made if it is not there.
        users: Whose vectors, with the history that they are to be made of; such as `split.test`.
        batch_size: Users at once.

    Returns:
        The paths written.

    Raises:
        ValueError: If the model has no vectors, or no vocabulary of items.

    Example:
        >>> import tempfile, pandas as pd, tfrecs
        >>> items = tfrecs.data.Vocabulary(["milk", "bread"])
        >>> model = tfrecs.models.TwoTower(items, users=3, dim=4, pooling=None)
        >>> (path,) = tfrecs.serving.write_vectors(model, tempfile.mkdtemp())
        >>> pd.read_parquet(path)["item_id"].tolist()
        ['milk', 'bread']
    """
    if not model.is_product:
        raise ValueError(f"{type(model).__name__} scores without vectors: there are none to write.")
    if model.items is None:
        raise ValueError("The model has no vocabulary of items, so their raw ids are not known.")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / "items.parquet"]
    _write(written[0], "item_id", model.items.ids, np.asarray(model.item_vectors()))
    if users is None:
        return written
    vectors = []
    for start in range(0, len(users), batch_size):
        rows = np.arange(start, min(start + batch_size, len(users)))
        features: dict[str, Any] = {"user_id": tf.constant(users.user_ids[rows])}
        if model.max_history is not None:
            features["history"] = tf.constant(users.history.padded(rows, model.max_history))
        vectors.append(np.asarray(model.query_vectors(features)))
    written.append(folder / "users.parquet")
    _write(written[1], "user_id", users.users.decode(users.user_ids), np.concatenate(vectors))
    return written


def _write(path: Path, name: str, ids: np.ndarray, vectors: np.ndarray) -> None:
    flat = pa.array(np.ascontiguousarray(vectors, np.float32).ravel())
    column = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
    raw = pa.array(ids.tolist(), pa.int64() if ids.dtype == np.int64 else pa.string())
    pq.write_table(pa.table({name: raw, "vector": column}), path)
