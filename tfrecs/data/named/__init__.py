"""Data sets known by name."""

from tfrecs.data.named.catalogue import cache_folder, dataset_names, load

__all__ = ["cache_folder", "dataset_names", "load"]
