"""RecBole's atomic files: tab separated, with typed headers such as `user_id:token`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from tfrecs.data.readers.tables import as_numbers, read_text_table, to_frame

_TYPES = ("token", "token_seq", "float", "float_seq")


def read_recbole(
    path: Path, user: str, item: str
) -> tuple[pd.DataFrame, pd.DataFrame | None, pd.DataFrame | None]:
    """An `.inter` file, and the `.user` and `.item` files that lie beside it.

    `token` columns become int64 or strings, `float` columns float64 (RecBole itself reads them
    as float32, in which times of today are off by a minute), `token_seq` and `float_seq`
    columns lists.

    Args:
        path: the `.inter` file, gzipped or not, or a folder that holds one.
        user: name of the user column, without its type.
        item: name of the item column, without its type.

    Returns:
        Interactions, user features or None, item features or None.

    Raises:
        ValueError: for a folder with several `.inter` files and for headers without types.
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
    """One atomic file as a frame, by the types in its header.

    Args:
        path: the file, gzipped or not.
        ids: columns to read as categories of strings.

    Returns:
        A frame with the names of the columns without their types.
    """
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


def _typed(path: Path, header: str, column: pa.ChunkedArray, kind: str) -> pa.ChunkedArray:
    """A column of strings as its header says."""
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
