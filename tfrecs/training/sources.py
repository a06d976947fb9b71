"""From the name of a data set to a split, as a run's config.yaml says it."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from tfrecs import data as rooms_data
from tfrecs.data import Interactions, Split

SplitName = Literal["leave_last_out", "global_time", "random_ratio", "users_held_out"]


def resolve_data(data: str | os.PathLike[str]) -> str:
    """The file that `data` means, or the name of a data set where it is not a file.

    A path is looked for where the process runs and then in the folder named by the environment
    variable `TFRECS_DATA`, which is how recipes name files that a user must obtain.

    Args:
        data: A path or the name of a data set.

    Returns:
        What to give to `tfrecs.data.load`.
    """
    folder = os.environ.get("TFRECS_DATA")
    if not Path(data).exists() and folder and (Path(folder) / data).exists():
        return str(Path(folder) / data)
    return str(data)


def load_log(
    data: str | os.PathLike[str],
    columns: Mapping[str, str] | None = None,
    k_core: int | None = None,
) -> Interactions:
    """Reads a log and filters it.

    Args:
        data: The name of a data set, or a path (see `resolve_data`).
        columns: Which columns of the file are the user's, the item's and the time's:
            `{"user": .., "item": .., "timestamp": ..}`; left out where they have the default names.
        k_core: Drops users and items with fewer interactions than this, until none is left.

    Returns:
        The log.

    Raises:
        FileNotFoundError: If there is neither such a file nor such a data set.
        ValueError: If the file does not hold what it should.
    """
    log = rooms_data.load(resolve_data(data), **(columns or {}))
    return log if k_core is None else log.filter_k_core(k_core)


def make_split(
    log: Interactions, split: SplitName = "leave_last_out", options: Mapping[str, Any] | None = None
) -> Split:
    """Parts a log by the named rule.

    Args:
        log: The log.
        split: A function of `tfrecs.data`.
        options: Its arguments.

    Returns:
        The split.

    Raises:
        ValueError: If there is no such rule, it takes no such argument, or it cannot part the log.
    """
    names = SplitName.__args__  # type: ignore[attr-defined]
    if split not in names:
        raise ValueError(f"There is no split {split!r}. Choose from: {', '.join(names)}.")
    rule: Callable[..., Split] = getattr(rooms_data, split)
    known = [name for name in inspect.signature(rule).parameters if name != "log"]
    unknown = [name for name in options or {} if name not in known]
    if unknown:
        raise ValueError(
            f"The split {split} has no argument {unknown[0]!r}. It has: "
            f"{', '.join(known) or 'none'}."
        )
    return rule(log, **(options or {}))
