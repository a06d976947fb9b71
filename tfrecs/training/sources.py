"""From the name of a data set to a split, as a run's config.yaml says it."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

from tfrecs import data as data_room
from tfrecs.data import Interactions, RowSplit, Split

SplitName = Literal[
    "leave_last_out", "global_time", "random_ratio", "users_held_out", "click_through"
]


def load_log(
    data: str | os.PathLike[str],
    options: Mapping[str, Any] | None = None,
    k_core: int | None = None,
) -> Interactions:
    """Reads a log and filters it.

    Args:
        data: The name of a data set, or a path.
        options: Arguments of `tfrecs.data.read`, such as the names of columns.
        k_core: Drops users and items with fewer interactions than this, until none is left.

    Returns:
        The log.

    Raises:
        OSError: If there is neither such a file nor such a data set.
        ValueError: If the file does not hold what it should, or there is no such argument.

    Example:
        ```python
        log = load_log("clicks.csv", {"user": "visitor", "item": "sku"}, k_core=5)
        ```
    """
    _check(options, "data_args", data_room.read, given="path")
    log = data_room.load(os.fspath(data), **(options or {}))
    return log if k_core is None else log.filter_k_core(k_core)


def make_split(
    log: Interactions, split: SplitName = "leave_last_out", options: Mapping[str, Any] | None = None
) -> Split | RowSplit:
    """Parts a log by the named rule.

    Args:
        log: The log.
        split: A function of `tfrecs.data`.
        options: Its arguments.

    Returns:
        The split.

    Raises:
        ValueError: If there is no such rule, it takes no such argument, or it cannot part the log.

    Example:
        ```python
        split = make_split(log, "random_ratio", {"test": 0.2})
        ```
    """
    if split not in get_args(SplitName):
        raise ValueError(f"There is no split {split!r}, only {', '.join(get_args(SplitName))}.")
    rule: Callable[..., Split | RowSplit] = getattr(data_room, split)
    _check(options, "split_args", rule, given="log")
    return rule(log, **(options or {}))


def _check(
    options: Mapping[str, Any] | None, name: str, function: Callable[..., Any], given: str
) -> None:
    """Refuses arguments that a function does not have."""
    known = [
        parameter for parameter in inspect.signature(function).parameters if parameter != given
    ]
    for option in options or {}:
        if option not in known:
            raise ValueError(
                f"{name} has no {option!r}: tfrecs.data.{function.__name__} takes "
                f"{', '.join(known) or 'no arguments'}."
            )
