"""Recipes: one YAML file a published result, in the words of `tfrecs train`.

`tfrecs train --recipe sasrec-ml-1m --output runs/recipe` repeats one. The file says what it
reaches, on which data, and where these come from.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["names", "path"]

_FOLDER = Path(__file__).parent


def names() -> tuple[str, ...]:
    """The names of the recipes that come with the package.

    Example:
        >>> import tfrecs
        >>> "sasrec-ml-1m" in tfrecs.recipes.names()
        True
    """
    return tuple(sorted(file.stem for file in _FOLDER.glob("*.yaml")))


def path(recipe: str | os.PathLike[str]) -> Path:
    """The YAML file of a recipe.

    Args:
        recipe: A name, or the path of a file of one's own.

    Returns:
        The file.

    Raises:
        FileNotFoundError: If there is neither.

    Example:
        >>> import tfrecs
        >>> tfrecs.recipes.path("sasrec-ml-1m").name
        'sasrec-ml-1m.yaml'
    """
    if str(recipe) in names():
        return _FOLDER / f"{recipe}.yaml"
    if Path(recipe).is_file():
        return Path(recipe)
    raise FileNotFoundError(
        f"There is no recipe {str(recipe)!r}, by name or as a file. "
        f"There are: {', '.join(names())}."
    )
