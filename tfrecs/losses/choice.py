"""The loss that a model is given, by its name or as an object."""

from __future__ import annotations

from typing import Any

from tfrecs import losses
from tfrecs._names import choose, public_classes, simplified
from tfrecs.losses.base import Loss


def choose_loss(given: Any, model: str, *, products: bool = True) -> Any:
    """Returns the loss that a model is given, or None for its default.

    Args:
        given: A loss; its name as the command line takes it, such as "bpr"; or None.
        model: Name of the model's class, for errors.
        products: Whether the model's scores are products of vectors, as some losses need.

    Raises:
        TypeError: If it is no loss that the model can be trained by.
        ValueError: If there is no loss of that name.

    Example:
        >>> choose_loss("sampled_softmax", "SASRec").num_negatives
        256
    """
    if given is None:
        return None
    if isinstance(given, str):
        classes = loss_classes()
        if simplified(given) not in classes:
            known = [cls.__name__ for cls in classes.values()]
            raise ValueError(f"{model}: there is no loss {given!r}. {choose(given, known)}")
        given = classes[simplified(given)]()
    kinds = [cls.__name__ for cls in loss_classes(products).values()]
    if not isinstance(given, Loss):
        what = f"the class {given.__name__}" if isinstance(given, type) else type(given).__name__
        raise TypeError(
            f"{model}: loss must be an object of tfrecs.losses or its name, not {what}. It takes "
            f"{', '.join(kinds)}. For negatives from the batch, give "
            "SampledSoftmax(negatives=InBatch(...))."
        )
    if not given.scores_high:
        raise TypeError(
            f"{model}: {type(given).__name__} trains scores to be low. It goes beside the loss of "
            f"targets, where the log has dislikes. {model} takes {', '.join(kinds)}."
        )
    if not products and given.needs_products:
        raise TypeError(
            f"{model}: {type(given).__name__} needs scores that are products of vectors, and "
            f"{model} has none. {model} takes {', '.join(kinds)}."
        )
    return given


def loss_classes(products: bool = True) -> dict[str, Any]:
    """The public losses that train a model to score targets high, by simplified name.

    Args:
        products: Whether to name those too that need scores to be products of vectors.
    """
    found: dict[str, Any] = public_classes(losses, base=Loss)
    return {
        name: cls
        for name, cls in found.items()
        if cls.weighted_sum is not Loss.weighted_sum
        and cls.scores_high
        and (products or not cls.needs_products)
    }
