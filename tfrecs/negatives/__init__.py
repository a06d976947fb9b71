"""Negatives: which items a positive is compared with, and how likely each was to be drawn."""

from tfrecs.negatives.uniform import Sample, Uniform

__all__ = ["Sample", "Uniform"]
