"""Rebuilds layers that store training data (known items, counts) for a new split.

Their configs store only sizes. Such a class has `of_the_split`, the names of those
arguments of its constructor, and a class method `from_split(split, **others)`. The arguments have
defaults, if only to be refused: a command line cannot give them.
"""

from __future__ import annotations

from typing import Any

from tfrecs._keras import keras


def is_of_split(cls: Any) -> bool:
    """Whether objects of the class, or this object, are made of a split's training data."""
    return hasattr(cls, "of_the_split")


def make_of_split(cls: Any, split: Any, arguments: dict[str, Any]) -> Any:
    """Returns an object of the class with what `split` has.

    Args:
        cls: A class for which `is_of_split` is true.
        split: A `Split`.
        arguments: Those of its constructor; what the split gives is left out.
    """
    others = {name: value for name, value in arguments.items() if name not in cls.of_the_split}
    return cls.from_split(split, **others)


def remade(layer: keras.layers.Layer, split: Any) -> keras.layers.Layer:
    """Returns a layer like that one: untrained, and with what `split` has."""
    config = with_split(layer.get_config(), split)
    cls = type(layer)
    return make_of_split(cls, split, config) if is_of_split(cls) else cls.from_config(config)


def with_split(config: Any, split: Any) -> Any:
    """Returns the config with every data-bound layer replaced by one built from `split`.

    Args:
        config: What a `get_config` returned, or a part of it.
        split: A `Split`.
    """
    if isinstance(config, list | tuple):
        return [with_split(part, split) for part in config]
    if not isinstance(config, dict):
        return config
    changed = {name: with_split(part, split) for name, part in config.items()}
    cls = keras.utils.get_registered_object(config.get("registered_name"))
    if "config" in config and is_of_split(cls):
        return make_of_split(cls, split, changed["config"])
    return changed
