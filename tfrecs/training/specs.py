"""Objects as plain data and back, as config.yaml describes a run's model and optimizer.

A spec is the form that command lines and YAML files use:

```yaml
class_path: tfrecs.models.SASRec
init_args:
  dim: 64
  loss:
    class_path: tfrecs.losses.SampledSoftmax
    init_args: {num_negatives: 256}
```
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tfrecs._keras import keras
from tfrecs.configured import bind, constructor_arguments, made
from tfrecs.data import RowSplit, Split
from tfrecs.models import Model
from tfrecs.training.allowed import ConfigError, class_path, find_class

Spec = dict[str, Any]

# Arguments of every Keras object that do not describe a run.
KERAS_ARGUMENTS = frozenset(
    {"name", "trainable", "dtype", "dynamic", "inputs", "outputs", "mesh", "jit_compile"}
)


def describe(instance: Any, *, skip: tuple[str, ...] = ()) -> Spec:
    """Returns the spec of a Keras object, from its `get_config`.

    Args:
        instance: A model, layer, loss or optimizer.
        skip: Arguments that come from elsewhere when it is built again.

    Example:
        >>> import tfrecs
        >>> describe(tfrecs.losses.SampledSoftmax(64, seed=1), skip=("negatives",))["class_path"]
        'tfrecs.losses.SampledSoftmax'
    """
    arguments = constructor_arguments(type(instance)) - KERAS_ARGUMENTS - set(skip)
    arguments -= set(getattr(instance, "data_arguments", ()))
    config = instance.get_config()
    return {
        "class_path": class_path(type(instance)),
        "init_args": {name: _plain(value) for name, value in config.items() if name in arguments},
    }


def build(spec: Spec, *arguments: Any, split: Split | None = None, **more: Any) -> Any:
    """Returns a new object that a spec describes.

    Args:
        spec: `{"class_path": .., "init_args": ..}`; `init_args` may be missing.
        *arguments: First arguments of its constructor, before those of the spec.
        split: The training data of layers that hold some; see `built_arguments`.
        **more: Further arguments by name.

    Raises:
        ConfigError: If there is no such class, or none that a config may name; see `allowed`. Or if
            its constructor refuses the type of an argument.

    Example:
        >>> loss = build({"class_path": "tfrecs.losses.SampledSoftmax"}, num_negatives=8)
        >>> loss.num_negatives
        8
    """
    found = built_arguments(spec, split) | more
    cls = find_class(spec["class_path"])
    try:
        return cls(*arguments, **found) if arguments else made(cls, found, split)
    except TypeError as error:
        raise ConfigError(f"{spec['class_path']}: {error}") from error


def build_model(
    model: type[Model],
    model_args: Mapping[str, Any] | Callable[[Any], Mapping[str, Any]] | None,
    parts: Split | RowSplit,
) -> Model:
    """Returns the model of a split; its arguments are given, or a function of the split."""
    if callable(model_args):
        return model.from_split(parts, **model_args(parts))
    # Layers are rebuilt: they would remember an earlier training.
    return model.from_split(
        parts,
        **{
            name: bind(value, parts) if isinstance(value, keras.layers.Layer) else value
            for name, value in (model_args or {}).items()
        },
    )


def built_arguments(spec: Spec, split: Split | None = None) -> dict[str, Any]:
    """Returns the arguments of a spec, with the objects among them built.

    Args:
        spec: As in `build`.
        split: Where it is given, layers that hold training data, such as `negatives.KnownItems`,
            are filled from this split, and the spec need not name the data.
    """
    return {name: _built(value, split) for name, value in (spec.get("init_args") or {}).items()}


def _built(value: Any, split: Split | None) -> Any:
    if isinstance(value, dict) and isinstance(value.get("class_path"), str):
        return build(value, split=split)
    if isinstance(value, dict):
        return {name: _built(part, split) for name, part in value.items()}
    return [_built(part, split) for part in value] if isinstance(value, list) else value


def _plain(value: Any) -> Any:
    if isinstance(value, dict) and {"class_name", "config"} <= set(value):
        return describe(keras.utils.deserialize_keras_object(value))
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value.item() if hasattr(value, "item") else value
