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

# Numbers from here on count milli-, micro- or nanoseconds, as `data.log.times` reads them.
_LATEST = 10**11


class Asked(NamedTuple):
    """What a row of a request for recommendations names, all by raw ids."""

    history: list[Any]
    user: Any
    exclude: list[Any]
    events: Mapping[str, list[Any]]
    request_time: Any


def asked_rows(
    histories: Iterable[Iterable[Any]],
    users: Iterable[Any] | None,
    exclude: Iterable[Iterable[Any]] | None,
    events: Iterable[Mapping[str, Iterable[Any]] | None] | None = None,
    request_times: Iterable[Any] | None = None,
) -> list[Asked]:
    """Returns the rows of a batch.

    Raises:
        ValueError: If there are not as many users, exclusions, columns of events or times as
            histories, or there is no list where one is needed.
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
    columns = [{}] * len(rows) if events is None else [dict(each or {}) for each in events]
    moments = [None] * len(rows) if request_times is None else list(request_times)
    if not len(rows) == len(columns) == len(moments):
        raise ValueError(
            f"There are {len(rows)} histories, events of {len(columns)} and {len(moments)} times "
            "of requests: there must be one of each for everybody."
        )
    lists = [
        {name: id_list(values, f"events[{name!r}]", "values") for name, values in each.items()}
        for each in columns
    ]
    return [Asked(*row) for row in zip(rows, who, banned, lists, moments, strict=True)]


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
    history, user, exclude = asked[:3]
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
    _check_events(asked, inputs, model)
    return asked._replace(history=history, user=user, exclude=exclude)


def beside_history(inputs: Inputs) -> dict[str, str]:
    """Returns the inputs with a value for each item of a history, by the column of the events.

    The manifest says which they are; without it the name does.
    """
    found = {}
    for key, given in inputs.items():
        if "column" in given:
            is_beside = given.get("beside") == "history"
        else:
            shape = given["shape"] or ()
            is_beside = key.startswith("history_") and "history" in inputs and len(shape) == 2
        if is_beside:
            found[str(given.get("column", key))[len("history_") :]] = key
    return found


def required_of_queries(rows: Columns, inputs: Inputs) -> set[str]:
    """Returns the inputs of `query_vectors` that need a column, for there is nothing stored."""
    beside = set(beside_history(inputs).values()) if "history" in rows else set()
    return beside | ({"request_time"} & inputs.keys())


def _check_events(asked: Asked, inputs: Inputs, model: str) -> None:
    """Refuses a row that lacks what a model reads beside a history, or has what it does not read.

    Raises:
        ValueError: If that is so, or a column has not a value for each item.
    """
    columns = beside_history(inputs)
    for name in asked.events:
        if name not in columns:
            read = ", ".join(map(repr, columns)) or "none"
            raise ValueError(
                f"{model} reads no events' column {name!r}: those it reads are {read}."
            )
    for name in columns:
        if asked.history and name not in asked.events:
            raise ValueError(
                f"{model} reads {name!r} of each event of the history: give events={{{name!r}: "
                "[..]}, a value an item, None where it is missing."
            )
        found = len(asked.events.get(name, ()))
        if found != len(asked.history):
            raise ValueError(
                f"The history has {len(asked.history)} items, and events[{name!r}] {found} values: "
                "there must be one for each item."
            )
    reads_time = "request_time" in inputs
    if asked.request_time is not None and not reads_time:
        raise ValueError(f"{model} does not read when it is asked: leave out request_time.")
    if asked.request_time is None and reads_time:
        raise ValueError(
            f"{model} reads when it is asked: give request_time, the seconds since 1970 (UTC) or a "
            "datetime."
        )


def _check_seconds(name: str, values: np.ndarray) -> np.ndarray:
    """Refuses times that are milliseconds: as seconds they lie after the year 5000."""
    if (values >= _LATEST).any():
        raise ValueError(
            f"{name}: {values.max()} is no time in seconds since 1970. Divide milliseconds by 1000."
        )
    return values


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
        history_width = request["history"].shape[1]
    for name, key in beside_history(inputs).items():
        values = [row.events.get(name, []) for row in rows]
        request[key] = array_of(values, f"history.{name}", inputs[key], history_width)
        if inputs[key].get("kind") == "Timestamp" or name == "timestamp":
            _check_seconds(f"events[{name!r}]", request[key])
    if "request_time" in inputs:
        times = [row.request_time for row in rows]
        found = array_of(times, "request_time", inputs["request_time"])
        request["request_time"] = _check_seconds("request_time", found)
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

    def array(key: str, width: int = 1) -> np.ndarray:
        return read(there.get(key, nothing), columns[key], inputs[key], width)

    beside = set(beside_history(inputs).values())
    if beside:
        _check_lengths(there, columns, beside)
    request = {}
    if "history" in inputs:
        request["history"] = array("history", history_width)
        history_width = request["history"].shape[1]
    return {
        key: request[key] if key in request else array(key, history_width if key in beside else 1)
        for key in inputs
    }


def _check_lengths(
    there: Mapping[str, Any], columns: Mapping[str, str], beside: Collection[str]
) -> None:
    """Refuses lists beside a history that have not a value for each of its items."""
    items = [_length(row) for row in there.get("history", ())]
    for key in beside & there.keys():
        for row, (count, values) in enumerate(zip(items, there[key], strict=False)):
            if _length(values) not in (0, count):
                raise ValueError(
                    f"Row {row} has {count} items in its history and {_length(values)} values of "
                    f"{columns[key]!r}: there must be one for each item."
                )


def _length(row: Any) -> int:
    """Returns the number of values of a row, 0 for a missing one."""
    return len(row) if hasattr(row, "__len__") and not isinstance(row, str | bytes) else 0
