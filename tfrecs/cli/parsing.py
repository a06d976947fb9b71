"""Parsers whose errors are one line, and names as a person writes them."""

from __future__ import annotations

import argparse
import difflib
import inspect
import re
from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import Any

from jsonargparse import ArgumentParser, Namespace

from tfrecs.cli.errors import UserError, choose


def parse(parser: ArgumentParser, argv: Sequence[str]) -> Namespace:
    """Parses a command line.

    Args:
        parser: A parser made with `exit_on_error=False`.
        argv: The arguments.

    Returns:
        What was parsed.

    Raises:
        UserError: If the arguments are wrong.
    """
    try:
        return parser.parse_args(list(argv))
    except argparse.ArgumentError as error:
        raise UserError(_one_line(parser, str(error))) from error


def class_names(*rooms: ModuleType, base: type | None = None) -> dict[str, str]:
    """How the public classes of some modules may be written, and the path of each.

    Upper and lower case, hyphens and underscores make no difference: `sampled_softmax` is
    `SampledSoftmax`.

    Args:
        *rooms: The modules.
        base: Only classes derived from this one, itself left out.

    Returns:
        Simplified name to import path.
    """
    found = {}
    for room in rooms:
        for name, value in inspect.getmembers(room, inspect.isclass):
            if base is None or (issubclass(value, base) and value is not base):
                found[_simplified(name)] = f"{room.__name__}.{name}"
    return found


def with_class_paths(argv: Sequence[str], options: dict[str, dict[str, str]]) -> list[str]:
    """Replaces class names as a person writes them by import paths.

    Args:
        argv: The arguments.
        options: For each option that takes a class, by the last part of its name: the classes, as
            `class_names` gives them.

    Returns:
        The arguments with import paths.

    Raises:
        UserError: If there is no such class.
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
    if _simplified(value) not in names:
        known = [path.rpartition(".")[2] for path in names.values()]
        raise UserError(f"there is no {kind} {value!r}. {choose(value, known)}")
    return names[_simplified(value)]


def _simplified(name: str) -> str:
    return re.sub(r"[-_]", "", name).lower()


def _one_line(parser: ArgumentParser, message: str) -> str:
    unknown = re.search(r"[Uu]nrecognized arguments: (\S+)", message)
    if unknown:
        option = unknown[1].partition("=")[0]
        close = difflib.get_close_matches(option, _options(parser), n=1)
        hint = f"did you mean {close[0]}?" if close else f"see `{parser.prog} --help`"
        return f"there is no option {option}: {hint}"
    # What the library adds for programmers.
    message = re.sub(r"Given value type:.*?(?=Given value:|$)", "", message, flags=re.S)
    message = re.sub(
        r"(?:Problem with given class_path|Parser key) [\"']([\w.]+)[\"']:", r"\1:", message
    )
    message = re.sub(r"<class '(\w+)'>", r"\1", message)
    return " ".join(message.split())


def _options(parser: ArgumentParser) -> Iterable[str]:
    actions: list[Any] = parser._actions
    return [option for action in actions for option in action.option_strings]
