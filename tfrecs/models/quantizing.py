"""Product quantisation of a trained sequence model."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from tfrecs.models.sequence import SequenceModel

M = TypeVar("M", bound="SequenceModel")


def quantized_copy(model: M, code_length: int, num_centroids: int) -> M:
    """Returns a copy of a model whose items are product-quantised; see `SequenceModel.quantized`.

    Args:
        model: A trained model with a plain table of items.
        code_length: Codes of an item.
        num_centroids: Centroids of each sub-vector.

    Raises:
        ValueError: If the items' vectors are quantised already, or hold features.
    """
    if model.code_length:
        raise ValueError("The items of this model are product-quantised already.")
    config = {**model.get_config(), "code_length": code_length, "num_centroids": num_centroids}
    copy = type(model).from_config(config)
    kept = []
    for part in (model, copy):
        tables = [part.embedding, part.output_embedding]
        own = {id(v) for table in tables if table is not None for v in table.variables}
        kept.append([v for v in part.variables if id(v) not in own])
    for mine, theirs in zip(*kept, strict=True):
        theirs.assign(mine)
    for name in ("embedding", "output_embedding"):
        if (trained := getattr(model, name)) is not None:
            getattr(copy, name).quantize(trained.rows().numpy())
    return copy
