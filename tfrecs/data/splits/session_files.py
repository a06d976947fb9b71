"""Published files of sessions: one session a line, and test lines with their target after a tab.

The form is what the preprocessing of SR-GNN gives. Shu Wu et al. 2019. Session-based recommendation
with graph neural networks. AAAI '19. https://arxiv.org/abs/1811.00855
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from tfrecs.data.log.histories import Histories, offsets_of
from tfrecs.data.log.vocabulary import Vocabulary
from tfrecs.data.readers.reading import readable
from tfrecs.data.readers.sniffing import first_lines, read_bytes, resolve, sniff
from tfrecs.data.splits.parts import Split
from tfrecs.data.splits.sessions import TEST, TRAIN, VALIDATION, split_of_sessions


def read_sessions(
    train: str | Path,
    test: str | Path,
    *,
    validation: float = 0.1,
    train_on_validation: bool = False,
) -> Split:
    r"""Reads published sessions, such as SR-GNN's of Diginetica and Tmall.

    All items of a training session but the first are targets (`Sequences`, with all windows). The
    published split has no validation part: the last training sessions are withheld for it, and the
    last item of each is its target. A test line is a session's items and, after a tab, the item
    that followed them. Repeated items are ranked like all others (`Split.with_recommend_known`):
    give `recommend_known=True` to `tfrecs.serving.export` too.

    A test line whose target stands in no training session is left out, and counted as
    "test_lines_of_unknown_targets". For the other counts see `sessions`.

    Args:
        train: File of lines `item item ...`, in time order, gzipped or not. A relative path is also
            looked for in TFRECS_DATA.
        test: File of lines `item item ...<TAB>target`.
        validation: Share of the training sessions, the last of the file, that validate.
        train_on_validation: Whether the validation sessions train too, as in the published training
            file, for a last run with settings chosen before. Validation then tells nothing.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a line has not the form of its file (the error names the line), a file is
            empty, or the files do not belong together.

    Example:
        >>> import pathlib, tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> _ = (folder / "train.txt").write_text("7 8 9\n8 7\n9 8 8\n7 9\n")
        >>> _ = (folder / "test.txt").write_text("7 8\t7\n")
        >>> split = read_sessions(folder / "train.txt", folder / "test.txt", validation=0.25)
        >>> split.items.decode(split.test.history[0]), split.items.decode(split.test.targets[0])
        (array([7, 8]), array([7]))
        >>> split.train, split.validation.recommend_known
        (TrainSet(3 users, 8 interactions, 3 items), True)
    """
    if not 0 < validation < 1:
        raise ValueError(
            f"read_sessions: validation is a share of the training sessions, not {validation}."
        )
    train, test = resolve(train), resolve(test)
    words, lengths = _read(train, has_target=False)
    test_words, test_lengths = _read(test, has_target=True)
    withheld = int(len(lengths) * validation + 0.5)
    if not 0 < withheld < len(lengths):
        raise ValueError(
            f"{train}: {withheld} of {len(lengths)} sessions would validate. Training and "
            "validation need at least one each: choose another validation share."
        )
    items = Vocabulary.from_values(words)
    sizes = (len(lengths) - withheld, withheld, len(test_lengths))
    part = np.repeat([TRAIN, VALIDATION, TEST], sizes)
    ids = items.encode(np.concatenate([words, test_words]))
    rows = Histories(ids, offsets_of(np.concatenate([lengths, test_lengths])))
    unknown = rows.values[rows.offsets[1:] - 1] == items.oov_id
    return split_of_sessions(
        rows.take(~unknown),
        part[~unknown],
        items=items,
        users=Vocabulary(np.arange(1, len(rows) + 1)),
        user_ids=np.flatnonzero(~unknown) + 1,
        every=False,
        name=train.parent.name,
        protocol=f"published sessions, the last {validation:g} of training for validation",
        train_on_validation=train_on_validation,
        counts={"test_lines_of_unknown_targets": int(unknown.sum())},
    )


def session_files(folder: str | Path) -> tuple[Path, Path] | None:
    """Returns the training and the test file of a folder; None where it is no such folder.

    Args:
        folder: A path. A relative one is also looked for in TFRECS_DATA.

    Raises:
        FileNotFoundError: If files have the word `train` or `test` in their names, but not one
            file each.

    Example:
        >>> import pathlib, tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> session_files(folder) is None
        True
        >>> for name in ("train.txt.gz", "test.txt.gz"):
        ...     (folder / name).touch()
        >>> [path.name for path in session_files(folder)]
        ['train.txt.gz', 'test.txt.gz']
    """
    try:
        path = resolve(folder)
    except FileNotFoundError:
        return None
    if not path.is_dir():
        return None
    found: dict[str, list[Path]] = {"train": [], "test": []}
    for file in sorted(path.iterdir()):
        # As a word: "latest.parquet" is no test.
        for word in re.findall(r"[a-z]+", file.name.lower() if file.is_file() else ""):
            if word in found:
                found[word].append(file)
    if not any(found.values()):
        return None
    for what, files in found.items():
        if len(files) != 1:
            raise FileNotFoundError(
                f"{path} holds {len(files)} files with the word {what!r} in their names, not one."
            )
    return found["train"][0], found["test"][0]


def is_table(
    path: Path, user: str = "user_id", item: str = "item_id", has_columns: bool = False
) -> bool:
    r"""Returns whether a file is a table, not lines of items; see `sniff`.

    Args:
        path: An existing file.
        user: Name of the user column.
        item: Name of the item column.
        has_columns: Whether names of the columns were given.

    Example:
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp(), "train.txt")
        >>> _ = path.write_text("7 8 9\n8 7\n")
        >>> is_table(path)
        False
    """
    try:
        return sniff(path, user, item, has_columns) not in ("pairs", "sequences")
    except ValueError:  # Of no known format: `read_sessions` says what is wrong with the line.
        return False


def _read(path: Path, has_target: bool) -> tuple[np.ndarray, np.ndarray]:
    """Returns the words of a file, an object array, and their number on each line with any.

    The target of a test line is the last word of its line.
    """
    with readable(path):
        first_lines(path, 1)  # Refuses what is no text.
        text = read_bytes(path).decode("utf-8-sig")
    form = "`item item ...<TAB>target`" if has_target else "`item item ...`, without a tab"
    words: list[str] = []
    lengths = []
    for number, line in enumerate(text.split("\n"), 1):
        items, *others = line.strip(" \r").split("\t")
        fields = [items.split(), *(other.split() for other in others)]
        if not any(fields):
            continue
        fits = not others
        if has_target:
            fits = len(others) == 1 and bool(fields[0]) and len(fields[1]) == 1
        if not fits:
            raise ValueError(
                f"{path}, line {number}: {line[:80]!r}. A line of the "
                f"{'test' if has_target else 'training'} file is {form}: are the two files "
                "interchanged, or a table?"
            )
        found = [word for field in fields for word in field]
        words += found
        lengths.append(len(found))
    if not lengths:
        raise ValueError(f"{path}: the file is empty.")
    if max(lengths) < 2:
        raise ValueError(
            f"{path}: no line has two items, parted by spaces. A line is a session, {form}."
        )
    return np.array(words, object), np.array(lengths)
