"""`read`: a log from a file of any format."""

from __future__ import annotations

import contextlib
import gzip
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import pandas as pd
import pyarrow as pa

from tfrecs.data.log.interactions import Duplicates, Interactions
from tfrecs.data.readers.lines import read_pairs, read_sequences
from tfrecs.data.readers.lists import with_lists
from tfrecs.data.readers.recbole import read_atomic, read_recbole
from tfrecs.data.readers.sniffing import FORMATS, Format, find_delimiter, resolve, sniff
from tfrecs.data.readers.tables import infer_types, read_parquet, read_text_table, to_frame


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
    duplicates: Duplicates = "drop",
    user_features: str | Path | None = None,
    item_features: str | Path | None = None,
    name: str | None = None,
) -> Interactions:
    r"""Reads a log of interactions from a file, gzipped or not.

    Formats:

    - "csv", "tsv": text with a header, or without one and `columns` given. Columns other than
      user, item and time become features: int64 or float64 where every value reads as one;
    - "parquet": a file or a folder of files;
    - "recbole": an `.inter` file with typed headers (`user_id:token`), joined by the `.user` and
      `.item` files beside it as user and item features;
    - "pairs": lines of `user item`, a user's lines in time order;
    - "sequences": one user a line, `user item item ...` in time order.

    Args:
        path: the file; a relative path that is not there is looked for in the folder that the
            environment variable TFRECS_DATA names.
        format: one of the above, or None: found by name and first lines, see
            `tfrecs.data.readers.sniff`.
        user: name of the user column.
        item: name of the item column.
        timestamp: name of the time column, see `Interactions`.
        weight: name of the column of weights in the loss, see `Interactions`.
        time_format: the form of its texts, as `datetime.strptime` has it, such as
            "%d/%m/%Y %H:%M"; needed where day and month could be either way round.
        columns: names of the columns of a "csv" or "tsv" file without a header.
        delimiter: what parts the fields of a text file, such as ";" or "::"; None finds it by the
            header.
        decimal: what stands before the fraction of a number; None is ".", and "," where fields are
            not parted by commas and a column cannot be read otherwise.
        multiline: whether a quoted field may hold line breaks.
        where: keeps the rows that a condition fits, such as "quantity > 0 and rating >= 4"; see
            `tfrecs.data.log.where.rows_where`.
        duplicates: what to do with repeated rows, see `Interactions`.
        user_features: a file with a row for each user, with the column `user`.
        item_features: a file with a row for each item, with the column `item`.
        name: what to call the log in reports; the file's name if None.

    Returns:
        The checked log.

    Raises:
        FileNotFoundError: for a file that is not there.
        ValueError: for a row that does not fit, or a quote that is not closed, with the number of
            the line; for missing columns, times that cannot be read, and an empty log; for an
            archive that ends too early.

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
    with _readable(path):
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
    """The rows of a log, and the features of users and of items where they lie beside it."""
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
    """A table of features beside a log."""
    path = resolve(path)
    with _readable(path):
        suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
        if path.is_dir() or suffix in (".parquet", ".pq"):
            frame = read_parquet(path, ids=(key,))
        elif suffix in (".user", ".item"):
            frame = read_atomic(path, ids=(key,))
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
    """The frame of a table of strings, its numbers and lists read."""
    guess = decimal is None and delimiter != ","
    return with_lists(to_frame(infer_types(table, decimal or ".", guess)))


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Says of what is wrong with a file's bytes which file it is."""
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
