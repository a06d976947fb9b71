"""`read`: a log from a file of any format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from tfrecs.data.interactions import Duplicates, Interactions
from tfrecs.data.readers.lines import read_pairs, read_sequences
from tfrecs.data.readers.recbole import read_recbole
from tfrecs.data.readers.sniffing import FORMATS, Format, resolve, sniff
from tfrecs.data.readers.tables import infer_types, read_parquet, read_text_table, to_frame


def read(
    path: str | Path,
    *,
    format: Format | None = None,
    user: str = "user_id",
    item: str = "item_id",
    timestamp: str | None = "timestamp",
    columns: Sequence[str] | None = None,
    delimiter: str | None = None,
    duplicates: Duplicates = "drop",
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
        columns: names of the columns of a "csv" or "tsv" file without a header.
        delimiter: the character between fields of a "csv" or "tsv" file, if another.
        duplicates: what to do with repeated rows, see `Interactions`.
        name: what to call the log in reports; the file's name if None.

    Returns:
        The checked log.

    Raises:
        FileNotFoundError: for a file that is not there.
        ValueError: for a row that does not fit, with its number; for missing columns; for an
            empty log.

    Example:
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp(), "log.csv")
        >>> _ = path.write_text("who,what,timestamp\nann,tea,1\nbob,tea,2\n")
        >>> read(path, user="who", item="what")
        Interactions(log.csv: 2 rows, 2 users, 1 items, in time order, nothing dropped)
    """
    path = resolve(path)
    if format is None:
        format = sniff(path, user, item, columns is not None)
    if format not in FORMATS:
        raise ValueError(f"format is one of {', '.join(FORMATS)}, not {format!r}.")
    if columns is not None and format not in ("csv", "tsv"):
        raise ValueError(f"{path}: columns= is for csv and tsv files, this is {format}.")
    users: pd.DataFrame | None = None
    items: pd.DataFrame | None = None
    if format in ("csv", "tsv"):
        between = delimiter or ("\t" if format == "tsv" else ",")
        table = read_text_table(path, between, columns, ids=(user, item))
        if columns is None and user not in table.column_names and item not in table.column_names:
            raise ValueError(
                f"{path}: neither {user!r} nor {item!r} is among the columns "
                f"{', '.join(map(repr, table.column_names))}. Say which to use with user= and "
                "item=; if the first line is no header, name the columns with columns=."
            )
        frame = to_frame(infer_types(table))
    elif format == "parquet":
        frame = read_parquet(path, ids=(user, item))
    elif format == "recbole":
        frame, users, items = read_recbole(path, user, item)
    elif format == "pairs":
        frame = read_pairs(path, user, item)
    else:
        frame = read_sequences(path, user, item)
    return Interactions(
        frame,
        user=user,
        item=item,
        timestamp=timestamp,
        duplicates=duplicates,
        user_features=users,
        item_features=items,
        name=name or path.name,
    )
