"""Writing a model as a SavedModel that serves."""

from __future__ import annotations

import os
import re
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import tfrecs
from tfrecs._gpu import tensor_float_32
from tfrecs._keras import tf
from tfrecs._paths import plain_path
from tfrecs.data import EvaluationSet, Histories
from tfrecs.models import Model
from tfrecs.serving.exports import golden
from tfrecs.serving.exports.checks import check_model, checked_settings
from tfrecs.serving.exports.served import Served
from tfrecs.serving.exports.signature import (
    VocabularyFiles,
)
from tfrecs.serving.exports.stored import METRIC, metric_of, stored
from tfrecs.serving.exports.warmup import write_warmup
from tfrecs.serving.folder.graph_check import check_graph
from tfrecs.serving.folder.manifest import write_manifest
from tfrecs.serving.folder.versions import new_version
from tfrecs.serving.index.item_table import ItemPrecision


def export(
    model: Model,
    path: str | os.PathLike[str],
    *,
    k: int = 100,
    num_exclusions: int = 10,
    index: Literal["exact", "scann"] = "exact",
    item_precision: ItemPrecision = "float32",
    measure_on: EvaluationSet | None = None,
    recommend_known: bool = False,
    known_items: Histories | None = None,
    version: int | None = None,
) -> str:
    """Writes `<path>/<version>`, a SavedModel that TensorFlow Serving loads unchanged.

    Its signatures take and give raw values: ids as int64 or strings, as the vocabularies have them.
    The signature `serving_default` recommends:

    - input `history` `[batch, time]`, for models that read one: what each user interacted with,
      oldest first. Rows are padded with the manifest's `padding_id`: `""`, or -1 (or the next lower
      integer that is no item's). Padding and ids that the model does not know may stand anywhere
      and are skipped. Of the rest the model reads the most recent `max_history` items; for a row
      without any it answers as for an empty history.
    - input `user_id` `[batch]`, for models with a vocabulary of users. An id that the model does
      not know is an unknown user.
    - inputs `history_<column>` `[batch, time]`, for models that read events, and
      `history_timestamp` for their times: a value for each place of `history`, which goes with its
      item. Times are seconds since 1970. Input `request_time` `[batch]`, for models that read it.
    - input `exclude` `[batch, num_exclusions]`: more items that are not to be recommended. The
      width is fixed, so that a server can put requests into one batch; unused places hold
      `padding_id`. Unknown and repeated ids count for nothing.
    - outputs `item_id` `[batch, k]` and `score` `[batch, k]` float32, best first, exactly as
      `tf.math.top_k` ranks all items. They leave out the items of `exclude` and, unless
      `recommend_known`, what the user has: the whole given history or, for models that read no
      history, the user's row in `known_items`. Where fewer than k items are left, the rest is
      `padding_id` with the least float32 as its score; scores are always finite.

    The signature `score` gives the scores of given items: inputs as above, without `exclude`, and
    `candidates` `[batch, c]`; output `score` `[batch, c]` float32, the least float32 where the
    model does not know the item.

    Models of vectors have two more signatures, whose output is `vector` `[batch, dim]` float32:

    - `query_vectors`: inputs `history` and `user_id`, as far as the model reads them, and the raw
      features of users where it reads some;
    - `item_vectors`: input `item_id` `[batch]` and the raw features of items. A missing feature
      falls back to the stored value for the id: known ids need nothing else, and new users and
      items get their vectors from the features that are given.

    For `DeepCross`, `score` takes rows: inputs `user_id` and `item_id` `[batch]` where it knows
    them and every column of its context, raw; output `score` `[batch]` float32, what the model
    predicts (the manifest says whether that is a probability); with several heads one output a
    head, by its name. It is `serving_default` too where the model cannot recommend.

    The graph checks ranks, widths and numbers of rows, and refuses a request that does not fit.

    The manifest describes each input: its column in the data, the kind of column, and what stands
    for a missing value. An input has the name of its column, with `_` where TensorFlow would not
    take the name (`class_`, `watch_time`).

    Vocabularies are asset files and weights are variables, so the folder can be moved and needs
    neither tfrecs nor Keras. `assets.extra/tfrecs_manifest.json` holds k, `padding_id`, the
    versions, the sha256 of every file, and requests with the answers they must get (see `verify`).
    `assets.extra/tf_serving_warmup_requests` holds requests to each signature, which a server
    answers before it lets others ask. The export is compared with the model before it gets its
    name, in one step: a server that watches `path` never sees half a version.

    Args:
        model: A trained model with a vocabulary that reads a history, or knows users; or a model of
            rows, `DeepCross`.
        path: Folder of all versions of this model, on a local file system.
        k: How many items an answer has; at most (and then clamped to) the number of items.
        num_exclusions: Width of the input `exclude`, 0 for none.
        index: How the best items are found: "exact", or "scann", approximately, by TFRS's `ScaNN`
            layer, for models of vectors and catalogues of millions. ScaNN's operations must then
            be in the server (no stock server has them), and scann must be installed in Python.
        item_precision: How the vectors of items are stored, in an export of a model of vectors:
            "float32"; "float16", half the size; or "int8", a quarter, with one scale a vector. The
            search is exact over what is stored, and histories are read from it too, except where
            features are added. A model with `code_length` is stored by its codes, and has no use
            for another precision.
        measure_on: Users, such as `split.validation`, on whom to measure what the precision costs:
            the manifest gives NDCG@10 with it and in float32, where that differs.
        recommend_known: Whether items that the user already has may be recommended. Give what the
            model was evaluated with (`Split.with_recommend_known`).
        known_items: The items of each user, `split.known_items()`, for models that know users and
            read no history: the export leaves them out of the answers. `known_items(test=True)` has
            the test's targets too, as a live system should; an export without them is needed to
            find the figures of a test again.
        version: Number of the version; by default one more than the newest in `path`.

    Returns:
        The path of the version's folder.

    Raises:
        FileExistsError: That version exists.
        ValueError: The model has no vocabulary, knows neither histories nor users, has weights that
            are not finite, or cannot be written as a graph that a stock server runs; an argument
            is out of its range; or known items are missing, or not those of its users and items.
        ImportError: `index` is "scann", and ScaNN is not installed or does not work.

    Example:
        >>> import tempfile, tfrecs
        >>> items = tfrecs.data.Vocabulary(["milk", "bread", "eggs"])
        >>> model = tfrecs.models.SASRec(items, dim=8, num_blocks=1, max_length=5)
        >>> folder = tfrecs.serving.export(model, tempfile.mkdtemp(), k=2)
        >>> answer = tfrecs.serving.Recommender(folder).recommend(["milk"], k=2)
        >>> sorted(item for item, score in answer)
        ['bread', 'eggs']
    """
    _check_path(path)
    check_model(model)
    settings = checked_settings(
        model, k, num_exclusions, index, item_precision, recommend_known, known_items
    )
    with (
        tempfile.TemporaryDirectory() as scratch,
        new_version(Path(path), version) as (folder, final),
        tensor_float_32(False),
        ExitStack() as stack,
    ):
        measured: dict[str, Any] = {}
        part = None if item_precision == "float32" else measure_on
        if part is not None:
            before = metric_of(model, part, recommend_known)
        as_stored, table = stack.enter_context(stored(model, item_precision))
        if part is not None:
            after = metric_of(as_stored, part, recommend_known)
            values = {"float32": before, item_precision: after}
            measured[METRIC] = {"part": part.name, **values}
        served = Served(model, as_stored, table, VocabularyFiles(Path(scratch)), settings)
        _save(served, folder, settings.index)
        manifest = {
            "tfrecs": tfrecs.__version__,
            "tensorflow": tf.__version__,
            "model": type(model).__name__,
            "compute_dtype": model.compute_dtype,
            **served.about(),
            **measured,
            "operations": check_graph(folder, "Scann" if index == "scann" else None),
        }
        manifest["golden"] = golden.answered(folder, served.goldens(), manifest)
        write_warmup(folder, final.parent.name, manifest["golden"], manifest["signatures"])
        write_manifest(folder, manifest)
    return str(final)


def _save(served: Served, folder: Path, index: str) -> None:
    """Writes the SavedModel."""
    with plain_path(folder) as plain:
        tf.saved_model.save(
            served.module,
            str(plain),
            signatures={name: s.function for name, s in served.signatures.items()},
            options=tf.saved_model.SaveOptions(
                experimental_custom_gradients=False,
                namespace_whitelist=["Scann"] if index == "scann" else None,
            ),
        )


def _check_path(path: str | os.PathLike[str]) -> None:
    """Refuses the address of a remote file system."""
    if re.match(r"\w{2,}:/", os.fspath(path)):  # One letter is a Windows drive.
        raise ValueError(
            f"export writes to local file systems only, not to {path}: a version gets its name in "
            "one step there. Export to a local folder and copy it."
        )
