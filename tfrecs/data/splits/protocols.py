"""Protocols that split a log into training, validation and test.

Every protocol keeps a user's interactions in time order, with ties in file order.
The vocabularies cover the whole log, as in the published protocols. A user is evaluated if there is
both a target and an earlier interaction to recommend from.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tfrecs.data.log.histories import Histories, offsets_of
from tfrecs.data.log.interactions import Interactions
from tfrecs.data.splits.cuts import cut_moments
from tfrecs.data.splits.parts import EvaluationSet, Split, TrainSet

# Parts of interactions. A history holds the parts before the part of its targets.
_TRAIN, _KNOWN, _VALIDATION, _TEST = range(4)


def leave_last_out(log: Interactions) -> Split:
    """Withholds each user's last item for the test and the one before it for validation.

    A user's validation history is the training part; the test history adds the validation item.
    Users with fewer than 3 interactions only train; the counts hold them as "users_train_only".

    Raises:
        ValueError: If no user has 3 interactions.

    Example:
        >>> from tfrecs.data import Interactions
        >>> split = leave_last_out(Interactions({"user_id": [7] * 4, "item_id": [1, 2, 3, 4]}))
        >>> split.test.history[0], split.test.targets[0]
        (array([1, 2, 3], dtype=int32), array([4], dtype=int32))
    """
    rows = _UserRows(log)
    left = rows.left
    part = np.where(left == 0, _TEST, np.where(left == 1, _VALIDATION, _TRAIN))
    short = rows.lengths < 3
    part[np.repeat(short, rows.lengths)] = _TRAIN
    return rows.split(part, "leave-last-out", {"users_train_only": int(short.sum())})


def global_time(
    log: Interactions,
    *,
    quantiles: tuple[float, float] = (0.8, 0.9),
    times: tuple[Any, Any] | None = None,
) -> Split:
    """Cuts the log at two moments: training, then validation, then test.

    Interactions at a cut belong to the part after it. A user's history is everything before the
    part, and the targets are all distinct items within it. Users without an interaction before a
    part are left out of it and counted.

    Args:
        log: The interactions, which must have times.
        quantiles: Shares of the rows that lie before validation and before test.
        times: The two moments themselves, instead of `quantiles`, as numbers in the log's unit or
            as dates. The size of the log's times tells whether they are seconds or milli-, micro-
            or nanoseconds.

    Raises:
        ValueError: If the log has no times, the cuts do not rise, or a part is empty.

    Example:
        >>> from tfrecs.data import Interactions
        >>> log = Interactions({"user_id": [1] * 4, "item_id": [1, 2, 3, 4],
        ...                     "timestamp": [0, 10, 20, 30]})
        >>> global_time(log, times=(15, 25)).test.targets[0]
        array([4], dtype=int32)
    """
    if not log.has_times:
        raise ValueError(
            f"global_time: {log.name} has no time column, so one user's interactions can not be "
            'set against another\'s. Name the column with timestamp="...", or split otherwise.'
        )
    moments = log.frame["timestamp"].to_numpy()
    cuts = cut_moments("global_time", moments, quantiles, times)
    rows = _UserRows(log)
    moments = moments[rows.order]
    part = np.where(moments >= cuts[1], _TEST, np.where(moments >= cuts[0], _VALIDATION, _TRAIN))
    return rows.split(part, f"global time, cut at {cuts[0]} and {cuts[1]}", {})


def random_ratio(
    log: Interactions, *, validation: float = 0.1, test: float = 0.1, seed: int = 0
) -> Split:
    """Withholds a random share of each user's interactions, whatever their time.

    A user with m interactions has `m * test` (rounded) test targets and `m * validation` (rounded)
    validation targets. Training keeps at least one interaction: if rounding leaves none, validation
    and then the test gives one up. Histories keep the time order.

    Args:
        log: The interactions.
        validation: Share of validation targets.
        test: Share of test targets.
        seed: Seed of the choice.

    Raises:
        ValueError: If the shares leave nothing to train on, or a part is empty.
    """
    if min(validation, test) <= 0 or validation + test >= 1:
        raise ValueError(
            f"random_ratio: shares must be positive and together below 1, not {validation} "
            f"(validation) and {test} (test)."
        )
    rows = _UserRows(log)
    tested = np.minimum(np.floor(rows.lengths * test + 0.5), rows.lengths - 1)
    validated = np.minimum(np.floor(rows.lengths * validation + 0.5), rows.lengths - 1 - tested)
    # A random place among the user's interactions: the first are test, the next validation.
    order = np.lexsort((np.random.default_rng(seed).random(len(log)), rows.user))
    place = np.empty(len(log), np.int64)
    place[order] = np.arange(len(log)) - np.repeat(rows.offsets[:-1], rows.lengths)
    tested, validated = np.repeat(tested, rows.lengths), np.repeat(validated, rows.lengths)
    part = np.where(
        place < tested, _TEST, np.where(place < tested + validated, _VALIDATION, _TRAIN)
    )
    return rows.split(part, f"random ratio {validation:g} and {test:g}, seed {seed}", {})


def users_held_out(
    log: Interactions,
    *,
    validation: float | int = 0.1,
    test: float | int = 0.1,
    targets: int = 1,
    seed: int = 0,
) -> Split:
    """Withholds whole users: a model meets them first in validation or test.

    The last items of a held-out user are the targets, and earlier ones the history; none of them
    trains. Only users with more interactions than `targets` can be held out; the others train. The
    counts hold "users_held_out_validation", "users_held_out_test" and
    "users_too_short_to_hold_out".

    Args:
        log: The interactions.
        validation: Users held out for validation: a share of all users, or (an int) their number.
        test: Users held out for the test, in the same form.
        targets: Number of a held-out user's last items that are targets.
        seed: Seed of the choice.

    Raises:
        ValueError: If too few users can be held out, or none is left to train.
    """
    if targets < 1:
        raise ValueError(f"users_held_out: targets must be at least 1, not {targets}.")
    rows = _UserRows(log)
    users = len(rows.lengths)
    sizes = [
        int(share * users + 0.5) if isinstance(share, float) else share
        for share in (validation, test)
    ]
    eligible = np.flatnonzero(rows.lengths > targets)
    if min(sizes) < 1 or sum(sizes) > len(eligible) or sum(sizes) >= users:
        raise ValueError(
            f"users_held_out: {sizes[0]} and {sizes[1]} users can not be held out of {users}, of "
            f"whom {len(eligible)} have more than {targets} interactions. Hold out at least one "
            "each, and fewer than there are."
        )
    chosen = np.random.default_rng(seed).permutation(eligible)[: sum(sizes)]
    role = np.full(users, _TRAIN)
    role[chosen[: sizes[0]]] = _VALIDATION
    role[chosen[sizes[0] :]] = _TEST
    role = np.repeat(role, rows.lengths)
    part = np.where((role != _TRAIN) & (rows.left >= targets), _KNOWN, role)
    counts = {
        "users_held_out_validation": sizes[0],
        "users_held_out_test": sizes[1],
        "users_too_short_to_hold_out": users - len(eligible),
    }
    return rows.split(part, f"users held out, last {targets} withheld, seed {seed}", counts)


class _UserRows:
    """A log's interactions user by user, in time order."""

    def __init__(self, log: Interactions) -> None:
        self.log = log
        self.users, self.items = log.vocabularies()
        user = self.users.encode(log.frame["user_id"]) - 1
        self.order = np.argsort(user, kind="stable")
        self.user = user[self.order]
        self.item = self.items.encode(log.frame["item_id"])[self.order]
        self.weight = log.frame["weight"].to_numpy()[self.order] if log.has_weights else None
        self.lengths = np.bincount(user, minlength=len(self.users))
        self.offsets = offsets_of(self.lengths)

    @property
    def left(self) -> np.ndarray:
        """The number of the same user's interactions after each."""
        return np.repeat(self.offsets[1:], self.lengths) - 1 - np.arange(len(self.item))

    def split(self, part: np.ndarray, protocol: str, counts: dict[str, int]) -> Split:
        """Returns the split, given the part of each interaction."""
        whole = Histories(self.item, self.offsets)
        train = whole.keep(part == _TRAIN)
        trained = np.flatnonzero(train.lengths)
        if not len(trained):
            raise ValueError(f"{self.log.name}, {protocol}: nothing is left to train on.")
        counts = {
            "users": len(self.users),
            "users_one_interaction": int((self.lengths == 1).sum()),
        } | counts
        weights = None if self.weight is None else self.weight[part == _TRAIN]
        # Users without a training row have no values, so each weight stays beside its value.
        train_set = TrainSet(train.take(trained), trained + 1, len(self.items), weights)
        item_counts = train_set.item_counts
        sets = {}
        for number, name in ((_VALIDATION, "validation"), (_TEST, "test")):
            history, targets = whole.keep(part < number), whole.keep(part == number).distinct()
            has_target, has_history = targets.lengths > 0, history.lengths > 0
            evaluated = np.flatnonzero(has_target & has_history)
            if not len(evaluated):
                raise ValueError(
                    f"{self.log.name}, {protocol}: no user is left for {name}. The log has "
                    f"{len(self.users)} users, {counts['users_one_interaction']} with a single "
                    "interaction: choose another protocol or other shares."
                )
            targets = targets.take(evaluated)
            counts[f"{name}_users"] = len(evaluated)
            counts[f"{name}_users_without_history"] = int((has_target & ~has_history).sum())
            counts[f"{name}_targets_not_in_train"] = int((item_counts[targets.values] == 0).sum())
            sets[name] = EvaluationSet(
                user_ids=evaluated + 1,
                history=history.take(evaluated),
                targets=targets,
                item_counts=item_counts,
                items=self.items,
                users=self.users,
                name=f"{self.log.name} {name}",
                protocol=protocol,
            )
        return Split(
            train=train_set,
            validation=sets["validation"],
            test=sets["test"],
            users=self.users,
            items=self.items,
            protocol=protocol,
            counts=counts,
            user_frame=self.log.user_features,
            item_frame=self.log.item_features,
        )
