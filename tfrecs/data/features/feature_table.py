"""The encoded features of users or items, one row an id."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from tfrecs.configured import registered
from tfrecs.data.features.schema import Schema
from tfrecs.data.log.vocabulary import Vocabulary


@registered
class FeatureTable:
    """The encoded features of n users or items: row i belongs to id i.

    Row 0 (padding) and row n + 1 (an unknown id) hold missing values. A model looks features up by
    ids, so that its input needs ids alone.

    Args:
        schema: Kinds of the columns.
        columns: `[n + 2, ...]` array of each column, as `Schema.encode` gives them.
        without_row: Number of ids without features.

    Raises:
        ValueError: If columns and schema, or the lengths of the columns, disagree.

    Example:
        >>> import pandas as pd, tfrecs
        >>> frame = pd.DataFrame({"age": [30.0, 40.0]}, index=[7, 9])
        >>> table = tfrecs.data.FeatureTable.from_frame(frame, tfrecs.data.Vocabulary([7, 8, 9]))
        >>> table.columns["age"].tolist(), table.without_row
        ([nan, 30.0, nan, 40.0, nan], 1)
    """

    def __init__(
        self, schema: Schema, columns: dict[str, np.ndarray], without_row: int = 0
    ) -> None:
        lengths = {len(column) for column in columns.values()}
        if set(columns) != set(schema) or len(lengths) != 1:
            raise ValueError(
                f"FeatureTable: one array a column of the schema ({', '.join(schema)}), all as "
                f"long, not { ({name: len(column) for name, column in columns.items()}) }."
            )
        for name, column in columns.items():
            spec = schema[name].spec
            if column.dtype != spec.dtype.as_numpy_dtype or not spec.shape.is_compatible_with(
                column.shape
            ):
                raise ValueError(
                    f"FeatureTable: column {name!r} is {column.dtype} {list(column.shape)}, not "
                    f"{spec.dtype.name} {spec.shape.as_list()}."
                )
        self.schema = schema
        self.columns = columns
        self.without_row = without_row
        self.has_values = True

    @classmethod
    def from_frame(
        cls, frame: pd.DataFrame, vocabulary: Vocabulary, schema: Schema | None = None
    ) -> FeatureTable:
        """Encodes a table of features.

        Ids that the frame lacks have missing values; `without_row` counts them.

        Args:
            frame: The features, indexed by raw id, as `Interactions.user_features`. Ids that are
                not in the vocabulary are left out.
            vocabulary: The ids.
            schema: Kinds of the columns; by default read from the rows of the vocabulary's ids.

        Raises:
            ValueError: If an id stands twice, the frame has no id of the vocabulary, or the schema
                has a label or no column.
        """
        if not frame.index.is_unique:
            twice = frame.index[frame.index.duplicated()].tolist()[0]
            raise ValueError(f"FeatureTable: id {twice!r} stands twice.")
        ids = vocabulary.encode(frame.index)
        known = ids <= len(vocabulary)
        if not known.any():
            theirs = repr(frame.index[0]) if len(frame) else "none"
            raise ValueError(
                "FeatureTable: none of the vocabulary's ids is in the table of features, whose "
                f"first id is {theirs}, where the vocabulary has such as {vocabulary.ids[0]!r}. "
                "Take another column of ids, or bring the ids into one form."
            )
        frame, ids = frame[known], ids[known]
        schema = Schema.from_frame(frame) if schema is None else schema
        if schema.label is not None or not len(schema):
            why = ", ".join(f"{name} ({reason})" for name, reason in schema.left_out.items())
            gone = f" Left out: {why}." if why else ""
            raise ValueError(f"FeatureTable: needs columns, and no label, not {schema}.{gone}")
        columns = _missing_columns(schema, len(vocabulary))
        for name, values in schema.encode(frame).items():
            columns[name][ids] = values
        return cls(schema, columns, len(vocabulary) - len(ids))

    def get_config(self) -> dict[str, Any]:
        """Returns schema and size, ready for JSON; weights hold the values."""
        return {"schema": self.schema.get_config(), "size": len(self)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> FeatureTable:
        """Returns a table of missing values with the schema and size from `get_config`."""
        schema = Schema.from_config(config["schema"])
        table = cls(schema, _missing_columns(schema, config["size"]))
        table.has_values = False
        return table

    def __len__(self) -> int:
        """Number of ids, n."""
        return len(next(iter(self.columns.values()))) - 2

    def __repr__(self) -> str:
        return f"FeatureTable({len(self)} ids, {self.schema})"


def _missing_columns(schema: Schema, num_ids: int) -> dict[str, np.ndarray]:
    """Returns arrays `[num_ids + 2, ...]` of missing values by name."""
    return {
        name: np.full(
            [num_ids + 2, *column.spec.shape[1:]], column.missing, column.spec.dtype.as_numpy_dtype
        )
        for name, column in schema.items()
    }
