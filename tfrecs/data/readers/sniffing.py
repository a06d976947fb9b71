"""Which format a file is in, by its name and first lines."""

from __future__ import annotations

import codecs
import csv
import gzip
import os
import re
from pathlib import Path
from typing import BinaryIO, Literal, get_args

Format = Literal["csv", "tsv", "parquet", "recbole", "pairs", "sequences"]
FORMATS: tuple[str, ...] = get_args(Format)

_SUFFIXES: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".inter": "recbole",
}
_DELIMITERS = (",", "\t", ";", "|", "::")
_LONGEST_LINE = 1 << 20
_LINES = 1000  # read to tell lines of `user item` from lines of `user item item ...`


def resolve(path: str | Path) -> Path:
    """Returns an existing path: as given, else inside the folder that TFRECS_DATA names."""
    given = Path(path).expanduser()
    places = [given]
    folder = os.environ.get("TFRECS_DATA")
    if folder and not given.is_absolute():
        places.append(Path(folder).expanduser() / given)
    for place in places:
        if place.exists():
            if not place.is_file() and not place.is_dir():  # A pipe can be read only once.
                raise ValueError(f"{place} is no regular file: write the data to one first.")
            return place
    hint = "" if folder else " (TFRECS_DATA, a folder to look in as well, is not set)"
    raise FileNotFoundError(f"No file {' nor '.join(str(place) for place in places)}{hint}.")


def open_bytes(path: Path) -> BinaryIO:
    """Opens the bytes of a file, decompressed if they are gzip, whatever the file's name."""
    return gzip.open(path) if is_gzipped(path) else path.open("rb")  # type: ignore[return-value]


def read_bytes(path: Path) -> bytes:
    """Returns all bytes of a file, decompressed if they are gzip."""
    with open_bytes(path) as file:
        return file.read()


def is_gzipped(path: Path) -> bool:
    """Returns whether a file begins as gzip does."""
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def fields_of(line: str, delimiter: str, quoted: bool = True) -> list[str]:
    """Returns the fields of one line of delimited text."""
    if not quoted or len(delimiter) != 1:
        return [part.strip('"') if quoted else part for part in line.split(delimiter)]
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error as error:
        raise ValueError(f"The line {line[:80]!r} cannot be read as fields: {error}.") from None


def find_delimiter(path: Path, user: str, item: str) -> str | None:
    """Returns the first delimiter by which the header names both columns, or None."""
    lines = first_lines(path, 1)
    for delimiter in _DELIMITERS:
        if lines and {user, item} <= set(fields_of(lines[0], delimiter)):
            return delimiter
    return None


def sniff(path: Path, user: str, item: str, has_columns: bool) -> Format:
    """Returns the format of a file or folder, by the first rule that fits.

    1. A name that ends in .parquet, .pq, .inter, .csv or .tsv (and perhaps .gz) says it. A folder
       is RecBole's if it holds an .inter file, else Parquet's.
    2. A first line with `:token` is RecBole's. A first line with the names of the user and the item
       column, separated by a comma, tab, `;`, `|` or `::`, is a table's header, and with `columns`
       given every file is a table: "tsv" if its first line holds a tab, else "csv".
    3. White space separates the fields. If the first 1,000 lines all have two, these are "pairs";
       if they differ in their number, "sequences".

    Args:
        path: An existing file or folder.
        user: Name of the user column.
        item: Name of the item column.
        has_columns: Whether column names were given.

    Raises:
        ValueError: If no rule fits.
    """
    if path.is_dir():
        inter = any(path.glob("*.inter")) or any(path.glob("*.inter.gz"))
        return "recbole" if inter else "parquet"
    suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
    if suffix in _SUFFIXES:
        return _SUFFIXES[suffix]
    lines = first_lines(path)
    first = lines[0] if lines else ""
    table: Format = "tsv" if "\t" in first else "csv"
    if ":token" in first:
        return "recbole"
    if has_columns or find_delimiter(path, user, item) is not None:
        return table
    widths = {len(line.split()) for line in lines if line.strip()}
    if widths == {2}:
        return "pairs"
    if len(widths) > 1 and not ("," in first and len(first.split()) < 2):
        return "sequences"
    raise ValueError(
        f"{path}: what format is this? It begins {first[:80]!r}, and no header names {user!r} and "
        f"{item!r} by any of {', '.join(map(repr, _DELIMITERS))}. Pass format= one of "
        f"{', '.join(FORMATS)}; for a table without a header pass its columns= and delimiter= too."
    )


def first_lines(path: Path, count: int = _LINES) -> list[str]:
    """Returns the first lines of a text file, without line ends and byte order mark."""
    with open_bytes(path) as file:
        content = b"".join(file.readline(_LONGEST_LINE) for _ in range(count))
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ValueError(
            f"{path} is UTF-16 text, and UTF-8 is read. Convert it, such as by iconv -f utf-16 -t "
            "utf-8."
        )
    if content.startswith(b"PK\x03\x04"):
        raise ValueError(f"{path} is an Excel or zip file: save its table as CSV.")
    if b"\0" in content[:1024]:
        raise ValueError(f"{path} is no text file: it holds zero bytes. Name a table.")
    text = content.decode("utf-8", "replace").removeprefix("\ufeff")
    lines = re.split(r"\r\n|\n|\r", text)
    return lines[: -1 if not lines[-1] else None][:count]
