"""`tfrecs export`: a SavedModel out of a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from jsonargparse import ArgumentParser

from tfrecs import serving
from tfrecs.cli.errors import user_errors
from tfrecs.cli.parsing import new_parser, parse
from tfrecs.training import CheckpointError, Run, RunError

EXAMPLE = "tfrecs export runs/first --output exports/sasrec"


def make_parser() -> ArgumentParser:
    """The parser of `tfrecs export`."""
    parser = new_parser(
        "export",
        "Writes the model of a run folder, with the weights of its best epoch, as a "
        "SavedModel: raw ids in, raw ids and scores out. TensorFlow Serving loads it as it is.",
        EXAMPLE,
    )
    parser.add_argument("run", type=str, help="The run folder.")
    parser.add_argument(
        "--output", type=str, required=True, help="The folder of the model's versions."
    )
    parser.add_argument("--k", type=int, default=100, help="How many items an answer has.")
    parser.add_argument(
        "--num_exclusions",
        type=int,
        default=10,
        help="How many items beside the history a request can exclude; 0 for no such input.",
    )
    parser.add_argument(
        "--index",
        type=Literal["exact", "scann"],
        default="exact",
        help="How the best items are found: exactly, or by ScaNN, which a server must then have.",
    )
    parser.add_argument(
        "--version", type=int | None, help="The version; one more than the newest by default."
    )
    return parser


def run(argv: Sequence[str]) -> None:
    """Runs `tfrecs export`.

    Args:
        argv: Its arguments.

    Raises:
        UserError: If they are wrong.
    """
    settings = parse(make_parser(), argv)
    with user_errors(RunError, CheckpointError):
        source = Run(settings.run)
        model, items = source.load_model(), source.load_items()
    with user_errors(ValueError, OSError, ImportError):
        folder = serving.export(
            model,
            settings.output,
            k=settings.k,
            num_exclusions=settings.num_exclusions,
            index=settings.index,
            version=settings.version,
        )
    print(f"Exported to {folder}. Next:")
    users = getattr(model, "users", None)
    if model.max_history is None and users is not None:
        who = f"--user {users.ids[0]}"
    else:
        who = f"--history {','.join(str(item) for item in items.ids[:3])}"
    print(f"  tfrecs recommend {settings.output} {who} --k {min(10, settings.k)}")
