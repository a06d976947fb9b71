"""`tfrecs verify`: the files and the answers of an export, with TensorFlow alone."""

from __future__ import annotations

from collections.abc import Sequence

from jsonargparse import ArgumentParser

from tfrecs.cli.errors import quiet_import
from tfrecs.cli.parsing import new_parser, parse

EXAMPLE = "tfrecs verify exports/sasrec"


def make_parser() -> ArgumentParser:
    """Returns the parser of `tfrecs verify`."""
    parser = new_parser(
        "verify",
        "Checks an export: every file by its sha256, and golden requests by their answers. "
        "Reads the export alone; no data and no run folder are needed.",
        EXAMPLE,
    )
    parser.add_argument(
        "export", type=str, help="An export, or the folder of its versions (the newest is checked)."
    )
    return parser


def run(argv: Sequence[str]) -> None:
    """Runs `tfrecs verify`."""
    settings = parse(make_parser(), argv)
    # Only now, as it takes seconds: a wrong flag is answered at once.
    with quiet_import():
        import tensorflow  # noqa: F401
    from tfrecs.serving import verify
    from tfrecs.serving.folder.versions import find_export

    folder = find_export(settings.export)
    manifest = verify(folder)
    print(
        f"{folder}: {manifest['model']}, {len(manifest['files'])} files and "
        f"{len(manifest['golden'])} golden answers are as they were exported."
    )
