"""Tables: delimited text and Parquet, read by pyarrow."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from tfrecs.data.readers.sniffing import fields_of, first_lines, is_gzipped, open_bytes, read_bytes

_NOTHING = ["", "NaN", "nan", "NULL", "null", "None", "N/A"]  # text that stands for no value
_UNUSED = "\x1f"  # stands for a delimiter of several characters
_CODES = pa.dictionary(pa.int32(), pa.string())
_INT64 = pd.Int64Dtype()


def read_text_table(
    path: Path,
    delimiter: str,
    columns: Sequence[str] | None = None,
    ids: Iterable[str] = (),
    quoted: bool = True,
    multiline: bool = False,
) -> pa.Table:
    """Reads delimited text as a table of strings, null where empty.

    Args:
        path: The file, gzipped or not.
        delimiter: Separator of the fields. With several characters, quotes mean nothing.
        columns: Names of the columns of a file without a header.
        ids: Columns with few distinct values, which are dictionary encoded.
        quoted: Whether `"` quotes fields.
        multiline: Whether a quoted field may hold line breaks.

    Raises:
        ValueError: If a row has too many or too few fields or an unclosed quote (the error names
            the line), or the header names a column twice.
    """
    if not delimiter or "\n" in delimiter or '"' in delimiter:
        raise ValueError(f"delimiter= is what parts the fields of a line, not {delimiter!r}.")
    quoted = quoted and len(delimiter) == 1
    names = list(columns) if columns else _header(path, delimiter, quoted)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(
            f"{path}: the header names the column {twice[0]!r} twice. Rename one, or name all by "
            "columns= and remove the header."
        )
    types = {name: _CODES if name in set(ids) else pa.string() for name in names}

    def read(use_threads: bool) -> pa.Table:
        with _single(path, delimiter) as file:
            return pa.csv.read_csv(
                file,
                pa.csv.ReadOptions(
                    use_threads=use_threads,
                    column_names=list(columns) if columns else None,
                    block_size=1 << 24,
                ),
                pa.csv.ParseOptions(
                    delimiter=delimiter if len(delimiter) == 1 else _UNUSED,
                    quote_char='"' if quoted else False,
                    newlines_in_values=multiline,
                ),
                pa.csv.ConvertOptions(
                    column_types=types, null_values=_NOTHING, strings_can_be_null=True
                ),
            )

    try:
        table = read(use_threads=True)
    except pa.ArrowInvalid as first:
        if quoted and not multiline:
            _check_quotes(path, delimiter, None)
        # Only one thread knows the number of the row.
        try:
            table = read(use_threads=False)
        except pa.ArrowInvalid as error:
            raise ValueError(_explain(path, delimiter, str(error) or str(first))) from None
    read_lines = table.num_rows + (not columns)
    if quoted and not multiline and read_lines < _count_lines(path):
        _check_quotes(path, delimiter, read_lines)
    return table


def _single(path: Path, delimiter: str) -> Any:
    """Opens the bytes of a file; one character replaces a delimiter of several."""
    if len(delimiter) == 1:
        return open_bytes(path)
    content = read_bytes(path)
    if _UNUSED.encode() in content:
        raise ValueError(f"{path}: it holds the control character 0x1f, which is kept free.")
    return io.BytesIO(content.replace(delimiter.encode(), _UNUSED.encode()))


def _count_lines(path: Path) -> int:
    """Returns the number of lines of a text file."""
    count, last = 0, b"\n"
    with open_bytes(path) as file:
        while block := file.read(1 << 22):
            count += block.count(b"\n")
            last = block
    return count + (not last.endswith(b"\n"))


def _check_quotes(path: Path, delimiter: str, rows: int | None) -> None:
    """Refuses a quote that is not closed on its line, as it swallows rows.

    `rows` is the number of rows read, or None if reading failed. No row is missing if it equals the
    number of lines.
    """
    opens = re.compile(b"(?:^|" + re.escape(delimiter.encode()) + b')"')
    odd: tuple[int, bytes] | None = None
    lines = 0
    with open_bytes(path) as file:
        for number, line in enumerate(file, 1):
            lines += bool(line.strip())  # Empty lines are no rows.
            if odd is None and line.count(b'"') % 2 and opens.search(line):
                odd = number, line
    if odd is None or rows == lines:
        return
    text = odd[1].decode("utf-8", "replace").rstrip("\r\n")
    raise ValueError(
        f"{path}, line {odd[0]}: a quote is not closed on its line: {text[:80]!r}. Mend it, or "
        "pass multiline=True if fields may hold line breaks."
    )


def infer_types(table: pa.Table, decimal: str = ".", guess: bool = False) -> pa.Table:
    """Makes a column of strings int64 or float64 if every value reads as one.

    Numbers with leading zeros stay strings: they are codes.

    Args:
        table: The table. Columns that are no strings stay.
        decimal: Decimal mark, "." or ",".
        guess: Whether "," is the mark in columns where it always gives numbers and cannot separate
            thousands.
    """
    if decimal not in (".", ","):
        raise ValueError(f'decimal= is "." or ",", not {decimal!r}.')
    for position, name in enumerate(table.column_names):
        column = table.column(position)
        if column.type == pa.string():
            if decimal == "," or (guess and _has_decimal_commas(column)):
                dotted = pc.replace_substring(column, ",", ".", max_replacements=1)
                numbers = as_numbers(dotted)
                column = column if numbers.type == pa.string() else numbers
            table = table.set_column(position, name, as_numbers(column))
    return table


def as_numbers(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Returns a column of strings as int64 or float64 if every value reads as one, or unchanged."""
    if column.type != pa.string() or pc.any(pc.match_substring_regex(column, r"^[+-]?0\d")).as_py():
        return column
    for number in (pa.int64(), pa.float64()):
        try:
            return column.cast(number)
        except pa.ArrowInvalid:
            continue
    return column


def _has_decimal_commas(column: pa.ChunkedArray) -> bool:
    """Returns whether all values are numbers, and some have a comma that must be decimal."""
    numbers = pc.all(pc.match_substring_regex(column, r"^-?\d+(,\d+)?$"), min_count=0).as_py()
    decimal = pc.any(pc.match_substring_regex(column, r",(\d{1,2}|\d{4,})$"), min_count=0).as_py()
    return bool(numbers and decimal)


def to_frame(table: pa.Table) -> pd.DataFrame:
    """Returns the pandas frame of a table, and frees the table, which must not be used any more.

    A named index that pandas wrote becomes a column, decimals and durations (in seconds) become
    floats, and whole numbers beside missing ones stay exact.
    """
    for position, name in enumerate(table.column_names):
        table = table.set_column(position, name, _plain(table.column(position)))
    unnamed = [name for name in table.column_names if name.startswith("__index_level_")]
    table = table.drop_columns(unnamed)
    holed = {c.type for c in table.columns if pa.types.is_integer(c.type) and c.null_count}
    if not holed:
        return table.to_pandas(split_blocks=True, self_destruct=True, ignore_metadata=True)
    nullable = {kind: pd.UInt64Dtype() if kind == pa.uint64() else _INT64 for kind in holed}
    frame = table.to_pandas(ignore_metadata=True, types_mapper=nullable.get)
    # The mapping is by type: columns without a hole get theirs back.
    whole = {
        name: str(column.type)
        for name, column in zip(table.column_names, table.columns, strict=True)
        if column.type in holed and not column.null_count
    }
    return frame.astype(whole)


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Returns a column in a type that numpy has."""
    kind = column.type
    if pa.types.is_decimal(kind):
        return column.cast(pa.float64())
    if pa.types.is_date(kind):
        return column.cast(pa.timestamp("s") if pa.types.is_date32(kind) else pa.timestamp("ms"))
    if pa.types.is_time(kind) or pa.types.is_duration(kind):
        number = pa.int32() if kind.bit_width == 32 else pa.int64()
        per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[kind.unit]
        return pc.divide(column.cast(number).cast(pa.float64()), float(per_second))
    return column


def read_parquet(path: Path, ids: Iterable[str] = ()) -> pd.DataFrame:
    """Reads a Parquet file (gzipped or not) or a folder of them; ids of strings as categories."""
    source: Any = path
    if path.is_file() and is_gzipped(path):
        with open_bytes(path) as file:
            source = pa.BufferReader(file.read())
    elif path.is_dir() and not any(file.is_file() for file in path.rglob("*")):
        raise ValueError(f"{path} is an empty folder: name a file, or a folder of Parquet files.")
    try:
        table = pa.parquet.read_table(source, read_dictionary=list(ids))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        told = " ".join(str(error).split())[:200]
        raise ValueError(f"{path}: not a Parquet file that can be read: {told}") from None
    for name in ids:  # Ids that are decimals become texts, which are exact.
        place = table.schema.get_field_index(name)
        if place >= 0 and pa.types.is_decimal(table.schema.field(place).type):
            table = table.set_column(place, name, table.column(place).cast(pa.string()))
    return to_frame(table)


def _header(path: Path, delimiter: str, quoted: bool) -> list[str]:
    """Returns the names in the first line."""
    line = next(iter(first_lines(path, 1)), "")
    if not line.strip():
        raise ValueError(f"{path}: the file is empty, or its first line is.")
    if quoted and line.count('"') % 2:
        raise ValueError(f"{path}, line 1: a quote is not closed on its line: {line[:80]!r}.")
    return fields_of(line, delimiter, quoted)


def _explain(path: Path, delimiter: str, message: str) -> str:
    """Returns a message of pyarrow as one line about the file."""
    row = re.search(r"Row #(\d+): Expected (\d+) columns, got (\d+): (.*)", message, re.DOTALL)
    if row:
        number, wanted, got, text = row.groups()
        return (
            f"{path}, line {number}: {got} fields where {wanted} are expected, parted by "
            f"{delimiter!r}: {text[:80]!r}. "
            "Mend or remove the line, or say format= or delimiter= if the file was misread."
        )
    if "invalid UTF8" in message:
        return (
            f"{path} is not UTF-8 text. Convert it, such as by iconv -f latin1 -t utf-8, if it is "
            "a text at all."
        )
    return f"{path}: can not be read as a table: {message.splitlines()[0]}"
