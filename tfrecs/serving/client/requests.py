"""What a client sends: from histories, users and columns to the arrays of a signature's inputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tfrecs.serving.plain_requests import array_of, missing_value, padded, parse_id

Signature = Mapping[str, Mapping[str, Mapping[str, Any]]]


def recommendation_request(
    histories: Sequence[Sequence[Any]],
    users: Sequence[Any],
    exclude: Sequence[Sequence[Any]],
    signature: Signature,
    history_width: int,
) -> dict[str, np.ndarray]:
    """Returns a request for recommendations, of what the served model takes and no more.

    Args:
        histories: Raw ids of items, a list for each row.
        users: Raw ids, None for an unknown user.
        exclude: Raw ids of items that are not to be recommended.
        signature: What the server says of `serving_default`.
        history_width: How long histories are made at least.

    Raises:
        ValueError: If the model does not recommend, does not take what is given, or nothing is.
    """
    inputs, item = signature["inputs"], signature["outputs"].get("item_id")
    if item is None:
        raise ValueError("The served model recommends nothing: use Client.score.")
    knows_users = "user_id" in inputs
    for history, user in zip(histories, users, strict=True):
        if user is not None and not knows_users:
            raise ValueError("The served model knows no users: give a history alone.")
        if user is None and not history:
            raise ValueError(
                "Neither history nor user: give at least one item id, or the user's."
                if knows_users and "history" in inputs
                else "No user: give the user's id."
                if knows_users
                else "The history is empty: give at least one item id."
            )
    read, banned = _items(histories, item["dtype"]), _items(exclude, item["dtype"])
    request = {}
    if "history" in inputs:
        request["history"] = padded(read, max(history_width, 1), "history", inputs["history"])
    elif any(read):
        raise ValueError(
            "The served model reads no history: give users alone, and what else is not to be "
            "recommended as exclude."
        )
    if "exclude" in inputs:
        banned = [list(dict.fromkeys(row)) for row in banned]
        longest, width = max(map(len, banned)), inputs["exclude"]["shape"][1]
        if width is not None and longest > width:
            raise ValueError(
                f"{longest} items are not to be recommended, and the served model takes {width} "
                "exclusions."
            )
        request["exclude"] = padded(banned, width or 1, "exclude", inputs["exclude"])
    elif any(banned):
        raise ValueError("The served model takes no exclusions: export it with an input for them.")
    if knows_users:
        about = inputs["user_id"]
        whole, nobody = about["dtype"] == "int64", missing_value("user_id", about)
        whose = "users of the served model"
        raw = [
            nobody if user is None else parse_id(user, whole, "a user id", whose) for user in users
        ]
        request["user_id"] = array_of(raw, "user_id", about)
    return request


def row_request(
    name: str, rows: Any, inputs: Mapping[str, Mapping[str, Any]], history_width: int
) -> dict[str, np.ndarray]:
    """Returns a request of columns.

    Args:
        name: The signature's name.
        rows: A DataFrame, or columns by name.
        inputs: What the signature takes, by the server's word and the manifest's.
        history_width: How long histories are made at least.

    Raises:
        ValueError: If a column is missing that must be there, differs from others in length, or
            holds what cannot be read.
    """
    columns = {key: str(given.get("column", key)) for key, given in inputs.items()}
    missing = {key: column for key, column in columns.items() if column not in rows}
    required = set(columns)
    if "candidates" in columns:
        required = {"candidates"}
    elif name.endswith("_vectors"):
        # Of a feature that is not given, the export knows the value.
        required = set() if len(missing) < len(columns) else required
    if lacking := [column for key, column in missing.items() if key in required]:
        raise ValueError(
            f"The data have no column {', '.join(map(repr, lacking))}, only "
            f"{', '.join(map(repr, rows))}."
        )
    there = {key: list(rows[column]) for key, column in columns.items() if key not in missing}
    sizes = {columns[key]: len(values) for key, values in there.items()}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"Columns differ in length: {sizes}.")
    (size,) = set(sizes.values())
    widths = {"history": max(history_width, 1)}
    return {
        key: array_of(there.get(key, [None] * size), columns[key], given, widths.get(key, 1))
        for key, given in inputs.items()
    }


def as_arrays(
    inputs: Mapping[str, Any], wanted: Mapping[str, Mapping[str, Any]]
) -> dict[str, np.ndarray]:
    """Returns inputs as arrays; a list has no type, and gets the input's if it fits.

    Args:
        inputs: Arrays or lists.
        wanted: What the signature takes.
    """
    arrays = {}
    for name, values in inputs.items():
        array, dtype = np.asarray(values), wanted.get(name, {}).get("dtype")
        if not isinstance(values, np.ndarray) and dtype not in (None, "string"):
            fits = not array.size or np.can_cast(array.dtype, dtype, "same_kind")
            array = array.astype(dtype) if fits else array
        arrays[name] = array.astype(object) if array.dtype.kind in "US" else array
    return arrays


def _items(rows: Iterable[Iterable[Any]], dtype: str) -> list[list[int | str]]:
    """Rows of raw item ids in the type of the model's."""
    whose = "ids of the served model"
    return [[parse_id(item, dtype == "int64", "an item id", whose) for item in row] for row in rows]
