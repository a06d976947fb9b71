"""From the name of a data set to a split, as a run's config.yaml says it."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from tfrecs import data as data_room
from tfrecs.data import Interactions, Rows, RowSplit, Split
from tfrecs.data.splits.session_files import is_table, session_files

SplitName = Literal[
    "leave_last_out",
    "global_time",
    "random_ratio",
    "users_held_out",
    "sessions",
    "click_through",
    "read_ncf",
]
# The "rule" that reads data which are a split already.
READ = "read_ncf"
# The rule that splits a log of sessions, or reads a folder of published ones.
SESSIONS = "sessions"
# The beginning of the fingerprint of data whose events count.
EVENTS = "events "


@dataclasses.dataclass(frozen=True)
class RunData:
    """The data of a run.

    Attributes:
        name: The name of the data in reports.
        parts: The split.
        num_interactions: How many interactions the data hold.
        dropped: Rows that were dropped as they were read, by reason.
        description: The data in words.
    """

    name: str
    parts: Split | RowSplit
    num_interactions: int
    dropped: dict[str, int]
    description: str


class DataError(ValueError):
    """A log that cannot be read as asked; the message names arguments of `tfrecs.data.read`."""


def load_source(
    data: str | os.PathLike[str],
    data_args: Mapping[str, Any] | None = None,
    k_core: int | None = None,
    split: SplitName = "leave_last_out",
    split_args: Mapping[str, Any] | None = None,
    *,
    recommend_known: bool | None = None,
) -> RunData:
    """Reads data and splits them.

    Args:
        data: The name of a data set, or a path.
        data_args: Arguments of `tfrecs.data.read`.
        k_core: Drops users and items with fewer interactions than this, until none is left.
        split: A function of `tfrecs.data` that splits a log; or "read_ncf", which reads a published
            split from a folder. "sessions" does both: a folder with a file each with `train` and
            `test` in its name is a published split, of tables or of lines (`read_sessions`).
        split_args: Its arguments.
        recommend_known: Whether known items may be recommended; see `Split.with_recommend_known`.
            None as the split says: only sessions recommend them.

    Raises:
        OSError: If there is neither such a file nor such a data set.
        ValueError: If the file does not hold what it should, or an argument is wrong.

    Example:
        ```python
        source = load_source("ml-100k", split="random_ratio", split_args={"test": 0.2})
        ```
    """
    if split == READ:
        found = _read_ncf(data, data_args, k_core, split_args)
    elif split == SESSIONS and (files := session_files(os.fspath(data))) is not None:
        found = _read_sessions(*files, data_args, k_core, split_args)
    else:
        log = load_log(data, data_args, k_core)
        made = make_split(log, split, split_args)
        found = RunData(log.name, made, len(log), log.dropped, str(log))
    if recommend_known is None or isinstance(found.parts, RowSplit):
        return found
    parts = found.parts.with_recommend_known(recommend_known)
    return dataclasses.replace(found, parts=parts)


def _read_ncf(
    data: str | os.PathLike[str],
    data_args: Mapping[str, Any] | None,
    k_core: int | None,
    split_args: Mapping[str, Any] | None,
) -> RunData:
    """Reads the folder of "Neural collaborative filtering"."""
    if data_args or k_core is not None:
        raise ValueError("read_ncf reads a split as it was published: no data_args, no k_core.")
    parts = _called(data_room.read_ncf, split_args, folder=os.fspath(data))
    rows: list[Any] = [parts.train.histories, parts.test.targets]
    if not (split_args or {}).get("train_on_validation"):
        rows.append(parts.validation.targets)
    count = sum(len(part.values) for part in rows)
    name = parts.test.name.removesuffix(" test")
    text = f"{name}: {count} interactions of {len(parts.users)} users with {len(parts.items)}"
    return RunData(name, parts, count, {}, f"{text} items")


def _read_sessions(
    train: Path,
    test: Path,
    data_args: Mapping[str, Any] | None,
    k_core: int | None,
    split_args: Mapping[str, Any] | None,
) -> RunData:
    """Reads published sessions: two files of lines, or two tables with the same columns."""
    name = train.parent.name
    if k_core is not None:
        raise ValueError(f"{train.parent} is a split as it was published: no k_core.")
    options = data_args or {}
    user, item = (options.get(what, f"{what}_id") for what in ("user", "item"))
    if "format" not in options and not is_table(train, user, item, "columns" in options):
        if options:
            raise DataError(
                f"{train} is no table with the columns {user!r} and {item!r}, and lines of items "
                "take no data_args."
            )
        parts = _called(data_room.read_sessions, split_args, train=train, test=test)
        count = len(parts.train.histories.values) + len(parts.test.targets.values)
        if not (split_args or {}).get("train_on_validation"):
            rows = parts.validation.history, parts.validation.targets
            count += sum(len(part.values) for part in rows)
        text = f"{name}: {count} events of {len(parts.train)} training sessions, {len(parts.test)} "
        return RunData(name, parts, count, {}, f"{text}test lines, {len(parts.items)} items")
    logs = [load_log(train, {"name": name, **options}), load_log(test, options)]
    parts = _called(data_room.sessions, split_args, log=logs[0], test=logs[1])
    dropped = {rule: count + logs[1].dropped[rule] for rule, count in logs[0].dropped.items()}
    return RunData(name, parts, sum(map(len, logs)), dropped, f"{logs[0]}\n{logs[1]}")


def load_log(
    data: str | os.PathLike[str],
    options: Mapping[str, Any] | None = None,
    k_core: int | None = None,
) -> Interactions:
    """Reads a log and filters it; takes and raises what `load_source` does.

    Example:
        ```python
        log = load_log("clicks.csv", {"user": "visitor", "item": "sku"}, k_core=5)
        ```
    """
    _check(options, "data_args", data_room.read, "path")
    try:
        log = data_room.load(os.fspath(data), **(options or {}))
    except ValueError as error:
        raise DataError(str(error)) from error
    except TypeError as error:  # An argument of another kind, such as a number for a name.
        raise DataError(f"data_args {dict(options or {})}: {error}") from error
    return log if k_core is None else log.filter_k_core(k_core)


def make_split(
    log: Interactions, split: SplitName = "leave_last_out", options: Mapping[str, Any] | None = None
) -> Split | RowSplit:
    """Splits a log by the named rule, a function of `tfrecs.data`, and its arguments.

    Raises:
        ValueError: If there is no such rule, it takes no such argument, or it cannot split the log.

    Example:
        ```python
        split = make_split(log, "random_ratio", {"test": 0.2})
        ```
    """
    rules = [name for name in get_args(SplitName) if name != READ]
    if split not in rules:
        raise ValueError(f"There is no split {split!r} of a log, only {', '.join(rules)}.")
    return _called(getattr(data_room, split), options, log=log)


def _called(rule: Callable[..., Any], options: Mapping[str, Any] | None, **given: Any) -> Any:
    """Calls the function of a split with its `split_args`, which must be arguments that it has."""
    _check(options, "split_args", rule, *given)
    try:
        return rule(**given, **(options or {}))
    except TypeError as error:  # An argument of another kind, such as a text for a share.
        raise DataError(f"split_args {dict(options or {})}: {error}") from error


def fingerprint(parts: Split | RowSplit, *, events: bool = False) -> str:
    """Returns a sha256 of a split's ids, histories, targets and rows.

    Args:
        parts: The split.
        events: Whether its events count too, which the text then says at its beginning.
    """
    digest = hashlib.sha256(f"{parts.items.fingerprint()} {parts.users.fingerprint()}".encode())
    for part in (parts.train, parts.validation, parts.test):
        arrays = dict(part.columns) if isinstance(part, Rows) else {"users": part.user_ids}
        for name in ("histories", "history", "targets"):
            if (rows := getattr(part, name, None)) is not None:
                arrays |= {f"{name} values": rows.values, f"{name} lengths": rows.lengths}
        for name in ("weights", "disliked"):
            if (values := getattr(part, name, None)) is not None:
                arrays[name] = values
        for name, array in arrays.items():
            digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
            digest.update(np.ascontiguousarray(array).data)
    if not events:
        return digest.hexdigest()
    assert isinstance(parts, Split)
    assert parts.events is not None
    digest.update(pd.util.hash_pandas_object(parts.events.frame, index=False).to_numpy().data)
    return EVENTS + digest.hexdigest()


def _check(
    options: Mapping[str, Any] | None, name: str, function: Callable[..., Any], *given: str
) -> None:
    """Refuses arguments that a function does not have."""
    known = [name for name in inspect.signature(function).parameters if name not in given]
    for option in options or {}:
        if option not in known:
            raise ValueError(
                f"{name} has no {option!r}: tfrecs.data.{function.__name__} takes "
                f"{', '.join(known) or 'no arguments'}."
            )


def left_out(parts: Split | RowSplit) -> list[str]:
    """Returns lines that name the features which the model asked for and did not get."""
    lines = []
    for whose, ids in (("user", parts.users), ("item", parts.items)):
        # A `Split` encodes its features when a model asks for them, and keeps them then.
        table = vars(parts).get(f"{whose}_features")
        if table is not None and table.schema.left_out:
            columns = ", ".join(f"{name} ({why})" for name, why in table.schema.left_out.items())
            lines.append(f"{whose} features that are left out: {columns}")
        if table is not None and table.without_row:
            lines.append(f"{table.without_row:,} of {len(ids):,} {whose}s have no row of features")
    return lines
