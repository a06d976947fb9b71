"""The files of He et al. 2017: training pairs, test items, and 99 negatives for each.

Xiangnan He et al. 2017. Neural Collaborative Filtering. WWW '17. https://arxiv.org/abs/1708.05031
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfrecs.data.log.histories import Histories, offsets_of
from tfrecs.data.log.vocabulary import Vocabulary
from tfrecs.data.readers.sniffing import open_bytes, resolve
from tfrecs.data.readers.tables import read_text_table
from tfrecs.data.splits.parts import EvaluationSet, Split, TrainSet


def read_ncf(folder: str | Path, *, train_on_validation: bool = False, seed: int = 0) -> Split:
    """Reads the split of He et al. 2017, in which each target is ranked among 99 negatives.

    The published split has no validation part. As in the paper, one random training item of each
    user is withheld for it, with 99 candidates drawn uniformly from items that are new to the user.

    Args:
        folder: Folder of a file each with `train`, `test.rating` and `test.negative` in its name,
            gzipped or not. A relative path is also looked for in TFRECS_DATA.
        train_on_validation: Whether the validation items train too, as in the published training
            file, for a last run with settings chosen before. Validation then tells nothing.
        seed: Seed of the validation items and their candidates.

    Returns:
        A `Split` with candidates. Its counts: "users", "negatives_equal_to_target" (dropped: 156
        in the published ML-1M) and "users_without_validation_target".

    Raises:
        FileNotFoundError: If the folder or a file is missing.
        ValueError: If the test files do not belong together.
    """
    folder = resolve(folder)
    train = _integers(_table(folder, "*train*"), (0, 1))
    test_user, test_item = _integers(_table(folder, "*test.rating*"), (0, 1)).T
    table = _table(folder, "*test.negative*")
    negatives = _integers(table, range(1, table.num_columns))
    test_pairs = [f"({user},{item})" for user, item in zip(test_user, test_item, strict=True)]
    if table.column(0).to_pylist() != test_pairs:
        raise ValueError(f"{folder}: the test and the negatives name other users or items.")
    if len(np.unique(test_user)) != len(test_user):
        raise ValueError(f"{folder}: a user stands twice in the test.")

    users = Vocabulary.from_values(np.concatenate([train[:, 0], test_user]))
    items = Vocabulary.from_values(np.concatenate([train[:, 1], test_item, negatives.ravel()]))
    order = np.argsort(train[:, 0], kind="stable")
    user = users.encode(train[order, 0]) - 1
    lengths = np.bincount(user, minlength=len(users))
    met = Histories(items.encode(train[order, 1]), offsets_of(lengths))
    withheld = np.zeros(len(user), bool)
    # A user with one training item keeps it: there would be nothing to learn from.
    offered = np.flatnonzero(lengths > 1)
    place = np.random.default_rng(seed).integers(0, lengths[offered])
    withheld[met.offsets[offered] + place] = True

    kept = met if train_on_validation else met.keep(~withheld)
    trained = np.flatnonzero(kept.lengths)
    train_set = TrainSet(kept.take(trained), trained + 1, len(items))
    protocol = f"1 + {negatives.shape[1]} candidates (He et al. 2017)"
    if train_on_validation:
        protocol += ", trained on validation items"

    row = users.encode(test_user) - 1
    candidates = items.encode(negatives)
    target = items.encode(test_item)
    same = candidates == target[:, None]
    candidates[same] = 0
    validation = EvaluationSet(
        user_ids=offered + 1,
        history=met.keep(~withheld).take(offered),
        targets=met.keep(withheld).take(offered),
        item_counts=train_set.item_counts,
        items=items,
        users=users,
        name=f"{folder.name} validation",
        protocol=protocol,
    )
    test = dataclasses.replace(
        validation,
        user_ids=row + 1,
        history=met.take(row),
        targets=Histories(target, np.arange(len(target) + 1)),
        name=f"{folder.name} test",
        candidates=candidates,
    )
    return Split(
        train=train_set,
        validation=validation.sample_candidates(negatives.shape[1], seed),
        test=test,
        users=users,
        items=items,
        protocol=protocol,
        counts={
            "users": len(users),
            "users_without_validation_target": len(users) - len(offered),
            "negatives_equal_to_target": int(same.sum()),
        },
    )


def _table(folder: Path, pattern: str) -> pa.Table:
    """Reads the folder's one file of a pattern, tab separated, as strings."""
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise FileNotFoundError(f"{folder} holds {len(found)} files named {pattern}, not one.")
    with open_bytes(found[0]) as file:
        width = file.readline().count(b"\t") + 1
    return read_text_table(found[0], "\t", [str(i) for i in range(width)], quoted=False)


def _integers(table: pa.Table, columns: Iterable[int]) -> np.ndarray:
    """Returns columns of a table, `[rows, columns]` int64."""
    return np.stack([pc.cast(table.column(i), pa.int64()).to_numpy() for i in columns], axis=1)
