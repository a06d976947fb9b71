"""`tfrecs recommend`: answers out of an export, with TensorFlow alone."""

from __future__ import annotations

import csv
import datetime
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from jsonargparse import ArgumentParser

from tfrecs.cli.errors import UserError, quiet_import
from tfrecs.cli.parsing import new_parser, parse

EXAMPLE = "tfrecs recommend exports/sasrec --history 50,172,181 --k 10"


def make_parser() -> ArgumentParser:
    """Returns the parser of `tfrecs recommend`."""
    parser = new_parser(
        "recommend",
        "Prints the best items after a history, one a line: raw id and score, "
        "separated by a tab. Reads the export alone; no data and no run folder are needed.",
        EXAMPLE,
    )
    parser.add_argument(
        "export", type=str, help="An export, or the folder of its versions (the newest is read)."
    )
    parser.add_argument(
        "--history",
        type=str,
        default="",
        help="Raw item ids, oldest first, separated by commas; quoted as in CSV where an id holds "
        "a comma. Not for models that know users by their id alone.",
    )
    parser.add_argument(
        "--user", type=str | None, help="Raw id of the user, for models that know users."
    )
    parser.add_argument(
        "--exclude",
        type=str,
        default="",
        help="More raw item ids that are not to be recommended, separated as in --history.",
    )
    parser.add_argument(
        "--events",
        type=dict[str, Any],
        default={},
        help="What the model reads of the history's events, such as --events.rating 4,5,3: a value "
        "an item, separated as in --history, nothing between two commas where one is missing.",
    )
    parser.add_argument(
        "--request_time",
        type=str | None,
        help="The time of the request, for models that read it: seconds since 1970, or a date such "
        "as 2024-01-31T09:30:00.",
    )
    parser.add_argument(
        "--k", type=int | None, help="How many items; 10, or all that the export answers with."
    )
    return parser


def run(argv: Sequence[str]) -> None:
    """Runs `tfrecs recommend`."""
    settings = parse(make_parser(), argv)
    # Only now, as it takes seconds: a wrong flag is answered at once.
    with quiet_import():
        import tensorflow  # noqa: F401
    from tfrecs.serving import Recommender

    history, exclude = _separated(settings.history), _separated(settings.exclude)
    events = {name: _column(name, values) for name, values in (settings.events or {}).items()}
    asked_at = None if settings.request_time is None else _moment(settings.request_time)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        recommender = Recommender(settings.export)
        if history and not recommender.reads_history:
            raise UserError(
                f"--history: {recommender.manifest['model']} reads none. Give --user, and by "
                "--exclude what else is not to be recommended"
            )
        k = min(10, recommender.k) if settings.k is None else settings.k
        best = recommender.recommend(
            history,
            k=k,
            user=settings.user,
            exclude=exclude,
            events=events,
            request_time=asked_at,
        )
    for warning in caught:
        print(f"tfrecs: {warning.message}", file=sys.stderr)
    for item, score in best:
        print(f"{item}\t{score:.4f}")


def _separated(text: str) -> list[str]:
    """Returns the values that commas separate, quoted as in CSV."""
    return next(csv.reader([text], skipinitialspace=True), [])


def _column(name: str, values: Any) -> list[Any]:
    """Returns a column of the events, None for missing values and seconds for dates."""
    if not isinstance(values, list):  # YAML has read a single number already.
        values = [text or None for text in _separated(str(values))]
    return [_moment(value) for value in values] if name == "timestamp" else values


def _moment(value: Any) -> Any:
    """Returns a time as a number, where it is one, or as a datetime."""
    if value is None or not isinstance(value, str):
        return value
    try:
        return int(value)
    except ValueError:
        pass
    try:
        return datetime.datetime.fromisoformat(value)
    except ValueError as error:
        raise UserError(
            f"--request_time, --events.timestamp: {value!r} is no time. Give seconds since 1970, "
            "or a date such as 2024-01-31T09:30:00"
        ) from error
