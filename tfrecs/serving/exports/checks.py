"""What `export` refuses: settings that do not fit a model, and models that cannot be served."""

from __future__ import annotations

from numbers import Integral

from tfrecs._keras import require_scann, tf
from tfrecs.data import Histories
from tfrecs.models import Model
from tfrecs.serving.exports.scores import Settings
from tfrecs.serving.index.item_table import PRECISIONS, ItemPrecision


def check_model(model: Model) -> None:
    """Refuses a model that does not know raw ids, or whose weights are not finite."""
    name = type(model).__name__
    if model.row_schema is None:
        if model.items is None:
            raise ValueError(
                "The model has no vocabulary, so an export could not give raw ids. Build it with "
                f"the vocabulary of its items ({name}(split.items, ...)), not their number."
            )
        if model.users is None:
            if model.num_users is not None:
                raise ValueError(
                    f"The model knows its users by number, so an export could not take raw ids. "
                    f"Build it with their vocabulary ({name}(split.items, split.users, ...))."
                )
            if model.max_history is None:
                raise ValueError(
                    f"{name} reads no history (max_history is None) and has no vocabulary of "
                    "users: there is nothing that a request could name."
                )
    # Other weights may hold NaN for missing features.
    weights = [weight.name for weight in model.trainable_weights if not _is_finite(weight)]
    if weights:
        raise ValueError(
            f"{len(weights)} weights of the model hold NaN or infinity (such as {weights[0]}): its "
            "training has diverged. Export a checkpoint from before that."
        )


def checked_settings(
    model: Model,
    k: int,
    num_exclusions: int,
    index: str,
    item_precision: ItemPrecision,
    recommend_known: bool,
    known_items: Histories | None,
) -> Settings:
    """Returns the settings of an export of the model, or refuses them."""
    if not isinstance(k, Integral) or k < 1:
        raise ValueError(f"k must be a positive integer, not {k!r}.")
    if not isinstance(num_exclusions, Integral) or num_exclusions < 0:
        raise ValueError(f"num_exclusions must be an integer, 0 or more, not {num_exclusions!r}.")
    if index not in ("exact", "scann"):
        raise ValueError(f"index must be 'exact' or 'scann', not {index!r}.")
    if index == "scann":
        require_scann()
        if not (model.recommends and model.is_product):
            raise ValueError(
                f"index 'scann' searches vectors, and {type(model).__name__} scores without: take "
                "index 'exact'."
            )
    _check_precision(model, item_precision, index)
    known_items = _checked_known_items(model, known_items, recommend_known)
    k = min(int(k), model.num_items)
    return Settings(
        k, int(num_exclusions), index, bool(recommend_known), known_items, item_precision
    )


def _check_precision(model: Model, precision: str, index: str) -> None:
    """Refuses a precision of items that is none, or that the export would not use."""
    if precision not in PRECISIONS:
        raise ValueError(
            f"item_precision must be one of {', '.join(PRECISIONS)}, not {precision!r}."
        )
    if precision == "float32":
        return
    name = type(model).__name__
    if not (model.recommends and model.is_product):
        why = f"{name} scores without vectors of items"
    elif model.has_item_codes:
        why = f"the items of this {name} are product-quantised, and stored by their codes"
    elif index == "scann":
        why = "index 'scann' keeps float32 vectors"
    else:
        return
    raise ValueError(f"item_precision {precision!r} has no use here: {why}.")


def _checked_known_items(
    model: Model, known_items: Histories | None, recommend_known: bool
) -> Histories | None:
    """Returns the known items that an export of the model holds, None for none, or refuses them."""
    name = type(model).__name__
    if not model.needs_known_items:
        if known_items is not None:
            raise ValueError(
                f"known_items are of no use to an export of {name}: requests say what a user has."
            )
        return None
    if recommend_known:
        if known_items is not None:
            raise ValueError(
                "known_items are left out of the answers, and recommend_known=True keeps them in: "
                "give one of the two."
            )
        return None
    if known_items is None:
        raise ValueError(
            f"{name} reads no history, so that its export must hold what each user has, to leave "
            "it out of the answers: give known_items=split.known_items(). Or let known items be "
            "recommended, by recommend_known=True."
        )
    users = model.users
    assert users is not None
    if len(known_items) != len(users) + 1 or len(known_items[0]):
        raise ValueError(
            f"known_items has {len(known_items)} rows for {len(users)} users: there must be an "
            "empty row 0, then one for each user id, as split.known_items() gives them."
        )
    items = known_items.values
    outside = (items < 1) | (items > model.num_items)
    if outside.any():
        raise ValueError(
            f"known_items holds {items[outside][0]}: item ids go from 1 to {model.num_items}."
        )
    return known_items.distinct()


def _is_finite(weight: tf.Variable) -> bool:
    return not weight.dtype.is_floating or bool(tf.reduce_all(tf.math.is_finite(weight)))
