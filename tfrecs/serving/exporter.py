"""Writing a model as a SavedModel that serves."""

from __future__ import annotations

import os
import re
import tempfile
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import tfrecs
from tfrecs._keras import tf
from tfrecs.data import Vocabulary
from tfrecs.serving.graph_check import check_graph
from tfrecs.serving.manifest import write_manifest
from tfrecs.serving.signature import TopItems, padding_id
from tfrecs.serving.versions import new_version

if TYPE_CHECKING:
    from tfrecs.models import Model


def export(
    model: Model,
    path: str | os.PathLike[str],
    *,
    k: int = 100,
    version: int | None = None,
) -> str:
    """Writes `<path>/<version>`, a SavedModel that TensorFlow Serving loads as it is.

    Its signature `serving_default` takes and gives raw ids, int64 or strings as the model's
    vocabulary has them:

    - input `history` `[batch, time]`: what each user interacted with, oldest first. Rows are padded
      with the manifest's `padding_id`: `""`, or -1 (or the next lower integer that is no item's).
      It may stand anywhere, left or right, and so may ids that the model does not know: both are
      skipped. Of what remains the model reads the most recent `max_history` items (none, if it
      knows users by their id alone). A row with nothing left gets what the model says of an empty
      history.
    - input `user_id` `[batch]`, for models with a vocabulary of users: who they are. An id that the
      model does not know is an unknown user.
    - outputs `item_id` `[batch, k]` and `score` `[batch, k]` float32, best first. No item of the
      whole given history is among them. Where fewer than k items are left, the rest is `padding_id`
      with the least float32 as its score; scores are never NaN nor infinite.

    The vocabulary is an asset file and weights are variables, so that the folder can be moved and
    needs neither tfrecs nor Keras. `assets.extra/tfrecs_manifest.json` holds k, `padding_id`, the
    versions, the sha256 of every file, and requests with the answers they must get. The export is
    compared with the model itself before it gets its name, and it gets that in one step: a server
    that watches `path` never sees half a version.

    Args:
        model: A trained model with a vocabulary that reads a history.
        path: Folder of all versions of this model, on a local file system.
        k: How many items an answer has; at most (and then clamped to) the number of items.
        version: Number of the version; by default one more than the newest in `path`.

    Returns:
        The path of the version's folder.

    Raises:
        FileExistsError: That version exists.
        ValueError: The model has no vocabulary, knows neither histories nor users, has weights that
            are not finite, or cannot be written as a graph that a stock server runs.

    Example:
        >>> import tempfile, tfrecs
        >>> items = tfrecs.data.Vocabulary(["milk", "bread", "eggs"])
        >>> model = tfrecs.models.SASRec(items, dim=8, max_length=5)
        >>> folder = tfrecs.serving.export(model, tempfile.mkdtemp(), k=2)
        >>> answer = tfrecs.serving.Recommender(folder).recommend(["milk"], k=2)
        >>> sorted(item for item, score in answer)
        ['bread', 'eggs']
    """
    items, users, max_history = _check(model, path, k)
    k = min(int(k), len(items))
    histories = _golden_histories(items, max_history)
    who = None if users is None else _golden_users(users, len(histories))
    expected = _best_scores(model, items, users, max_history, histories, who, k)
    with (
        tempfile.TemporaryDirectory() as scratch,
        new_version(Path(path), version) as (folder, final),
    ):
        for name, vocabulary in (("items", items), ("users", users)):
            if vocabulary is not None:
                vocabulary.save(Path(scratch) / f"{name}.txt")
        module = TopItems(model, items, users, max_history, k, Path(scratch))
        tf.saved_model.save(
            module,
            str(folder),
            signatures={"serving_default": module.recommend},
            options=tf.saved_model.SaveOptions(experimental_custom_gradients=False),
        )
        operations = check_graph(folder)
        golden = _golden(folder, items, histories, users, who)
        _compare(type(model).__name__, golden["outputs"]["score"], expected)
        write_manifest(
            folder,
            {
                "tfrecs": tfrecs.__version__,
                "tensorflow": tf.__version__,
                "model": type(model).__name__,
                "num_items": len(items),
                "max_history": max_history,
                "k": k,
                "id_dtype": "int64" if items.is_integer else "string",
                "padding_id": padding_id(items),
                "vocabulary": "assets/items.txt",
                **_about_users(users),
                "signatures": _signatures(module),
                "operations": operations,
                "golden": [golden],
            },
        )
    return str(final)


def _about_users(users: Vocabulary | None) -> dict[str, Any]:
    """What the manifest says of users, of models that know them."""
    if users is None:
        return {}
    return {
        "num_users": len(users),
        "user_id_dtype": "int64" if users.is_integer else "string",
        "user_padding_id": padding_id(users),
        "user_vocabulary": "assets/users.txt",
    }


def _check(
    model: Model, path: str | os.PathLike[str], k: int
) -> tuple[Vocabulary, Vocabulary | None, int]:
    """The model's vocabularies and max_history, if all is such that it can be exported."""
    if re.match(r"\w{2,}:/", os.fspath(path)):  # One letter is a Windows drive.
        raise ValueError(
            f"export writes to local file systems only, not to {path}: a version gets its name in "
            "one step there. Export to a local folder and copy it."
        )
    if not isinstance(k, Integral) or k < 1:
        raise ValueError(f"k must be a positive integer, not {k!r}.")
    if model.items is None:
        raise ValueError(
            "The model has no vocabulary, so an export could not give raw ids. Build it with the "
            f"vocabulary of its items ({type(model).__name__}(split.items, ...)), not their number."
        )
    users = getattr(model, "users", None)
    if model.max_history is None and users is None:
        raise ValueError(
            f"{type(model).__name__} reads no history (max_history is None) and has no vocabulary "
            "of users: there is nothing that a request could name."
        )
    # Others may hold what is missing, such as features.
    weights = [weight.name for weight in model.trainable_weights if not _is_finite(weight)]
    if weights:
        raise ValueError(
            f"{len(weights)} weights of the model hold NaN or infinity (such as {weights[0]}): its "
            "training has diverged. Export a checkpoint from before that."
        )
    return model.items, users, model.max_history or 0


def _is_finite(weight: tf.Variable) -> bool:
    return not weight.dtype.is_floating or bool(tf.reduce_all(tf.math.is_finite(weight)))


def _golden_histories(items: Vocabulary, max_history: int) -> list[list[Any]]:
    """Histories that together try what a request may be: short, spread, too long, empty."""
    ids = items.ids.tolist()
    spread = [ids[0], ids[len(ids) // 2], ids[-1]]
    long = [ids[i % len(ids)] for i in range(0, 7 * (max_history + 3), 7)]
    return [ids[:1], spread, long, []]


def _golden_users(users: Vocabulary, count: int) -> list[Any]:
    """Users for the requests, the last of them unknown."""
    ids = users.ids.tolist()
    return [ids[i * (len(ids) - 1) // count] for i in range(count - 1)] + [padding_id(users)]


def _best_scores(
    model: Model,
    items: Vocabulary,
    users: Vocabulary | None,
    max_history: int,
    histories: list[list[Any]],
    who: list[Any] | None,
    k: int,
) -> np.ndarray:
    """The k best scores of the model itself for items outside each history, in numpy."""
    lowest = np.finfo(np.float32).min
    encoded = [items.encode(np.array(history, object)) for history in histories]
    features = {}
    if max_history:
        padded = np.zeros((len(histories), max_history), np.int32)
        for row, ids in zip(padded, encoded, strict=True):
            recent = ids[-max_history:]
            row[len(row) - len(recent) :] = recent
        features["history"] = tf.constant(padded)
    if users is not None:
        features["user_id"] = tf.constant(users.encode(np.array(who, object)))
    scores = np.array(model.score(features), np.float32)
    scores[~np.isfinite(scores)] = lowest
    for row, ids in zip(scores, encoded, strict=True):
        row[ids - 1] = lowest
    return -np.sort(-scores, axis=1)[:, :k]


def _golden(
    folder: Path,
    items: Vocabulary,
    histories: list[list[Any]],
    users: Vocabulary | None,
    who: list[Any] | None,
) -> dict[str, Any]:
    """A request, padded left and right, and what the written SavedModel answers."""
    width = max(len(history) for history in histories)
    rows = []
    for i, history in enumerate(histories):
        padding = [padding_id(items)] * (width - len(history))
        rows.append(padding + history if i % 2 else history + padding)
    recommend = tf.saved_model.load(str(folder)).signatures["serving_default"]
    request = {"history": tf.constant(rows, tf.int64 if items.is_integer else tf.string)}
    inputs: dict[str, Any] = {"history": rows}
    if users is not None:
        inputs["user_id"] = who
        request["user_id"] = tf.constant(who, tf.int64 if users.is_integer else tf.string)
    answer = {name: value.numpy() for name, value in recommend(**request).items()}
    ids = answer["item_id"].tolist()
    if not items.is_integer:
        ids = [[raw.decode() for raw in row] for row in ids]
    return {
        "inputs": inputs,
        "outputs": {"item_id": ids, "score": answer["score"].tolist()},
    }


def _compare(name: str, scores: list[list[float]], expected: np.ndarray) -> None:
    """Raises if the SavedModel's scores are not the model's, but for rounding."""
    largest = np.abs(
        expected, where=expected > np.finfo(np.float32).min, out=np.zeros_like(expected)
    )
    if not np.allclose(scores, expected, rtol=1e-6, atol=0.01 * largest.max()):
        raise ValueError(
            f"The export does not answer as {name}.score does. A model whose score is more than "
            "the product of query_vectors and item_vectors must have is_product False."
        )


def _signatures(module: TopItems) -> dict[str, Any]:
    """Names, types and shapes of inputs and outputs; a shape's null is any size."""

    def specs(tensors: dict[str, Any]) -> dict[str, Any]:
        return {n: {"dtype": t.dtype.name, "shape": t.shape.as_list()} for n, t in tensors.items()}

    function = module.recommend.get_concrete_function()
    given = function.structured_input_signature[0]
    inputs = {spec.name: spec for spec in given if spec is not None}
    return {
        "serving_default": {
            "inputs": specs(inputs),
            "outputs": specs(function.structured_outputs),
        }
    }
