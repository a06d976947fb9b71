"""Looks through what a command line and its files name, before the parser imports any of it."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path

from tfrecs.training.allowed import (
    ConfigError,
    check_config,
    find_class,
    read_settings,
    settings_of,
)


def check_words(argv: Sequence[str], kinds: Collection[str]) -> None:
    """Refuses classes that a config may not name: the parser would import them.

    Args:
        argv: The arguments, class names replaced by paths.
        kinds: The last parts of the names of options that take a class.

    Raises:
        ConfigError: At the first class that is off the list, or a file that cannot be read.
        OSError: If a file cannot be read.
    """
    words = list(argv)
    while words:
        option, equals, value = words.pop(0).partition("=")
        if not option.startswith("--"):
            continue
        if not equals:
            if not words or words[0].startswith("--"):
                continue
            value = words.pop(0)
        name = option.removeprefix("--").removesuffix(".help")
        if name == "config":
            if not Path(value).is_file():
                raise ConfigError(f"--config: there is no file {value}")
            if not isinstance(read_settings(Path(value)), dict):
                raise ConfigError(f"{value} holds no settings, such as the config.yaml of a run.")
        elif name.rpartition(".")[2] in {*kinds, "class_path"}:
            _check_value(option, value)
        elif re.match(r"\s*[{\[]", value):
            check_config(settings_of(value, option), option)


def _check_value(option: str, value: str) -> None:
    """Checks what stands for a class: its path, a file, or a spec as YAML."""
    if value in ("null", "None"):
        return
    if re.fullmatch(r"[\w.]+", value) and not Path(value).is_file():
        try:
            find_class(value)
        except ConfigError as error:
            raise ConfigError(f"{option}: {error}") from None
        return
    if Path(value).exists():
        read_settings(Path(value))
    else:
        check_config(settings_of(value, option), option)
