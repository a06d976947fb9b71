"""Exports: a SavedModel that serves from a trained model, and answers from it.

All names load at their first use: reading an export needs TensorFlow alone, and asking a server by
REST needs not even that.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfrecs.serving.client.answers import ServingError
    from tfrecs.serving.client.client import Client
    from tfrecs.serving.exports.exporter import export
    from tfrecs.serving.exports.vectors import write_vectors
    from tfrecs.serving.folder.replay import verify
    from tfrecs.serving.index.exact import BlockTopK
    from tfrecs.serving.recommender import Recommender

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
    "BlockTopK": "index.exact",
    "Client": "client.client",
    "Recommender": "recommender",
    "ServingError": "client.answers",
    "export": "exports.exporter",
    "verify": "folder.replay",
    "write_vectors": "exports.vectors",
}


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first asked for."""
    if name in _FILES:
        return getattr(importlib.import_module(f"tfrecs.serving.{_FILES[name]}"), name)
    raise AttributeError(f"module 'tfrecs.serving' has no attribute {name!r}")


def __dir__() -> list[str]:
    """The public names, loaded or not."""
    return sorted(__all__)
