"""`read`: a log from a file of any format, with the numbers and lists that its texts hold."""

from __future__ import annotations

import contextlib
import gzip
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pyarrow as pa

from tfrecs.data.log.interactions import Duplicates, Interactions
from tfrecs.data.readers.formats import (
    read_atomic,
    read_attributes,
    read_pairs,
    read_recbole,
    read_sequences,
)
from tfrecs.data.readers.sniffing import FORMATS, Format, find_delimiter, resolve, sniff
from tfrecs.data.readers.tables import infer_types, read_parquet, read_text_table, to_frame

_QUOTED = r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'"
_ITEM = re.compile(rf"\s*({_QUOTED}|[^,\[\]\"']*)\s*")
_ITEM_WITHOUT_COMMA = re.compile(rf"({_QUOTED}|[^\s,\[\]\"']+)\s*")
_NOTHING = frozenset(("", "None", "nan", "NaN", "null"))


def read(
    path: str | Path,
    *,
    format: Format | None = None,
    user: str = "user_id",
    item: str = "item_id",
    timestamp: str | None = "timestamp",
    weight: str | None = "weight",
    time_format: str | None = None,
    columns: Sequence[str] | None = None,
    delimiter: str | None = None,
    decimal: Literal[".", ","] | None = None,
    multiline: bool = False,
    where: str | None = None,
    dislike: str | None = None,
    duplicates: Duplicates = "drop",
    user_features: str | Path | None = None,
    item_features: str | Path | None = None,
    name: str | None = None,
) -> Interactions:
    r"""Reads a log of interactions from a file, gzipped or not.

    Formats:

    - "csv", "tsv": text with a header, or without one and `columns` given. Other columns than
      user, item and time become features: int64 or float64 if every value reads as one;
    - "parquet": a file or a folder of files;
    - "recbole": an `.inter` file with typed headers (`user_id:token`), joined by the `.user` and
      `.item` files beside it as user and item features;
    - "pairs": lines of `user item`, a user's lines in time order;
    - "sequences": one user a line, `user item item ...` in time order.

    Args:
        path: The file. A relative path is also looked for in the folder that the environment
            variable TFRECS_DATA names.
        format: One of the above; None finds it by name and first lines, see
            `tfrecs.data.readers.sniff`.
        user: Name of the user column.
        item: Name of the item column.
        timestamp: Name of the time column, see `Interactions`.
        weight: Name of the column of weights in the loss, see `Interactions`.
        time_format: Form of the times, as `datetime.strptime` has it, such as "%d/%m/%Y %H:%M";
            needed if day and month could be either way round.
        columns: Names of the columns of a "csv" or "tsv" file without a header.
        delimiter: Separator of the fields of a text file, such as ";" or "::"; None finds it by the
            header.
        decimal: Decimal mark; None is ".", and "," if commas do not separate the fields and a
            column cannot be read otherwise.
        multiline: Whether a quoted field may hold line breaks.
        where: Condition on the rows to keep, such as "quantity > 0 and rating >= 4"; see
            `tfrecs.data.log.where.rows_where`.
        dislike: Condition on the rows that tell a dislike, likewise; see `Interactions`.
        duplicates: Treatment of repeated rows, see `Interactions`.
        user_features: A file with a row for each user, with the column `user`: a table, or JSON
            with lists of attributes by id, `{"7": [3, 12], ...}`.
        item_features: A file with a row for each item, with the column `item`, likewise.
        name: Name of the log in reports; the file's name if None.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a row does not fit or a quote is not closed, with the number of the line; if
            a column is missing, times are unreadable, the log is empty, or an archive ends too
            early.

    Example:
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp(), "log.csv")
        >>> _ = path.write_text("who,what,timestamp\nann,tea,1\nbob,tea,2\n")
        >>> read(path, user="who", item="what")
        Interactions(log.csv: 2 rows, 2 users, 1 items, in time order, nothing dropped)
    """
    if isinstance(path, pd.DataFrame):
        raise TypeError(
            "read takes the path of a file: tfrecs.data.Interactions(frame, user=..., item=...) "
            "makes a log of a DataFrame."
        )
    path = resolve(path)
    with readable(path):
        frame, users, items = _frames(
            path, format, user, item, columns, delimiter, decimal, multiline
        )
    if user_features is not None:
        users = _features(user_features, user, "user_features", delimiter, decimal, multiline)
    if item_features is not None:
        items = _features(item_features, item, "item_features", delimiter, decimal, multiline)
    return Interactions(
        frame,
        user=user,
        item=item,
        timestamp=timestamp,
        weight=weight,
        time_format=time_format,
        where=where,
        dislike=dislike,
        duplicates=duplicates,
        user_features=users,
        item_features=items,
        name=name or path.name,
    )


def _frames(
    path: Path,
    format: Format | None,
    user: str,
    item: str,
    columns: Sequence[str] | None,
    delimiter: str | None,
    decimal: str | None,
    multiline: bool,
) -> tuple[pd.DataFrame, pd.DataFrame | None, pd.DataFrame | None]:
    """Reads the rows of a log, and the features of users and items that lie beside it."""
    if format is None:
        format = sniff(path, user, item, columns is not None)
    if format not in FORMATS:
        raise ValueError(f"format is one of {', '.join(FORMATS)}, not {format!r}.")
    if columns is not None and format not in ("csv", "tsv"):
        raise ValueError(f"{path}: columns= is for csv and tsv files, this is {format}.")
    if format in ("csv", "tsv"):
        between = delimiter or ("\t" if format == "tsv" else ",")
        if delimiter is None and columns is None:
            between = find_delimiter(path, user, item) or between
        table = read_text_table(path, between, columns, ids=(user, item), multiline=multiline)
        if columns is None and user not in table.column_names and item not in table.column_names:
            raise ValueError(
                f"{path}: neither {user!r} nor {item!r} is among the columns "
                f"{', '.join(map(repr, table.column_names))}, parted by {between!r}. Say which to "
                "use with user= and item=, or another delimiter=; if the first line is no header, "
                "name the columns with columns=."
            )
        return _typed(table, decimal, between), None, None
    if format == "parquet":
        return read_parquet(path, ids=(user, item)), None, None
    if format == "recbole":
        return read_recbole(path, user, item)
    if format == "pairs":
        return read_pairs(path, user, item, delimiter), None, None
    return read_sequences(path, user, item), None, None


def _features(
    path: str | Path,
    key: str,
    what: str,
    delimiter: str | None,
    decimal: str | None,
    multiline: bool,
) -> pd.DataFrame:
    """Reads a table of features beside a log."""
    path = resolve(path)
    with readable(path):
        suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
        if path.is_dir() or suffix in (".parquet", ".pq"):
            frame = read_parquet(path, ids=(key,))
        elif suffix in (".user", ".item"):
            frame = read_atomic(path, ids=(key,))
        elif suffix == ".json":
            frame = read_attributes(path, key)
        else:
            between = find_delimiter(path, key, key) or delimiter or ","
            table = read_text_table(path, between, ids=(key,), multiline=multiline)
            frame = _typed(table, decimal, between)
    if key not in frame.columns:
        raise ValueError(
            f"{path} has no column {key!r}, which {what}= are joined by, only "
            f"{', '.join(map(repr, frame.columns))}."
        )
    return frame


def _typed(table: pa.Table, decimal: str | None, delimiter: str) -> pd.DataFrame:
    """Returns the frame of a table of strings, with its numbers and lists read.

    A column of texts such as "[1, 2]" and "['a', 'b']" becomes lists if every value reads as one;
    lists of lists stay texts.
    """
    guess = decimal is None and delimiter != ","
    frame = to_frame(infer_types(table, decimal or ".", guess))
    for name in frame.columns:
        column = frame[name]
        if not isinstance(column.dtype, pd.StringDtype) and column.dtype != object:
            continue
        present = column.dropna()
        if not len(present) or not str(present.iloc[0]).startswith("["):
            continue
        lists = {text: parse_list(text) for text in pd.unique(present)}
        if None in lists.values():
            continue
        values = [lists[x] if isinstance(x, str) else None for x in column.astype(object)]
        frame[name] = pd.Series(values, index=frame.index, dtype=object)
    return frame


def parse_list(text: Any) -> list[Any] | None:
    """Returns the values of a list as pandas, numpy or JSON write it, or None if it is no list.

    Example:
        >>> parse_list("[1, 2.5, None]"), parse_list("['a, b' 'c']"), parse_list("[[1]]")
        ([1, 2.5, None], ['a, b', 'c'], None)
    """
    if not isinstance(text, str):
        return None
    text = text.strip()
    if not (text.startswith("[") and text.endswith("]")):
        return None
    inside = text[1:-1].strip()
    if not inside:
        return []
    has_commas = "," in re.sub(_QUOTED, "", inside)
    pattern = _ITEM if has_commas else _ITEM_WITHOUT_COMMA
    values, place = [], 0
    while place < len(inside):
        found = pattern.match(inside, place)
        if found is None or found.end() == place:
            return None
        values.append(_value(found[1].strip()))
        place = found.end()
        if has_commas and place < len(inside):
            if inside[place] != ",":
                return None
            place += 1
    words = any(isinstance(value, str) for value in values)
    if words and not has_commas and not inside.startswith(('"', "'")):
        return [inside]  # One value of several words.
    return values


def _value(token: str) -> Any:
    if token[:1] in ('"', "'"):
        return re.sub(r"\\(.)", r"\1", token[1:-1])
    if token in _NOTHING:
        return None
    for number in (int, float):
        with contextlib.suppress(ValueError):
            return number(token)
    return token


@contextlib.contextmanager
def readable(path: Path) -> Iterator[None]:
    """Names the file in errors about its bytes."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(
            f"{path}: the archive ends too early, or is damaged ({error}). Get the file again."
        ) from error
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not UTF-8 text (byte {error.start}: {error.reason}). Convert it, such as "
            "by iconv -f latin1 -t utf-8, if it is a text at all."
        ) from error
