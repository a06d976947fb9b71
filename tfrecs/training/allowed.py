"""The classes that a config may name. A file from a stranger is data: it runs no code.

A config builds only classes on a list: public classes of tfrecs, classes that the running program
has registered itself, and harmless ones of Keras. No name in a file leads to an import. The whole
config is checked, at every depth, before anything is built.
"""

from __future__ import annotations

import functools
import importlib.util
import inspect
import json
import os
import re
from pathlib import Path
from typing import Any

import yaml

from tfrecs import layers, losses, models, negatives, optimizers, tasks
from tfrecs._keras import keras
from tfrecs._names import choose, public_classes

# Rooms whose classes a spec may name.
_ROOMS = (layers, losses, models, negatives, optimizers, tasks)
# Keras's modules and the base of the classes that a config may name in each. Metrics that wrap a
# function are left out.
_KERAS_ROOMS = {
    "initializers": "Initializer",
    "regularizers": "Regularizer",
    "constraints": "Constraint",
    "optimizers": "Optimizer",
    "optimizers.schedules": "LearningRateSchedule",
    "losses": "Loss",
    "metrics": "Metric",
}
_LEFT_OUT = {"MeanMetricWrapper", "SumOverBatchSizeMetricWrapper"}
_FOREIGN = ("keras", "tf_keras", "tensorflow", "tensorflow_recommenders")
_MOST_DEPTH = 64
_LARGEST = 2**31
# Settings by which the size of a model grows, and their largest value.
_SIZES = re.compile(r"(dim|units|blocks|heads|length|layers|experts|negatives|trials)(\[\d+\])?$")
_LARGEST_SIZE = 10**6
# Settings whose value is a class. The parser of command lines imports a string there, or reads it
# as a file.
_SAMPLING = ("negatives", "candidates", "samplers", "known", "popularity", "frequency")
_CLASSES = frozenset(("model", "optimizer", "loss", "task", *_SAMPLING))
# In bytes. Settings alone, without vocabularies, are a few kilobytes.
_MOST_SETTINGS = 1 << 20
_MOST_MODEL = 1 << 31


class ConfigError(ValueError):
    """A config that is refused before anything is built from it."""


def check_config(config: Any, where: str) -> None:
    """Refuses a config that names a class off the list, is nested too deep or holds absurd sizes.

    Args:
        config: Plain data with specs (`class_path`) or Keras configs (`class_name`) anywhere.
        where: The name of its source, for errors.

    Raises:
        ConfigError: At the first fault.
    """
    # Without recursion: a stranger's config may be nested very deep.
    pending: list[tuple[Any, str, int]] = [(config, "", 0)]
    while pending:
        value, name, depth = pending.pop()
        place = f"{where}: {name.removeprefix('.') or 'the config'}"
        if depth > _MOST_DEPTH:
            raise ConfigError(f"{where} is nested more than {_MOST_DEPTH} levels deep.")
        if isinstance(value, dict):
            _check_class(value, place)
            pending += [(part, f"{name}.{key}", depth + 1) for key, part in value.items()]
        elif isinstance(value, list | tuple):
            sizes = _SIZES.search(name) is not None  # Else it may be a vocabulary.
            pending += [
                (part, f"{name}[{i}]", depth + 1)
                for i, part in enumerate(value)
                if sizes or isinstance(part, dict | list | tuple)
            ]
        elif isinstance(value, int | float) and not name.endswith("seed"):
            most = _LARGEST_SIZE if _SIZES.search(name) else _LARGEST
            if isinstance(value, int) and abs(value) > most:
                raise ConfigError(f"{place} is {value}, which no setting can be.")


def check_settings(settings: Any, where: str) -> None:
    """Refuses settings of a run that name a class off the list, also by a mere string."""
    check_config(settings, where)
    if not isinstance(settings, dict):
        return
    for name in ("config", "recipe"):
        if name in settings:
            raise ConfigError(f"{where}: settings may not name others: {name}. Give it as a flag.")
    parts = ("model", "optimizer")
    pending = [(str(n), part) for n, part in settings.items() if str(n).split(".")[0] in parts]
    while pending:
        name, value = pending.pop()
        if isinstance(value, dict):
            pending += [(str(key), part) for key, part in value.items()]
        elif isinstance(value, list):
            pending += [(name, part) for part in value]
        elif isinstance(value, str):
            of_class = name.split(".")[-1] in _CLASSES
            # The parser would import a path, and read a file.
            if _imports(value) or (
                of_class and (re.search(r"[./\\]", value) or os.path.exists(value))
            ):
                try:
                    find_class(value)
                except ConfigError as error:
                    raise ConfigError(f"{where}: {name}: {error}") from None


def check_model_settings(settings: Any, where: str) -> None:
    """Refuses a part of settings, a spec or a class's name; see `check_settings`."""
    check_settings({"model": settings}, where)


def _imports(value: str) -> bool:
    """Returns whether a string names something in a module that could be imported."""
    top, dot, rest = value.partition(".")
    if not dot or not all(part.isidentifier() for part in (top, *rest.split("."))):
        return False
    return importlib.util.find_spec(top) is not None  # It runs nothing.


def find_class(class_path: Any) -> type:
    """Returns the class of a path such as "tfrecs.models.SASRec" or "tf_keras.optimizers.SGD".

    Raises:
        ConfigError: If it is not on the list.

    Example:
        >>> find_class("tfrecs.losses.BPR").__name__
        'BPR'
    """
    # Keras goes by several names.
    path = re.sub(r"^(tensorflow\.|tf\.)?keras\.", "tf_keras.", str(class_path))
    allowed = _by_path()
    registered = keras.utils.get_custom_objects().values()
    own = {f"{cls.__module__}.{cls.__qualname__}": cls for cls in registered if _is_own(cls)}
    found = allowed.get(path) or own.get(path)
    if found is None:
        names = [known for known in allowed if known.rpartition(".")[2] == path.rpartition(".")[2]]
        hint = choose(path, names) if names else "It must be one of tfrecs or Keras."
        shown = str(class_path)[:100]
        raise ConfigError(f"There is no class {shown!r} that a config may name. {hint}")
    return found


def class_path(cls: type) -> str:
    """Returns the shortest path by which `find_class` finds a class: its room's, not its file's."""
    paths = [path for path, known in _by_path().items() if known is cls]
    named = [path for path in paths if path.endswith(f".{cls.__name__}")]  # Keras has aliases.
    return min(named, key=len, default=f"{cls.__module__}.{cls.__qualname__}")


def read_settings(path: Path) -> Any:
    """Returns the settings in a YAML file, once `check_settings` has passed them."""
    config = settings_of(_text(path, _MOST_SETTINGS), str(path))
    check_settings(config, str(path))
    return config


def settings_of(text: str, where: str) -> Any:
    """Returns the values of YAML text; refuses other text, and aliases."""
    try:
        return yaml.load(text, _PlainLoader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ConfigError(f"{where} cannot be read: {_first_line(error)}") from error


def read_model_config(path: Path) -> Any:
    """Returns the description of a model in a JSON file, once `check_config` has passed it."""
    try:
        config = json.loads(_text(path, _MOST_MODEL))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} cannot be read: {_first_line(error)}") from error
    check_config(config, str(path))
    return config


class _PlainLoader(yaml.SafeLoader):
    """Loads YAML without aliases: a few lines of them stand for billions of values."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Refuses an alias."""
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise yaml.YAMLError(f"line {mark.line + 1} has an alias (*), which settings may not.")
        return super().compose_node(parent, index)


def _text(path: Path, most: int) -> str:
    if path.is_symlink() or path.exists():
        size = path.stat().st_size
        if not path.is_file() or size > most:
            raise ConfigError(f"{path} is no file of settings, or larger than {most:,} bytes.")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text: {error}") from error


def _first_line(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    return " ".join(str(error).split())[:300]


def _check_class(config: dict[Any, Any], place: str) -> None:
    """Refuses one dictionary that names a class off the list."""
    # A column of data may have these names too, but its value is no string.
    if isinstance(config.get("class_path"), str):
        try:
            find_class(config["class_path"])
        except ConfigError as error:
            raise ConfigError(f"{place}: {error}") from None
    if not isinstance(config.get("class_name"), str):
        return
    name, module, registered = (
        config.get(key) for key in ("class_name", "module", "registered_name")
    )
    # As Keras itself looks: by the registered name, and else in the module, which it imports.
    key = registered if module is not None else registered or name
    own = None if key is None else keras.utils.get_registered_object(str(key))
    if own is not None:
        fine = _is_own(own)
    elif module is None:  # Keras's older form, as its own configs still use it for some parts.
        fine = any(name in names for names in _keras_names().values())
    else:
        fine = name in _keras_names().get(str(module), ())
    if not fine:
        shown = ".".join(str(part)[:80] for part in (module, name) if part)
        raise ConfigError(f"{place}: a config may not build {shown!r}.")


def _is_own(cls: Any) -> bool:
    """Returns whether tfrecs or the program registered it, and not TensorFlow, Keras or TFRS."""
    return isinstance(cls, type) and cls.__module__.split(".")[0] not in _FOREIGN


@functools.cache
def _keras_names() -> dict[str, frozenset[str]]:
    """Returns the names that a Keras config may have, by the module that it gives."""
    names = {}
    for room, base_name in _KERAS_ROOMS.items():
        part = functools.reduce(getattr, room.split("."), keras)
        base = getattr(part, base_name)
        classes = inspect.getmembers(part, inspect.isclass)
        found = {name for name, cls in classes if issubclass(cls, base) and cls is not base}
        names[f"keras.{room}"] = frozenset(found - _LEFT_OUT)
    return names


@functools.cache
def _by_path() -> dict[str, type]:
    """Returns the classes on the list by the path that a spec gives."""
    found: dict[str, type] = {}
    for room in _ROOMS:
        for cls in public_classes(room).values():
            found[f"{room.__name__}.{cls.__name__}"] = cls
            found[f"{cls.__module__}.{cls.__qualname__}"] = cls
    for room_name, names in _keras_names().items():
        part = functools.reduce(getattr, room_name.split(".")[1:], keras)
        for name in names:
            cls = getattr(part, name)
            found[f"tf_{room_name}.{name}"] = cls
            found[f"{cls.__module__}.{cls.__qualname__}"] = cls
    return found
