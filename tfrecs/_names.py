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
    """The name without hyphens, underscores and capitals: `sampled_softmax` is `SampledSoftmax`."""
    return re.sub(r"[-_]", "", name).lower()


def public_classes(*rooms: ModuleType, base: type | None = None) -> dict[str, type]:
    """The public classes of some modules by their simplified name.

    Args:
        *rooms: The modules.
        base: Only classes derived from this one, itself left out.

    Returns:
        Simplified name to class; of two rooms with one name the later counts.
    """
    found = {}
    for room in rooms:
        for name, value in inspect.getmembers(room, inspect.isclass):
            if base is None or (issubclass(value, base) and value is not base):
                found[simplified(name)] = value
    return found


def choose(wrong: str, names: Iterable[str]) -> str:
    """Suggests what to write for a wrong name.

    Args:
        wrong: What was written.
        names: What could have been.

    Returns:
        A sentence.

    Example:
        >>> choose("evalute", ["train", "evaluate"])
        "Did you mean 'evaluate'? Choose from: train, evaluate."
    """
    named = {simplified(name): name for name in names}
    close = difflib.get_close_matches(simplified(wrong), named, n=1)
    question = f"Did you mean {named[close[0]]!r}? " if close else ""
    return f"{question}Choose from: {', '.join(named.values())}."


def renamed(module: str, names: Mapping[str, str]) -> Callable[[str], Any]:
    """Returns the `__getattr__` of a module by which its old names work, with a warning.

    Args:
        module: Name of the module.
        names: The new name of each old one.
    """

    def find(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        warnings.warn(
            f"{module}.{name} is now {module}.{names[name]}.", FutureWarning, stacklevel=2
        )
        return getattr(sys.modules[module], names[name])

    return find
