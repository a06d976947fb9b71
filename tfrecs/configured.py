"""Arguments of constructors: objects remember them, and one function checks integers."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

from tfrecs._keras import keras

# Keras sets these attributes late, and asks for them before.
_OF_KERAS = frozenset(("loss", "metrics", "name", "dtype", "trainable"))
C = TypeVar("C", bound=type)


def registered(cls: C) -> C:
    """Registers a class with Keras under the package's name, so that configs can name it."""
    keras.utils.register_keras_serializable("tfrecs")(cls)
    return cls


class Configured:
    """Gives a Keras class its `get_config`: the arguments that its constructor was given.

    It must stand before the Keras class among the bases. Each argument is an attribute too, unless
    the class sets an attribute of that name. A constructor gets objects where a config describes
    them, so a subclass never takes configs apart. `remember` replaces an argument in the config,
    such as an array by its size.

    Example:
        >>> from tfrecs._keras import keras
        >>> class Scale(Configured, keras.layers.Layer):
        ...     def __init__(self, factor=2.0, **kwargs):
        ...         super().__init__(**kwargs)
        ...
        ...     def call(self, inputs):
        ...         return self.factor * inputs
        >>> Scale(3.0, name="scale").get_config()["factor"]
        3.0
    """

    _remembered: _Remembered

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):
            cls.__init__ = _remembering(cls.__init__)  # type: ignore[method-assign]

    def __getattr__(self, name: str) -> Any:
        remembered = self.__dict__.get("_remembered")
        if remembered is None or name in _OF_KERAS or name not in remembered.values:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return remembered.values[name]

    def remember(self, **arguments: Any) -> None:
        """Replaces arguments in the config; names that the constructor lacks are ignored."""
        for remembered in (self._remembered.arguments, self._remembered.values):
            remembered.update({n: value for n, value in arguments.items() if n in remembered})

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor, ready for JSON."""
        config = {name: plain(value) for name, value in self._remembered.arguments.items()}
        return {**config, **super().get_config(), "name": self.name}  # type: ignore[misc]


class _Remembered:
    """Arguments in a form that neither Keras nor TensorFlow looks into for weights.

    Attributes:
        arguments: The arguments of the object's own constructor by name.
        values: What reads as an attribute: these, and the arguments of base classes.
        open: Whether the constructors called so far pass further arguments on.
    """

    def __init__(self) -> None:
        self.arguments: dict[str, Any] = {}
        self.values: dict[str, Any] = {}
        self.open = True


def _remembering(init: Callable[..., None]) -> Callable[..., None]:
    signature = inspect.signature(init)
    passes_on = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())

    @functools.wraps(init)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> None:
        args = tuple(built(value) for value in args)
        kwargs = {name: built(value) for name, value in kwargs.items()}
        try:
            bound = signature.bind(self, *args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{type(self).__name__}: {error}.") from None
        given = set(bound.arguments)
        bound.apply_defaults()
        # Past Keras, which would take what is inside for parts of this object.
        remembered = self.__dict__.get("_remembered")
        outermost = remembered is None
        if outermost:
            remembered = self.__dict__["_remembered"] = _Remembered()
        for parameter in list(signature.parameters.values())[1:]:
            name, value = parameter.name, bound.arguments[parameter.name]
            if parameter.kind is parameter.VAR_KEYWORD:
                remembered.arguments.update(value if outermost else {})
                continue
            if outermost or (remembered.open and name not in given):
                # Of a base class: defaults that could have been given to the subclass.
                remembered.arguments.setdefault(name, value)
            # What a subclass passes on counts in its base too; a base's default does not.
            if name in given or name not in remembered.values:
                remembered.values[name] = value
        remembered.open &= passes_on
        init(self, *args, **kwargs)

    return wrapped


def constructor_arguments(cls: type) -> set[str]:
    """Returns the names of a constructor's arguments, with those that **kwargs pass on.

    Example:
        >>> from tfrecs._keras import keras
        >>> {"units", "name"} <= constructor_arguments(keras.layers.Dense)
        True
    """
    names: set[str] = set()
    for base in cls.__mro__:
        if "__init__" not in vars(base):
            continue
        parameters = inspect.signature(vars(base)["__init__"]).parameters.values()
        names |= {p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return names - {"self"}


def built(value: Any) -> Any:
    """Returns a value with every Keras config in it replaced by the object that it describes."""
    if isinstance(value, dict):
        if isinstance(value.get("class_name"), str) and "config" in value:
            # Keras takes entries out of the config that it is given.
            return keras.utils.deserialize_keras_object(copy.deepcopy(value))
        return {name: built(part) for name, part in value.items()}
    if type(value) in (list, tuple):
        return type(value)(built(part) for part in value)
    return value


def plain(value: Any) -> Any:
    """Returns a value ready for JSON: objects as Keras configs, tuples as lists."""
    if hasattr(value, "get_config"):
        config = keras.utils.serialize_keras_object(value)
        for part in ("build_config", "compile_config"):  # How it was used, not how it was made.
            config.pop(part, None)
        return config
    if isinstance(value, Mapping):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if callable(value):
        return keras.activations.serialize(value)
    return value.item() if hasattr(value, "item") and not getattr(value, "shape", ()) else value


def bind(value: Any, split: Any) -> Any:
    """Returns a layer, untrained, or a config whose parts hold the training data of `split`.

    A class that holds training data (known items, counts) names these arguments of its constructor
    in `data_arguments`, and has a class method `from_split(split, **others)`. Its config keeps only
    sizes. Other layers are built again from their config, and other values returned unchanged.
    """
    if isinstance(value, keras.layers.Layer):
        return built(bind(plain(value), split))
    if isinstance(value, list | tuple):
        return [bind(part, split) for part in value]
    if not isinstance(value, dict):
        return value
    bound = {name: bind(part, split) for name, part in value.items()}
    cls = keras.utils.get_registered_object(value.get("registered_name"))
    holds_data = "config" in value and hasattr(cls, "data_arguments")
    return made(cls, bound["config"], split) if holds_data else bound


def made(cls: Any, arguments: dict[str, Any], split: Any = None) -> Any:
    """Returns an object of a class, made of arguments and of the training data of `split`."""
    if split is None or not hasattr(cls, "data_arguments"):
        return cls(**arguments)
    others = {name: x for name, x in arguments.items() if name not in cls.data_arguments}
    return cls.from_split(split, **others)


def part_seeds(seed: int | None, factor: int = 1000, step: int = 1) -> Callable[[int], int | None]:
    """Returns a function that gives each part of a model or layer, by its number, a seed.

    Args:
        seed: The seed of the whole; None for parts without a seed.
        factor: Distance between the parts' seeds of two successive seeds.
        step: Distance between the seeds of two parts, which may have parts too.

    Example:
        >>> part_seed = part_seeds(7, step=100)
        >>> part_seed(0), part_seed(1)
        (7000, 7100)
    """
    return lambda index: None if seed is None else factor * seed + step * index


def check_integer(name: str, value: Any, least: int) -> None:
    """Refuses an argument that is no integer, or is too small.

    Args:
        name: Its name, for the error.
        value: The argument.
        least: The smallest number that it may be.

    Raises:
        TypeError: If it is no integer.
        ValueError: If it is below `least`.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} must be an integer, not {value!r}.")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, not {value}.")
