"""Optimizers: one pass over the weights, or only over the rows a batch touched."""

from tfrecs.optimizers.adam import Adam, LazyAdam

__all__ = ["Adam", "LazyAdam"]
