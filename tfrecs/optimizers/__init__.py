"""Optimizers: updates that touch only the rows a batch touched."""

from tfrecs.optimizers.lazy_adam import LazyAdam

__all__ = ["LazyAdam"]
