"""Which layer takes in the numeric columns of a schema, and what it learns from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfrecs.data import Numeric
from tfrecs.layers.numeric import Discretization, PeriodicEncoding, Squashing
from tfrecs.layers.piecewise import PiecewiseLinearEmbedding
from tfrecs.layers.standardization import Standardization

# Name of the layer of numbers with bins of a decision tree; others are named by their encoding.
_TREE = "piecewise_tree"


def layer_name(column: Numeric) -> str:
    """Returns the name of the layer that a column shares with all that are encoded alike."""
    return _TREE if column.bins == "tree" else column.encoding


def numeric_layer(name: str, dim: int, num_bins: int, **arguments: Any) -> Any:
    """Returns the layer of a name from `layer_name`; `arguments` are its `seed` and `dtype`."""
    if name in ("squashing", "standard"):
        arguments.pop("seed")
        return (Squashing if name == "squashing" else Standardization)(name=name, **arguments)
    if name == "periodic":
        return PeriodicEncoding(max(dim // 2, 1), name=name, **arguments)
    if name == "discretization":
        return Discretization(dim, num_bins, name=name, **arguments)
    bins = "tree" if name == _TREE else "quantile"
    return PiecewiseLinearEmbedding(dim, num_bins, bins, name=name, **arguments)


def numeric_width(name: str, dim: int) -> int:
    """Returns the length of the vector that the layer of this name makes of a number."""
    if name in ("squashing", "standard"):
        return 1
    return 2 * max(dim // 2, 1) if name == "periodic" else dim


def adapt_numbers(
    layer: Any, columns: Sequence[str], values: np.ndarray, target: np.ndarray | None
) -> None:
    """Adapts a numeric layer to columns, whose `values` are `[rows, columns]`.

    Bins of trees need a `target` `[rows]`; rows whose target is NaN are left out.

    Raises:
        ValueError: If bins of trees have no such target.
    """
    if layer.name != _TREE:
        layer.adapt(values)
        return
    names = ", ".join(map(repr, columns))
    if target is None:
        raise ValueError(
            f"bins='tree' of {names} need a target for each row: adapt(columns, target), or rows "
            "with their label. Where rows have none, as the users and items of a two-tower model, "
            "use Numeric(bins='quantile')."
        )
    target = np.asarray(target)
    if target.shape != (len(values),):
        raise ValueError(
            f"The target of bins='tree' must be [{len(values)}], a number a row, not "
            f"{list(target.shape)}."
        )
    present = np.isfinite(target)
    if not present.any():
        raise ValueError(
            f"The target has no finite number, and bins='tree' of {names} learn from it: pass rows "
            "that have a label, or use Numeric(bins='quantile')."
        )
    layer.adapt(values[present], target[present])
