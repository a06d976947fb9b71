"""`tfrecs recommend`: answers out of an export, with TensorFlow alone."""

from __future__ import annotations

import csv
import sys
import warnings
from collections.abc import Sequence

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

    history, exclude = (
        next(csv.reader([text], skipinitialspace=True), [])
        for text in (settings.history, settings.exclude)
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        recommender = Recommender(settings.export)
        if history and not recommender.reads_history:
            raise UserError(
                f"--history: {recommender.manifest['model']} reads none. Give --user, and by "
                "--exclude what else is not to be recommended"
            )
        k = min(10, recommender.k) if settings.k is None else settings.k
        best = recommender.recommend(history, k=k, user=settings.user, exclude=exclude)
    for warning in caught:
        print(f"tfrecs: {warning.message}", file=sys.stderr)
    for item, score in best:
        print(f"{item}\t{score:.4f}")
