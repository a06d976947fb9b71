"""Parsers whose errors are one line, and class names as a person writes them."""

from __future__ import annotations

import argparse
import difflib
import importlib
import re
import sys
import textwrap
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

from jsonargparse import ArgumentParser, DefaultHelpFormatter, Namespace

from tfrecs._names import choose, public_classes, simplified
from tfrecs.cli.errors import UserError

if TYPE_CHECKING:
    from tfrecs.training import Run


# Arguments of every layer and model, which say nothing of what a class does.
_OF_KERAS = {"name", "dtype", "trainable", "dynamic", "autocast", "activity_regularizer"}


class _Formatter(DefaultHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of a description and of examples."""


def new_parser(command: str, description: str, example: str) -> ArgumentParser:
    """Returns a parser for a command, whose errors `parse` turns into one line."""
    return ArgumentParser(
        prog=f"tfrecs {command}",
        description=description,
        epilog="example:\n" + textwrap.indent(example, "  "),
        formatter_class=_Formatter,
        exit_on_error=False,
        allow_abbrev=False,
    )


def say_if_unfinished(run: Run) -> None:
    """Says on standard error that a run was stopped, and that its best epoch so far counts."""
    if run.exists and not run.finished:
        print(
            f"tfrecs: {run.folder} is not finished: this is its best epoch so far. Go on with it "
            f"by: tfrecs train --resume {run.folder}",
            file=sys.stderr,
        )


def parse(parser: ArgumentParser, argv: Sequence[str]) -> Namespace:
    """Parses a command line; raises a `UserError` if the arguments are wrong."""
    try:
        return parser.parse_args(list(argv))
    except argparse.ArgumentError as error:
        raise UserError(_one_line(parser, str(error))) from error


def class_names(*rooms: ModuleType, base: type | None = None) -> dict[str, str]:
    """Returns the import path of each of the rooms' `public_classes`, by simplified name."""
    return {
        name: f"{room.__name__}.{cls.__name__}"
        for room in rooms
        for name, cls in public_classes(room, base=base).items()
    }


def with_class_paths(argv: Sequence[str], options: dict[str, dict[str, str]]) -> list[str]:
    """Replaces class names as a person writes them by import paths.

    `options` has the result of `class_names` for each option that takes a class, by the last part
    of its name.
    """
    replaced = []
    expected: str | None = None
    for word in argv:
        option, equals, value = word.partition("=")
        if expected is not None and not word.startswith("-"):
            replaced.append(_path(expected, word, options))
            expected = None
        elif option.startswith("--") and (kind := _kind(option)) in options:
            if equals:
                value = _path(kind, value, options)
            expected = None if equals else kind
            replaced.append(f"{option}{equals}{value}")
        else:
            expected = None
            replaced.append(word)
    return replaced


def _kind(option: str) -> str:
    return option.removeprefix("--").removesuffix(".help").rpartition(".")[2]


def _path(kind: str, value: str, options: dict[str, dict[str, str]]) -> str:
    names = options[kind]
    # A dotted path, a file, inline YAML and "null" are for the parser.
    if re.search(r"[./{\\]", value) or value in ("null", "None"):
        return value
    if simplified(value) not in names:
        known = [path.rpartition(".")[2] for path in names.values()]
        raise UserError(f"there is no {kind} {value!r}. {choose(value, known)}")
    return names[simplified(value)]


def _one_line(parser: ArgumentParser, message: str) -> str:
    actions: list[Any] = parser._actions
    unknown = re.search(r"[Uu]nrecognized arguments: (\S+)", message)
    if unknown:
        option = unknown[1].partition("=")[0]
        options = [name for action in actions for name in action.option_strings]
        close = difflib.get_close_matches(option, options, n=1)
        hint = f"did you mean {close[0]}?" if close else f"see `{parser.prog} --help`"
        return f"there is no option {option}: {hint}"
    # Behind "Given value" stands what the user wrote, which may be anything.
    faults = message.split("Given value")[0]
    nested = re.findall(r"class_path '(tfrecs\.[\w.]+)':\s*(?:Option|the following)", faults)
    if nested:
        return _of_class(nested[-1], faults)
    missing = re.search(r"arguments are required: (.*)", message)
    if missing:
        names = {action.dest: action.option_strings[-1:] or [action.dest] for action in actions}
        absent = [name for dest in missing[1].split(", ") for name in names.get(dest, [dest])]
        return f"missing: {', '.join(absent)} (see `{parser.prog} --help`)"
    lacking = re.search(r"argument (--\S+): expected one argument", message)
    if lacking:
        name = lacking[1]
        return f"{name} needs a value; one that begins with - is given as {name}=-1"
    # The library writes for programmers; a person needs the place and the reason.
    for pattern, plain in (
        (r"Given value type:.*?(?=Given value:|$)", ""),
        (r"Given value: NestedArg.*", ""),
        (r"<class 'bool'>\s*- Expected a typing.Literal\['auto'\]", "true, false or auto\n- "),
        (
            r"Does not validate against any of the Union subtypes.*?Errors:\s*- (.*?)"
            r"\s*- .*?(?=Given value:|$)",
            r"\1 ",
        ),
        (r"(?:Problem with given class_path|Parser key) [\"']([\w.]+)[\"']:", r"\1:"),
        (r"<class '(\w+)'>", r"\1"),
        (r"Expected an? (?:typing\.)?", "expected "),
        (r"(?<=\w)\s+Given value:", ". Got value:"),
    ):
        message = re.sub(pattern, plain, message, flags=re.S)
    flag = re.match(r"[\w.]+(?=:)", message)
    if flag and any(f"--{flag[0]}" in action.option_strings for action in actions):
        message = f"--{message}"
    return " ".join(message.split())


def _of_class(path: str, message: str) -> str:
    """Returns an error about the arguments of a class of the package that flags or a file name."""
    keys = re.findall(r"Parser key \"([\w.]+)\"", message)
    flag, name = "--" + ".".join(keys), path.rpartition(".")[2]
    missing = re.search(r"arguments are required: ([^\n]*)", message)
    if missing:
        absent = ", ".join(f"{flag}.{argument}" for argument in missing[1].split(", "))
        return f"missing, for {name}: {absent}"
    option = re.search(r"Option '([\w.]+)' is not accepted", message)
    wrong = option[1] if option else ""
    from tfrecs.configured import constructor_arguments

    module, _, cls = path.rpartition(".")
    known = sorted(constructor_arguments(getattr(importlib.import_module(module), cls)) - _OF_KERAS)
    text = f"{flag}: '{wrong}' is not accepted by {name}. {choose(wrong, known)}"
    if name == "Loss":
        text = f"{flag}: name a loss that takes {wrong!r}, such as {flag} sampled_softmax"
    return text
