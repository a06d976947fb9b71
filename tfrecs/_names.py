"""Names of classes as a person writes them."""

from __future__ import annotations

import difflib
import inspect
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any


def simplified(name: str) -> str:
    """Returns a name without hyphens, underscores and capitals."""
    return re.sub(r"[-_]", "", name).lower()


def public_classes(*rooms: ModuleType, base: type | None = None) -> dict[str, type]:
    """Returns the classes of some modules by their simplified name.

    Only classes derived from `base` count, if given. A later room overrides an earlier one.
    """
    return {
        simplified(name): value
        for room in rooms
        for name, value in inspect.getmembers(room, inspect.isclass)
        if base is None or (issubclass(value, base) and value is not base)
    }


def choose(wrong: str, names: Iterable[str]) -> str:
    """Returns a sentence that suggests one of `names` for a wrong one.

    Example:
        >>> choose("evalute", ["train", "evaluate"])
        "Did you mean 'evaluate'? Choose from: train, evaluate."
    """
    named = {simplified(name): name for name in names}
    close = difflib.get_close_matches(simplified(wrong), named, n=1)
    question = f"Did you mean {named[close[0]]!r}? " if close else ""
    return f"{question}Choose from: {', '.join(named.values())}."


def renamed(module: str, names: Mapping[str, str]) -> Callable[[str], Any]:
    """Returns a module's `__getattr__`, by which old names work with a warning.

    `names` maps each old name to the new one.
    """

    def find(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        warnings.warn(
            f"{module}.{name} is now {module}.{names[name]}.", FutureWarning, stacklevel=2
        )
        return getattr(sys.modules[module], names[name])

    return find
