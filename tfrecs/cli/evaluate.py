"""`tfrecs evaluate`: test the model of a run again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from jsonargparse import ArgumentParser

from tfrecs.cli.errors import UserError
from tfrecs.cli.parsing import new_parser, parse, say_if_unfinished
from tfrecs.evaluation import evaluate
from tfrecs.training import Run

EXAMPLE = """\
tfrecs evaluate runs/first
tfrecs evaluate runs/first --ks [5,10,50] --plot report.png --json report.json"""


def make_parser() -> ArgumentParser:
    """Returns the parser of `tfrecs evaluate`."""
    parser = new_parser(
        "evaluate",
        "Tests the model of a run folder, with the weights of its best epoch, beside simple "
        "baselines.",
        EXAMPLE,
    )
    parser.add_argument("run", type=str, help="The run folder.")
    parser.add_argument("--ks", type=list[int], default=[10, 20], help="Lengths of the lists.")
    parser.add_argument(
        "--on", type=Literal["test", "validation"], default="test", help="Part of the split."
    )
    parser.add_argument(
        "--recommend_known",
        type=bool | None,
        help="Whether items that a user already has may be recommended; default as in the run.",
    )
    parser.add_argument("--plot", type=str | None, help="Draw the report into this file.")
    parser.add_argument("--json", type=str | None, help="Write the report into this file.")
    return parser


def run(argv: Sequence[str]) -> None:
    """Runs `tfrecs evaluate`."""
    settings = parse(make_parser(), argv)
    if not settings.ks or min(settings.ks) < 1:
        raise UserError(f"--ks must be lengths of at least 1, not {settings.ks}")
    for path in filter(None, (settings.plot, settings.json)):
        if not Path(path).absolute().parent.is_dir():
            raise UserError(f"there is no folder {Path(path).parent} to write {path} into")
    source = Run(settings.run)
    say_if_unfinished(source)
    model, split = source.load_model(), source.load_split()
    report = evaluate(
        model,
        getattr(split, settings.on),
        settings.ks,
        baselines=settings.on == "test",
        recommend_known=settings.recommend_known,
    )
    print(report)
    if advice := report.advice():
        print(advice)
    if settings.plot:
        report.plot(settings.plot)
    if settings.json:
        Path(settings.json).write_text(report.to_json(), encoding="utf-8")
