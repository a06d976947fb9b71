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

VOCABULARY = "items.txt"


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
      skipped. Of what remains the model reads the most recent `max_history` items. A row with
      nothing left gets what the model says of an empty history.
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
        ValueError: The model has no vocabulary, reads no history, has weights that are not finite,
            or cannot be written as a graph that a stock server runs.

    Example:
        >>> import tempfile, tfrecs
        >>> items = tfrecs.data.Vocabulary(["milk", "bread", "eggs"])
        >>> model = tfrecs.models.SASRec(items, dim=8, max_length=5)
        >>> folder = tfrecs.serving.export(model, tempfile.mkdtemp(), k=2)
        >>> answer = tfrecs.serving.Recommender(folder).recommend(["milk"], k=2)
        >>> sorted(item for item, score in answer)
        ['bread', 'eggs']
    """
    items, max_history = _check(model, path, k)
    k = min(int(k), len(items))
    histories = _golden_histories(items, max_history)
    expected = _best_scores(model, items, max_history, histories, k)
    with (
        tempfile.TemporaryDirectory() as scratch,
        new_version(Path(path), version) as (folder, final),
    ):
        vocabulary_file = Path(scratch) / VOCABULARY
        items.save(vocabulary_file)
        module = TopItems(model, items, max_history, k, vocabulary_file)
        tf.saved_model.save(
            module,
            str(folder),
            signatures={"serving_default": module.recommend},
            options=tf.saved_model.SaveOptions(experimental_custom_gradients=False),
        )
        operations = check_graph(folder)
        golden = _golden(folder, items, histories)
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
                "vocabulary": f"assets/{VOCABULARY}",
                "signatures": _signatures(module),
                "operations": operations,
                "golden": [golden],
            },
        )
    return str(final)


def _check(model: Model, path: str | os.PathLike[str], k: int) -> tuple[Vocabulary, int]:
    """The model's vocabulary and max_history, if all is such that it can be exported."""
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
    if model.max_history is None:
        raise ValueError(
            f"{type(model).__name__} reads no history (max_history is None), and the exported "
            "signature recommends from a history."
        )
    weights = [weight.name for weight in model.weights if not _is_finite(weight)]
    if weights:
        raise ValueError(
            f"{len(weights)} weights of the model hold NaN or infinity (such as {weights[0]}): its "
            "training has diverged. Export a checkpoint from before that."
        )
    return model.items, model.max_history


def _is_finite(weight: tf.Variable) -> bool:
    return not weight.dtype.is_floating or bool(tf.reduce_all(tf.math.is_finite(weight)))


def _golden_histories(items: Vocabulary, max_history: int) -> list[list[Any]]:
    """Histories that together try what a request may be: short, spread, too long, empty."""
    ids = items.ids.tolist()
    spread = [ids[0], ids[len(ids) // 2], ids[-1]]
    long = [ids[i % len(ids)] for i in range(0, 7 * (max_history + 3), 7)]
    return [ids[:1], spread, long, []]


def _best_scores(
    model: Model, items: Vocabulary, max_history: int, histories: list[list[Any]], k: int
) -> np.ndarray:
    """The k best scores of the model itself for items outside each history, in numpy."""
    lowest = np.finfo(np.float32).min
    encoded = [items.encode(np.array(history, object)) for history in histories]
    features = np.zeros((len(histories), max_history), np.int32)
    for row, ids in zip(features, encoded, strict=True):
        recent = ids[-max_history:]
        row[len(row) - len(recent) :] = recent
    scores = np.array(model.score({"history": tf.constant(features)}), np.float32)
    scores[~np.isfinite(scores)] = lowest
    for row, ids in zip(scores, encoded, strict=True):
        row[ids - 1] = lowest
    return -np.sort(-scores, axis=1)[:, :k]


def _golden(folder: Path, items: Vocabulary, histories: list[list[Any]]) -> dict[str, Any]:
    """A request, padded left and right, and what the written SavedModel answers."""
    width = max(len(history) for history in histories)
    rows = []
    for i, history in enumerate(histories):
        padding = [padding_id(items)] * (width - len(history))
        rows.append(padding + history if i % 2 else history + padding)
    recommend = tf.saved_model.load(str(folder)).signatures["serving_default"]
    request = tf.constant(rows, tf.int64 if items.is_integer else tf.string)
    answer = {name: value.numpy() for name, value in recommend(history=request).items()}
    ids = answer["item_id"].tolist()
    if not items.is_integer:
        ids = [[raw.decode() for raw in row] for row in ids]
    return {
        "inputs": {"history": rows},
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
    history = function.structured_input_signature[0][0]
    return {
        "serving_default": {
            "inputs": specs({"history": history}),
            "outputs": specs(function.structured_outputs),
        }
    }
