"""`tfrecs export`: a SavedModel out of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from jsonargparse import ArgumentParser

from tfrecs import serving
from tfrecs.cli.errors import UserError
from tfrecs.cli.parsing import new_parser, parse, say_if_unfinished
from tfrecs.serving.folder.manifest import read_manifest
from tfrecs.training import Run

EXAMPLE = "tfrecs export runs/first --output exports/sasrec"


def make_parser() -> ArgumentParser:
    """Returns the parser of `tfrecs export`."""
    parser = new_parser(
        "export",
        "Writes the model of a run folder, with the weights of its best epoch, as a "
        "SavedModel: raw ids in, raw ids and scores out. TensorFlow Serving loads it unchanged.",
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
        "--known_items",
        type=Literal["before_test", "all"] | None,
        help="Of models that know users and read no history the export holds what each user has, "
        "and leaves it out of the answers: what they had before the test (the default), which "
        "gives the figures of the test, or all, the test's items too, as a live system should.",
    )
    parser.add_argument(
        "--index",
        type=Literal["exact", "scann"],
        default="exact",
        help="How the best items are found: exactly, or by ScaNN, which a server must then have.",
    )
    parser.add_argument(
        "--item_precision",
        type=Literal["float32", "float16", "int8"],
        default="float32",
        help="How the vectors of items are stored: float16 is half the size, int8 a quarter. What "
        "that costs in NDCG@10 is measured on the validation part of the run's data.",
    )
    parser.add_argument(
        "--version", type=int | None, help="The version; one more than the newest by default."
    )
    return parser


def run(argv: Sequence[str]) -> None:
    """Runs `tfrecs export`."""
    settings = parse(make_parser(), argv)
    source = Run(settings.run)
    if Run(settings.output).exists:
        raise UserError(f"--output {settings.output} is the folder of a run: name another one")
    say_if_unfinished(source)
    model, items = source.load_model(), source.load_items()
    recommend_known, known = source.recommend_known, settings.known_items
    holds_known = model.needs_known_items and not recommend_known
    if known is not None and not holds_known:
        why = (
            "the run has recommend_known: nothing is left out"
            if recommend_known
            else f"requests say what a user has, as {type(model).__name__} reads a history"
        )
        raise UserError(f"--known_items has no use here: {why}")
    measured = settings.item_precision != "float32"
    known_items = validation = None
    if holds_known or measured:
        split: Any = source.load_split()
        known_items = split.known_items(test=known == "all") if holds_known else None
        validation = split.validation if measured else None
    folder = serving.export(
        model,
        settings.output,
        k=settings.k,
        num_exclusions=settings.num_exclusions,
        index=settings.index,
        item_precision=settings.item_precision,
        measure_on=validation,
        recommend_known=recommend_known,
        known_items=known_items,
        version=settings.version,
    )
    if known_items is not None:
        print(
            f"The export leaves out what each user has: {len(known_items.values):,} items of "
            f"{int((known_items.lengths > 0).sum()):,} users, "
            + ("the test's too." if known == "all" else "the test's not (--known_items all does).")
        )
    if measured:
        found = read_manifest(Path(folder), verify=False)["NDCG@10"]
        print(
            f"{settings.item_precision}: NDCG@10 {found[settings.item_precision]:.4f} instead of "
            f"{found['float32']:.4f} on {found['part']}."
        )
    print(f"Exported to {folder}. Next:")
    if model.max_history is None and model.users is not None:
        who = f"--user {model.users.ids[0]}"
    else:
        who = f"--history {','.join(str(item) for item in items.ids[:3])}"
    if (read := model.event_inputs) is not None:
        columns = [*(read.schema or ())]
        if (read.times or read.request_time) and "timestamp" not in columns:
            columns.append("timestamp")
        # Nothing between the commas: the values are for the user to fill in.
        who += "".join(f" --events.{name} {',' * (min(3, len(items)) - 1)}" for name in columns)
        who += " --request_time TIME" if read.request_time else ""
    print(f"  tfrecs recommend {settings.output} {who} --k {min(10, settings.k)}")
