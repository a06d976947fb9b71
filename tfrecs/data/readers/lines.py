"""Plain lines without a header: `user item`, and `user item item ...`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from tfrecs.data.readers.sniffing import open_bytes
from tfrecs.data.readers.tables import read_text_table, to_frame


def read_pairs(path: Path, user: str, item: str, delimiter: str | None = None) -> pd.DataFrame:
    """Lines of `user item`, in time order for each user, parted by a space or a tab.

    Args:
        path: the file, gzipped or not.
        user: what to call the first column.
        item: what to call the second.
        delimiter: what parts them, if another.

    Returns:
        A frame of the two columns, as categories of strings.
    """
    if delimiter is None:
        with open_bytes(path) as file:
            delimiter = "\t" if b"\t" in file.readline() else " "
    columns = [user, item]
    return to_frame(read_text_table(path, delimiter, columns, ids=columns, quoted=False))


def read_sequences(path: Path, user: str, item: str) -> pd.DataFrame:
    """One user a line, `user item item ...` in time order, parted by white space.

    Args:
        path: the file, gzipped or not.
        user: what to call the column of users.
        item: what to call the column of items.

    Returns:
        A frame with a row for each user and item, as categories of strings.

    Raises:
        ValueError: for a line with a user but no item.
    """
    with open_bytes(path) as file:
        text = file.read().decode("utf-8-sig")
    lines = pa.array(text.split("\n"), pa.large_string())
    fields = pc.utf8_split_whitespace(pc.utf8_trim_whitespace(lines))
    widths = fields.value_lengths().to_numpy()
    words = fields.flatten()
    # An empty line splits into one empty field.
    starts = np.cumsum(widths) - widths
    blank = np.array(pc.equal(words.take(pa.array(starts)), "").to_numpy(zero_copy_only=False))
    if ((widths < 2) & ~blank).any():
        line = int(((widths < 2) & ~blank).argmax())
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
