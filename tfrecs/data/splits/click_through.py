"""A log with ratings as positive and negative examples, in three random parts."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd

from tfrecs.data.batches.rows import Rows
from tfrecs.data.features.columns import Label
from tfrecs.data.features.feature_table import FeatureTable
from tfrecs.data.features.schema import Schema
from tfrecs.data.log.histories import Histories
from tfrecs.data.log.interactions import Interactions
from tfrecs.data.log.vocabulary import Vocabulary


@dataclasses.dataclass(frozen=True, eq=False)
class RowSplit:
    """Rows in three parts, with the vocabularies and features of their users and items.

    Args:
        train: Part that models learn from. Its columns are `user_id`, `item_id`, those of `context`
            (labels included) and, if the log has weights, `sample_weight`.
        validation: Part that chooses models and their settings.
        test: Part that reports are about.
        users: Vocabulary of users.
        items: Vocabulary of items.
        context: Schema of the columns beside the ids, labels included.
        user_features: Features of the users, or None.
        item_features: Features of the items, or None.
        protocol: The rule that made the split, in words.
        counts: Numbers of rows that the rule made or left out, by name.
    """

    train: Rows
    validation: Rows
    test: Rows
    users: Vocabulary
    items: Vocabulary
    context: Schema
    user_features: FeatureTable | None
    item_features: FeatureTable | None
    protocol: str
    counts: dict[str, int]

    def known_items(self, *, test: bool = False) -> Histories:
        """Returns the items of each user's rows, whatever the label; see `Split.known_items`."""
        parts = [self.train, self.validation, *([self.test] if test else [])]
        users, items = (
            np.concatenate([part.columns[name] for part in parts])
            for name in ("user_id", "item_id")
        )
        return Histories.from_pairs(users, items, len(self.users) + 1)


def click_through(
    log: Interactions,
    *,
    label: str = "rating",
    positive_from: float = 4.0,
    negative_to: float | None = 2.0,
    context: Schema | Mapping[str, Any] | None = None,
    skip: Collection[str] = (),
    user_schema: Schema | None = None,
    item_schema: Schema | None = None,
    validation: float = 0.1,
    test: float = 0.1,
    seed: int = 0,
) -> RowSplit:
    """Makes examples from a log with ratings, or clicks, and splits them at random.

    Args:
        log: The log, with the label among its columns.
        label: Column to predict, the first of the labels if `context` has more.
        positive_from: Rows of at least this are positive, with label 1.
        negative_to: Rows of at most this are negative, with label 0, and those in between are left
            out; with None, every row that is not positive is negative.
        context: Schema of a row's other columns, such as its time, or the schema's config, which a
            YAML file can hold; None for no other columns. A model with several heads predicts each
            `Label` in it too.
        skip: Features of users and items to leave out.
        user_schema: Schema of the users' features; by default read from them.
        item_schema: Schema of the items' features; by default read from them.
        validation: Share of rows for validation.
        test: Share of rows for the test.
        seed: Seed of the split.

    Returns:
        The split. Its counts hold "rows", "rows_left_out" and "positives".

    Raises:
        ValueError: If the log has no such column or has dislikes, shares leave nothing to train
            on, or all rows have one label.
    """
    if log.has_dislikes:
        raise ValueError(
            f"{log.name} has dislikes, and a row that was disliked is one with label 0: leave "
            "dislike out, and say with positive_from and negative_to what the labels are."
        )
    context = _with_label(context, label, Label(positive_from))
    for name in context.labels:
        if name not in log.frame.columns:
            remedy = "Name it with label=." if name == label else "Leave it out of the context."
            raise ValueError(
                f"{log.name} has no column {name!r} to predict, only "
                f"{', '.join(map(repr, log.frame.columns))}. {remedy}"
            )
    if min(validation, test) <= 0 or validation + test >= 1:
        raise ValueError(
            f"Shares must be positive and together below 1, not {validation} (validation) and "
            f"{test} (test)."
        )
    values = log.frame[label].to_numpy(np.float64)
    positive = values >= positive_from
    negative = ~positive if negative_to is None else values <= negative_to
    used = positive | negative
    if not positive[used].any() or positive[used].all():
        raise ValueError(
            f"{log.name}: with {label} from {positive_from} positive there are "
            f"{int(positive.sum())} positive rows and {int(negative.sum())} negative ones."
        )
    kept = log.take(used, "rating_between") if not used.all() else log
    users, items = kept.vocabularies()
    columns = {
        "user_id": users.encode(kept.frame["user_id"]),
        "item_id": items.encode(kept.frame["item_id"]),
        **context.encode(kept.frame),
    }
    if kept.has_weights:
        columns["sample_weight"] = kept.frame["weight"].to_numpy()
    rows = Rows(columns, context.labels)
    order = np.random.default_rng(seed).permutation(len(rows))
    tested, validated = int(len(rows) * test), int(len(rows) * validation)
    if not tested or not validated:
        raise ValueError(f"{log.name} has {len(rows)} rows: too few for these shares.")
    parts = np.split(order, [tested, tested + validated])

    def table(
        features: pd.DataFrame | None, ids: Vocabulary, schema: Schema | None
    ) -> FeatureTable | None:
        if features is None:
            return None
        features = features.drop(columns=list(skip), errors="ignore")
        return FeatureTable.from_frame(features, ids, schema) if len(features.columns) else None

    train = rows.take(np.sort(parts[2]))
    between = "" if negative_to is None else f", to {negative_to:g} negative"
    protocol = (
        f"click-through: {label} from {positive_from:g} positive{between}; random "
        f"{1 - validation - test:g}, {validation:g} and {test:g}, seed {seed}"
    )
    return RowSplit(
        train=train,
        validation=rows.take(parts[1]).described(f"validation, {protocol}", train),
        test=rows.take(parts[0]).described(f"test, {protocol}", train),
        users=users,
        items=items,
        context=context,
        user_features=table(kept.user_features, users, user_schema),
        item_features=table(kept.item_features, items, item_schema),
        protocol=protocol,
        counts={
            "rows": len(rows),
            "rows_left_out": int((~used).sum()),
            "positives": int(positive.sum()),
        },
    )


def _with_label(context: Schema | Mapping[str, Any] | None, label: str, column: Label) -> Schema:
    """Returns the context with the label, which comes before all other labels."""
    if context is not None and not isinstance(context, Schema):
        context = Schema.from_config(dict(context))
    whole = (context or Schema({})).with_columns(**{label: column})
    last = [name for name in whole.labels if name != label]
    if not last:
        return whole
    first = {name: kind for name, kind in whole.items() if name not in last}
    return Schema({**first, **{name: whole[name] for name in last}}, whole.left_out)
