"""Negatives: which items a positive is compared with, and how likely each was to be drawn."""

from tfrecs.negatives.frequency import ItemFrequency, StreamingFrequency
from tfrecs.negatives.replicas import all_gather
from tfrecs.negatives.uniform import Sample, Uniform

__all__ = ["ItemFrequency", "Sample", "StreamingFrequency", "Uniform", "all_gather"]
