"""Requests: what a user gives, as the arrays that a signature takes.

A request for recommendations names a history, a user and exclusions for each row. Any other request
has columns by name.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tfrecs.serving.values import array_of, padded, parse_id

if TYPE_CHECKING:
    import pandas as pd

    Columns = pd.DataFrame | Mapping[str, Sequence[Any]]

Inputs = Mapping[str, Mapping[str, Any]]


class Asked(NamedTuple):
    """What a row of a request for recommendations names, all by raw ids."""

    history: list[Any]
    user: Any
    exclude: list[Any]


def asked_rows(
    histories: Iterable[Iterable[Any]],
    users: Iterable[Any] | None,
    exclude: Iterable[Iterable[Any]] | None,
) -> list[Asked]:
    """Returns the rows of a batch.

    Raises:
        ValueError: If there are not as many users or exclusions as histories, or there is no list
            where one is needed.
    """
    rows = [id_list(history, "history") for history in id_list(histories, "histories", "lists")]
    who = [None] * len(rows) if users is None else id_list(users, "users")
    if exclude is None:
        banned: list[list[Any]] = [[] for _ in rows]
    else:
        banned = [id_list(items, "exclude") for items in id_list(exclude, "exclude", "lists")]
    if not len(rows) == len(who) == len(banned):
        raise ValueError(
            f"There are {len(rows)} histories, {len(who)} users and {len(banned)} lists of "
            "exclusions: there must be one of each for everybody."
        )
    return [Asked(*row) for row in zip(rows, who, banned, strict=True)]


def id_list(items: Iterable[Any], what: str, of: str = "ids") -> list[Any]:
    """Returns ids as a list.

    Raises:
        ValueError: If `items` is no list, or a string, whose characters are not ids.
    """
    no_list = isinstance(items, str | bytes | Mapping) or not isinstance(items, Iterable)
    if no_list or getattr(items, "shape", None) == ():
        raise ValueError(f"{what} must be a list of {of}, not one {type(items).__name__}.")
    return list(items)


def parsed(
    asked: Asked, signature: Mapping[str, Inputs], model: str, whose: str = "this export"
) -> Asked:
    """Returns a row with ids in the types of a signature; `model` and `whose` name it in errors.

    Raises:
        ValueError: If the model does not take what is given, nothing is given, or an id has
            another type.
    """
    inputs = signature["inputs"]
    knows_users = "user_id" in inputs
    history, user, exclude = asked
    if user is not None and not knows_users:
        raise ValueError(f"{model} knows no users: give a history alone.")
    if user is None and not history:
        raise ValueError(
            "The history is empty: give at least one item id."
            if not knows_users
            else "Neither history nor user: give at least one item id, or the user's."
            if "history" in inputs
            else "No user: give the user's id."
        )
    if user is not None:
        is_integer = inputs["user_id"]["dtype"] == "int64"
        user = parse_id(user, is_integer, "a user id", f"users of {whose}")
    is_integer = signature["outputs"]["item_id"]["dtype"] == "int64"
    history, exclude = (
        [parse_id(item, is_integer, "an item id", f"ids of {whose}") for item in items]
        for items in (history, exclude)
    )
    if history and "history" not in inputs:
        raise ValueError(
            f"{model} reads no history: give the user alone, and what else is not to be "
            "recommended as exclude."
        )
    return Asked(history, user, exclude)


def recommendation_request(
    rows: Sequence[Asked], inputs: Inputs, history_width: int = 1
) -> dict[str, np.ndarray]:
    """Returns a request for recommendations from rows that `parsed` returned.

    Histories get at least `history_width` places. The request has the inputs of `serving_default`
    and no more.

    Raises:
        ValueError: If a row excludes more items than the model takes.
    """
    request = {}
    if "history" in inputs:
        histories = [row.history for row in rows]
        request["history"] = padded(histories, history_width, "history", inputs["history"])
    excluded = [list(dict.fromkeys(row.exclude)) for row in rows]
    if "exclude" in inputs:
        longest, width = max(map(len, excluded)), inputs["exclude"]["shape"][1]
        if width is not None and longest > width:
            raise ValueError(
                f"{longest} items are not to be recommended, and the served model takes {width} "
                "exclusions."
            )
        request["exclude"] = padded(excluded, width or 1, "exclude", inputs["exclude"])
    elif any(excluded):
        raise ValueError("The served model takes no exclusions: export it with an input for them.")
    if "user_id" in inputs:
        request["user_id"] = array_of([row.user for row in rows], "user_id", inputs["user_id"])
    return request


def column_request(
    rows: Columns,
    inputs: Inputs,
    *,
    read: Callable[..., np.ndarray],
    required: Collection[str] | None = None,
    history_width: int = 1,
) -> dict[str, np.ndarray]:
    """Returns a request of columns.

    Args:
        rows: A DataFrame, or columns by name.
        inputs: The inputs of the signature.
        read: How values are read: `array_of` or `as_trained`.
        required: Names of the inputs that need a column; None for all. At least one input needs
            one, and every value of a column that is not there is missing.
        history_width: The least width of histories.

    Raises:
        ValueError: If a column is missing, differs from others in length, or cannot be read.
    """
    columns = {key: str(given.get("column", key)) for key, given in inputs.items()}
    missing = {key: column for key, column in columns.items() if column not in rows}
    lacking = [c for key, c in missing.items() if required is None or key in required]
    if len(missing) == len(columns):
        lacking = lacking or list(columns.values())
    if lacking:
        raise ValueError(
            f"The data have no column {', '.join(map(repr, lacking))}, only "
            f"{', '.join(map(repr, rows))}."
        )
    there = {key: rows[column] for key, column in columns.items() if key not in missing}
    sizes = {columns[key]: len(values) for key, values in there.items()}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"Columns differ in length: {sizes}.")
    nothing = [None] * next(iter(sizes.values()))
    widths = {"history": history_width}
    return {
        key: read(there.get(key, nothing), columns[key], given, widths.get(key, 1))
        for key, given in inputs.items()
    }
