"""Optimizers: one pass over the weights, or only over the rows a batch touched."""

from tfrecs.optimizers.adam import Adam, LazyAdam
from tfrecs.optimizers.sgd import SGD

__all__ = ["SGD", "Adam", "LazyAdam"]
