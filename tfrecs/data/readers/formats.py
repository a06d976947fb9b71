"""Formats other than tables: plain lines without a header, and RecBole's atomic files."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from tfrecs.data.readers.sniffing import open_bytes
from tfrecs.data.readers.tables import as_numbers, read_text_table, to_frame

_TYPES = ("token", "token_seq", "float", "float_seq")


def read_pairs(path: Path, user: str, item: str, delimiter: str | None = None) -> pd.DataFrame:
    """Reads lines of `user item`, separated by a space or a tab, each user's in time order."""
    if delimiter is None:
        with open_bytes(path) as file:
            delimiter = "\t" if b"\t" in file.readline() else " "
    columns = [user, item]
    return to_frame(read_text_table(path, delimiter, columns, ids=columns, quoted=False))


def read_sequences(path: Path, user: str, item: str) -> pd.DataFrame:
    """Reads one user a line, `user item item ...` in time order, separated by white space."""
    with open_bytes(path) as file:
        text = file.read().decode("utf-8-sig")
    lines = pa.array(text.split("\n"), pa.large_string())
    fields = pc.utf8_split_whitespace(pc.utf8_trim_whitespace(lines))
    widths = fields.value_lengths().to_numpy()
    words = fields.flatten()
    # An empty line splits into one empty field.
    starts = np.cumsum(widths) - widths
    blank = np.array(pc.equal(words.take(pa.array(starts)), "").to_numpy(zero_copy_only=False))
    short = (widths < 2) & ~blank
    if short.any():
        line = int(short.argmax())
        raise ValueError(
            f"{path}, line {line + 1}: a user without items: {text.splitlines()[line][:80]!r}. "
            "Lines are `user item item ...`; say format= if the file is in another format."
        )
    is_item = np.ones(len(words), bool)
    is_item[starts] = False
    users = words.take(pa.array(np.repeat(starts, np.where(blank, 0, widths - 1))))
    columns = {user: users, item: words.filter(pa.array(is_item))}
    return to_frame(
        pa.table({name: values.dictionary_encode() for name, values in columns.items()})
    )


def read_recbole(
    path: Path, user: str, item: str
) -> tuple[pd.DataFrame, pd.DataFrame | None, pd.DataFrame | None]:
    """Reads an `.inter` file, or a folder with one, and the `.user` and `.item` files beside it.

    `token` columns become int64 or strings, `float` columns float64 (RecBole itself reads float32,
    which puts times of today off by a minute), `token_seq` and `float_seq` columns lists.
    """
    if path.is_dir():
        found = sorted({*path.glob("*.inter"), *path.glob("*.inter.gz")})
        if len(found) != 1:
            raise ValueError(f"{path}: name one of its {len(found)} .inter files.")
        path = found[0]
    log = read_atomic(path, ids=(user, item))
    stem = path.name.removesuffix(".gz").removesuffix(".inter")
    sides = []
    for suffix in (".user", ".item"):
        beside = [path.with_name(stem + suffix + end) for end in ("", ".gz")]
        beside = [file for file in beside if file.exists()]
        sides.append(read_atomic(beside[0]) if beside else None)
    return log, sides[0], sides[1]


def read_atomic(path: Path, ids: Iterable[str] = ()) -> pd.DataFrame:
    """Reads one atomic file by the types in its header; `ids` become categories of strings."""
    ids = set(ids)
    table = read_text_table(path, "\t", ids={f"{name}:token" for name in ids}, quoted=False)
    columns = {}
    for header, column in zip(table.column_names, table.columns, strict=True):
        name, _, kind = header.rpartition(":")
        if not name or kind not in _TYPES:
            raise ValueError(
                f"{path}: the header names a column {header!r}; names of atomic files are "
                f"`name:type`, the type one of {', '.join(_TYPES)}."
            )
        columns[name] = column if name in ids else _typed(path, header, column, kind)
    return to_frame(pa.table(columns))


def read_attributes(path: Path, key: str) -> pd.DataFrame:
    """Reads the attributes of ids from a JSON object, `{"7": [3, 12], ...}`, as S3-Rec has them.

    Args:
        path: The file. Each id has a list, or an object of columns by name.
        key: Name of the column of ids.

    Returns:
        A table with the ids and the column "attributes", or the columns of the objects.

    Raises:
        ValueError: If the file is something else.
    """
    with open_bytes(path) as file:
        try:
            found = json.loads(file.read())
        except ValueError as error:
            raise ValueError(f"{path} is no JSON: {error}.") from None
    rows = list(found.values()) if isinstance(found, dict) else []
    kinds = {type(row) for row in rows}
    if kinds == {dict}:
        frame = pd.DataFrame(rows)
    elif kinds == {list}:
        frame = pd.DataFrame({"attributes": rows})
    else:
        raise ValueError(
            f"{path}: features in JSON are an object with a list, or an object of columns, for "
            'each id: {"7": [3, 12], ...}.'
        )
    ids = as_numbers(pa.chunked_array([pa.array(list(found), pa.string())]))
    frame.insert(0, key, ids.to_pandas())
    return frame


def _typed(path: Path, header: str, column: pa.ChunkedArray, kind: str) -> pa.ChunkedArray:
    """Returns a column of strings in the type of its header."""
    try:
        if kind == "float":
            return column.cast(pa.float64())
        if kind.endswith("_seq"):
            words = pc.split_pattern(column, " ")
            return words.cast(pa.list_(pa.float64())) if kind == "float_seq" else words
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path}, column {header!r}: {error}") from None
    numbers = as_numbers(column)
    return numbers if numbers.type == pa.int64() else column
