"""The typed description of a table's columns."""

from __future__ import annotations

import decimal
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tfrecs._keras import tf
from tfrecs.configured import registered
from tfrecs.data.features.columns import (
    Categorical,
    Column,
    Label,
    Numeric,
    holds_lists,
)
from tfrecs.data.features.text import Tokenizer
from tfrecs.data.features.wide_columns import Text, Timestamp, Vector, vector_size
from tfrecs.data.log.times import looks_like_durations, looks_like_times

# An integer column with at most so many different values holds categories.
_FEW = 32


@registered
class Schema(Mapping[str, Column]):
    """The kinds of a table's columns: how they are encoded, and what a model takes in.

    A mapping from names to columns (`Categorical`, `Numeric`, `Text`, `Timestamp`, `History`,
    `Vector`, `Label`), in the order in which models take them. `from_frame` reads a schema from
    data, and `with_columns` changes it.

    Args:
        columns: The columns by name.
        left_out: Names of the data's other columns, each with the reason to leave it out.

    Attributes:
        labels: Names of the columns to predict, in order.
        label: The first of them, or None.

    Example:
        >>> import pandas as pd, tfrecs
        >>> frame = pd.DataFrame({"age": [31.0, None], "job": ["cook", "cook"], "liked": [1, 0]})
        >>> schema = tfrecs.data.Schema.from_frame(frame, label="liked")
        >>> schema
        Schema(age: Numeric, job: Categorical of 1, liked: Label)
        >>> {name: array.tolist() for name, array in schema.encode(frame).items()}
        {'age': [31.0, nan], 'job': [1, 1], 'liked': [1.0, 0.0]}
    """

    def __init__(
        self, columns: Mapping[str, Column], left_out: Mapping[str, str] | None = None
    ) -> None:
        self._columns = dict(columns)
        self.left_out = dict(left_out or {})
        self.labels = tuple(name for name, c in columns.items() if isinstance(c, Label))
        self.label = self.labels[0] if self.labels else None

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        *,
        label: str | Sequence[str] | None = None,
        skip: Collection[str] = (),
        min_count: int = 2,
    ) -> Schema:
        """Reads a schema from the types and values of a DataFrame's columns.

        - floats, and integers of more than 32 different values: `Numeric`; durations and times of
          day too, in seconds;
        - other integers, truth values, categories: `Categorical`;
        - datetimes, and strings that read as dates: `Timestamp`;
        - lists: `Vector` if all have equally many floats, else `Categorical` of several values;
        - strings: `Text` if most differ and have several words, else `Categorical`.

        Columns without values, and categories that never repeat, are left out: see `left_out`.

        Args:
            frame: The data.
            label: Name of the column to predict, or names of several; of several, those with
                missing values are optional.
            skip: Names of columns to leave out.
            min_count: Rarer values of a category count as unknown, so that unknown values have
                something to learn from.

        Raises:
            ValueError: If a label or a name in `skip` is no column.
        """
        labels = [label] if isinstance(label, str) else list(label or ())
        for name in [*skip, *labels]:
            if name not in frame.columns:
                raise ValueError(
                    f"There is no column {name!r}, only {', '.join(map(repr, frame.columns))}."
                )
        columns: dict[str, Column] = {}
        left_out = dict.fromkeys(skip, "as asked")
        for name in frame.columns.drop(list(skip)):
            column: Column | str
            if name in labels:
                column = Label(optional=len(labels) > 1 and bool(frame[name].isna().any()))
            else:
                column = _read(frame[name], min_count)
            if isinstance(column, Column):
                columns[name] = column
            else:
                left_out[name] = column
        return cls(columns, left_out)

    def with_columns(self, **changes: Column | None) -> Schema:
        """Returns the schema with columns added, replaced, or (None) left out.

        Example:
            >>> from tfrecs.data import Numeric, Schema
            >>> Schema({"year": Numeric()}).with_columns(year=Numeric("squashing"), rank=Numeric())
            Schema(year: Numeric, rank: Numeric)
        """
        columns = {**self._columns, **changes}
        gone = {name: "as asked" for name, column in changes.items() if column is None}
        return Schema(
            {name: column for name, column in columns.items() if column is not None},
            {name: why for name, why in self.left_out.items() if name not in changes} | gone,
        )

    def encode(self, frame: pd.DataFrame) -> dict[str, np.ndarray]:
        """Returns the array of each column; see the kinds of columns for their forms.

        Raises:
            ValueError: If the frame lacks a column other than a label.
        """
        missing = [n for n in self if n not in frame.columns and n not in self.labels]
        if missing:
            raise ValueError(
                f"The data have no column {', '.join(map(repr, missing))}, only "
                f"{', '.join(map(repr, frame.columns))}."
            )
        return {
            name: column.encode(frame[name])
            for name, column in self.items()
            if name in frame.columns
        }

    def signature(self) -> dict[str, tf.TensorSpec]:
        """Returns types and shapes of a model's input: each encoded column but the labels."""
        return {
            name: tf.TensorSpec(column.spec.shape, column.spec.dtype, name=name)
            for name, column in self.items()
            if name not in self.labels
        }

    def missing_row(self) -> dict[str, tf.Tensor]:
        """Returns a model's input of one row, with a missing value in each column."""
        return {
            name: tf.fill([1, *spec.shape[1:]], tf.constant(self[name].missing, spec.dtype))
            for name, spec in self.signature().items()
        }

    def save(self, path: str | Path) -> None:
        """Writes the schema, vocabularies included, as JSON."""
        text = json.dumps(self.get_config(), ensure_ascii=False, indent=1)
        Path(path).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Schema:
        """Returns the schema that `save` wrote."""
        return cls.from_config(json.loads(Path(path).read_text(encoding="utf-8")))

    def get_config(self) -> dict[str, Any]:
        """Returns the schema, ready for JSON."""
        columns = {name: column.get_config() for name, column in self.items()}
        return {"columns": columns, "left_out": self.left_out}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Schema:
        """Returns the schema that `get_config` described."""
        columns = {name: Column.from_config(c) for name, c in config["columns"].items()}
        return cls(columns, config.get("left_out"))

    def __getitem__(self, name: str) -> Column:
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Schema):
            return NotImplemented
        mine, others = (schema.get_config()["columns"] for schema in (self, other))
        return list(mine.items()) == list(others.items())

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Schema({', '.join(f'{n}: {_describe(c)}' for n, c in self.items())})"


def _describe(column: Column) -> str:
    words = type(column).__name__
    if isinstance(column, Categorical):
        words += f" of {len(column.vocabulary)}"
        words += f", up to {column.max_values} a row" if column.max_values else ""
    if isinstance(column, Vector):
        words += f" of {column.size}"
    return words


def _read(values: pd.Series, min_count: int) -> Column | str:
    """Returns the column that the values look like, or why there is none."""
    if values.isna().all():
        return "it has no values"
    if holds_lists(values):
        size = vector_size(values)
        return _categories(values, min_count) if size is None else Vector(size)
    kind = values.dtype.kind
    if kind == "M":
        return Timestamp()
    first = values.dropna().iloc[0]
    if isinstance(first, dict):
        return "it holds records"
    if isinstance(first, decimal.Decimal):
        return Numeric()
    if kind == "f" or (kind in "iu" and values.nunique() > _FEW):
        return Numeric()
    if kind in "iub" or isinstance(values.dtype, pd.CategoricalDtype):
        return _categories(values, min_count)
    if looks_like_durations(values):
        return Numeric()
    if looks_like_times(values):
        return Timestamp()
    texts = values.dropna().astype(str)
    words = texts.str.count(r"\S+")
    if texts.nunique() > len(texts) / 2 and words.mean() >= 1.5:
        tokenizer = Tokenizer.from_texts(texts, min_count=min_count)
        return Text(tokenizer) if len(tokenizer) else "none of its words repeats"
    return _categories(values, min_count)


def _categories(values: pd.Series, min_count: int) -> Column | str:
    column = Categorical.from_values(values, min_count)
    return column if len(column.vocabulary) else "none of its values repeats"
