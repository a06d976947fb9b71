"""What `train` is given, checked before anything is read or made."""

from __future__ import annotations

import os
from typing import Any

from tfrecs import models
from tfrecs._names import choose, public_classes, simplified
from tfrecs.models import Model
from tfrecs.training.runs import RunError


def model_class(model: Any) -> type[Model]:
    """Returns the class of a model that is given as such or by its name.

    Args:
        model: A class, or its name as the command line takes it, such as "sasrec".

    Raises:
        RunError: If there is no such model.

    Example:
        >>> model_class("two-tower").__name__
        'TwoTower'
    """
    if isinstance(model, str):
        classes = public_classes(models, base=Model)
        if simplified(model) not in classes:
            known = [cls.__name__ for cls in classes.values()]
            raise RunError(f"There is no model {model!r}. {choose(model, known)}")
        return classes[simplified(model)]
    if not isinstance(model, type) or not issubclass(model, Model):
        what = model.__name__ if isinstance(model, type) else f"an object, {type(model).__name__}"
        raise RunError(
            "model must be the class of a tfrecs model, such as tfrecs.models.SASRec, or its name, "
            f"not {what}. Its arguments go into model_args."
        )
    return model


def check_data(data: Any) -> None:
    """Refuses data that a run folder could not name, and so not read again to resume or to test.

    Args:
        data: What `train` is given.

    Raises:
        RunError: If it is neither a path nor a name.
    """
    if isinstance(data, str | os.PathLike):
        return
    raise RunError(
        f"data must be the path of a log or the name of a data set, not {type(data).__name__}: "
        "config.yaml names it, so that the run can be resumed and tested again. Write it to a file "
        '(frame.to_parquet("log.parquet"); of Interactions log.frame), or train without a run '
        "folder, by model.fit."
    )
