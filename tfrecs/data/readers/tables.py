"""Tables: delimited text and Parquet, read by pyarrow."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from tfrecs.data.readers.sniffing import is_gzipped, open_bytes

_NOTHING = ["", "NaN", "nan", "NULL", "null", "None", "N/A"]  # text that stands for no value
_CODES = pa.dictionary(pa.int32(), pa.string())


def read_text_table(
    path: Path,
    delimiter: str,
    columns: Sequence[str] | None = None,
    ids: Iterable[str] = (),
    quoted: bool = True,
) -> pa.Table:
    """A delimited file as a table of strings; ids are dictionary encoded.

    Args:
        path: the file, gzipped or not.
        delimiter: one character.
        columns: names of the columns of a file that has no header.
        ids: columns with few distinct values for their rows.
        quoted: whether `"` quotes fields.

    Returns:
        A table whose columns are all strings, null where empty.

    Raises:
        ValueError: for a row with too many or too few fields, naming its number.
    """
    names = list(columns) if columns else _header(path, delimiter, quoted)
    types = {name: _CODES if name in set(ids) else pa.string() for name in names}

    def read(use_threads: bool) -> pa.Table:
        with open_bytes(path) as file:
            return pa.csv.read_csv(
                file,
                pa.csv.ReadOptions(
                    use_threads=use_threads,
                    column_names=list(columns) if columns else None,
                    block_size=1 << 24,
                ),
                pa.csv.ParseOptions(delimiter=delimiter, quote_char='"' if quoted else False),
                pa.csv.ConvertOptions(
                    column_types=types, null_values=_NOTHING, strings_can_be_null=True
                ),
            )

    try:
        return read(use_threads=True)
    except pa.ArrowInvalid:
        # Only one thread knows the number of the row.
        try:
            return read(use_threads=False)
        except pa.ArrowInvalid as error:
            raise ValueError(_explain(path, str(error))) from None


def infer_types(table: pa.Table) -> pa.Table:
    """Columns of strings as int64 or float64 where every value reads as one.

    The whole column decides, not its beginning. Numbers with leading zeros stay strings: they
    are codes.

    Args:
        table: columns of strings, and others, which stay.

    Returns:
        The table with the same columns.
    """
    for position, name in enumerate(table.column_names):
        column = table.column(position)
        if column.type == pa.string():
            table = table.set_column(position, name, as_numbers(column))
    return table


def as_numbers(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of strings as int64 or float64 where every value reads as one, or as it was."""
    if pc.any(pc.match_substring_regex(column, r"^[+-]?0\d")).as_py():
        return column
    for number in (pa.int64(), pa.float64()):
        try:
            return column.cast(number)
        except pa.ArrowInvalid:
            continue
    return column


def to_frame(table: pa.Table) -> pd.DataFrame:
    """A pandas frame of a table, freeing the table's columns on the way."""
    return table.to_pandas(split_blocks=True, self_destruct=True)


def read_parquet(path: Path, ids: Iterable[str] = ()) -> pd.DataFrame:
    """A Parquet file (gzipped or not) or a folder of them; ids of strings as categories.

    Args:
        path: the file or folder.
        ids: columns with few distinct values for their rows.

    Returns:
        A frame of all columns.

    Raises:
        ValueError: for a file that is not Parquet.
    """
    source: Any = path
    if path.is_file() and is_gzipped(path):
        with open_bytes(path) as file:
            source = pa.BufferReader(file.read())
    try:
        return to_frame(pa.parquet.read_table(source, read_dictionary=list(ids)))
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path}: not a Parquet file that can be read: {error}") from None


def _header(path: Path, delimiter: str, quoted: bool) -> list[str]:
    """Names in the first line."""
    with open_bytes(path) as file:
        line = file.readline().decode("utf-8-sig", "replace").rstrip("\r\n")
    if not line.strip():
        raise ValueError(f"{path}: the file is empty, or its first line is.")
    return [name.strip('"') if quoted else name for name in line.split(delimiter)]


def _explain(path: Path, message: str) -> str:
    """The message of pyarrow as one line about the file."""
    row = re.search(r"Row #(\d+): Expected (\d+) columns, got (\d+): (.*)", message, re.DOTALL)
    if row:
        number, wanted, got, text = row.groups()
        return (
            f"{path}, line {number}: {got} fields where {wanted} are expected: {text[:80]!r}. "
            "Mend or remove the line, or say format= or delimiter= if the file was misread."
        )
    return f"{path}: can not be read as a table: {message.splitlines()[0]}"
