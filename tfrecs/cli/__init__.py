"""The command line: `tfrecs train`, `launch`, `evaluate`, `export`, `verify` and `recommend`.

A command's module, and with it TensorFlow, is imported only when the command is run.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

from tfrecs import __version__
from tfrecs._names import choose
from tfrecs.cli.errors import UserError, one_line, quiet_import

__all__ = ["main"]

COMMANDS = {
    "train": "train a model on a log and test it; leaves a run folder",
    "launch": "train with several worker processes on this machine",
    "evaluate": "test the model of a run folder again",
    "export": "write the model of a run folder as a SavedModel that serves",
    "verify": "check the files and the answers of an export",
    "recommend": "recommend items out of an export",
}

USAGE = f"""\
usage: tfrecs [-h] [--version] COMMAND ...

Neural recommenders on TensorFlow.

commands:
{chr(10).join(f"  {name:<10} {what}" for name, what in COMMANDS.items())}

options:
  -h, --help  show this help and exit; `tfrecs COMMAND --help` explains a command
  --version   show the version and exit

example:
  tfrecs train --model sasrec --data ml-100k --output runs/first
  tfrecs evaluate runs/first
  tfrecs export runs/first --output exports/sasrec
  tfrecs recommend exports/sasrec --history 50,172,181 --k 10
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command line; `argv` None takes the arguments of the process.

    Returns:
        The exit code: 0; 2 for an error that a user can mend, which is one line on standard error
        (with TFRECS_TRACEBACK=1 in the environment it is raised instead); 130 after Ctrl-C; 143
        after SIGTERM, where a training was saved before it stopped.

    Example:
        ```python
        tfrecs.cli.main(["train", "--data", "ml-100k", "--output", "runs/first"])
        ```
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    # TensorFlow's own log; without a GPU it would report an error at every start.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        return _run(argv)
    except KeyboardInterrupt as stop:
        print(f"tfrecs: {str(stop) or 'Stopped.'}", file=sys.stderr)
        return getattr(stop, "exit_code", 130)
    except Exception as error:
        said = one_line(error)
        if said is None or os.environ.get("TFRECS_TRACEBACK") == "1":
            raise
        print(f"tfrecs: {said}", file=sys.stderr)
        return 2


def _run(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(USAGE, end="")
        return 0
    if argv[0] == "--version":
        print(f"tfrecs {__version__}")
        return 0
    name, *rest = argv
    if name not in COMMANDS:
        kind = "option" if name.startswith("-") else "command"
        raise UserError(f"there is no {kind} {name!r}. {choose(name, COMMANDS)}")
    with quiet_import():
        command = importlib.import_module(f"tfrecs.cli.{name}")
    return command.run(rest) or 0
