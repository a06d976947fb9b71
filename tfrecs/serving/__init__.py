"""Exports: from a trained model to a SavedModel that serves, and recommendations out of one.

Both names load at their first use: reading an export needs TensorFlow alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfrecs.serving.exporter import export
    from tfrecs.serving.recommender import Recommender

__all__ = ["Recommender", "export"]


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first asked for."""
    if name == "export":
        from tfrecs.serving.exporter import export

        return export
    if name == "Recommender":
        from tfrecs.serving.recommender import Recommender

        return Recommender
    raise AttributeError(f"module 'tfrecs.serving' has no attribute {name!r}")


def __dir__() -> list[str]:
    """The public names, loaded or not."""
    return sorted(__all__)
