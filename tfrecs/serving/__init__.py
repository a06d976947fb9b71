"""Exports: from a trained model to a SavedModel that serves, and recommendations out of one.

All names load at their first use: reading an export needs TensorFlow alone, and asking a server for
one by REST not even that.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfrecs.serving.block_top_k import BlockTopK
    from tfrecs.serving.client import Client
    from tfrecs.serving.exporter import export
    from tfrecs.serving.recommender import Recommender
    from tfrecs.serving.serving_error import ServingError
    from tfrecs.serving.vectors import write_vectors
    from tfrecs.serving.verification import verify

__all__ = [
    "BlockTopK",
    "Client",
    "Recommender",
    "ServingError",
    "export",
    "verify",
    "write_vectors",
]

_FILES = {
    "BlockTopK": "block_top_k",
    "Client": "client",
    "Recommender": "recommender",
    "ServingError": "serving_error",
    "export": "exporter",
    "verify": "verification",
    "write_vectors": "vectors",
}


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first asked for."""
    if name in _FILES:
        return getattr(importlib.import_module(f"tfrecs.serving.{_FILES[name]}"), name)
    raise AttributeError(f"module 'tfrecs.serving' has no attribute {name!r}")


def __dir__() -> list[str]:
    """The public names, loaded or not."""
    return sorted(__all__)
