"""Negatives: which items a positive is compared with, and how likely each was to be drawn."""

from tfrecs.negatives.combined import Hardest, Mixed
from tfrecs.negatives.cross_batch import CrossBatch
from tfrecs.negatives.frequency import ItemFrequency, StreamingFrequency
from tfrecs.negatives.in_batch import InBatch
from tfrecs.negatives.known import KnownItems
from tfrecs.negatives.mined import HardNegativeMining, Mined
from tfrecs.negatives.popularity import Popularity
from tfrecs.negatives.replicas import all_gather
from tfrecs.negatives.same_value import SameValue
from tfrecs.negatives.sample import Negatives, Sample
from tfrecs.negatives.uniform import Uniform

__all__ = [
    "CrossBatch",
    "HardNegativeMining",
    "Hardest",
    "InBatch",
    "ItemFrequency",
    "KnownItems",
    "Mined",
    "Mixed",
    "Negatives",
    "Popularity",
    "SameValue",
    "Sample",
    "StreamingFrequency",
    "Uniform",
    "all_gather",
]
