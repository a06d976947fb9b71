"""Protocols that split a log into training, validation and test.

Every protocol keeps a user's interactions in time order, with ties in file order.
The vocabularies cover the whole log, as in the published protocols. A user is evaluated if there is
both a target and an earlier interaction to recommend from. A disliked interaction is no target, so
leave-last-out does not test a user whose last item is disliked.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tfrecs.data.log.interactions import Interactions
from tfrecs.data.splits.cuts import cut_moments
from tfrecs.data.splits.parts import Split
from tfrecs.data.splits.users_interactions import (
    KNOWN,
    TEST,
    TRAIN,
    VALIDATION,
    Targets,
    UsersInteractions,
)

# The choices of targets, as a protocol's words tell them.
_TARGETS: dict[Targets, str] = {
    "all": "",
    "first": ", each user's first target",
    "last": ", each user's last target",
    "successive": ", successive targets",
}


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
    rows = UsersInteractions(log)
    left = rows.left
    part = np.where(left == 0, TEST, np.where(left == 1, VALIDATION, TRAIN))
    short = rows.lengths < 3
    part[np.repeat(short, rows.lengths)] = TRAIN
    return rows.split(part, "leave-last-out", {"users_train_only": int(short.sum())})


def global_time(
    log: Interactions,
    *,
    quantiles: tuple[float, float] = (0.8, 0.9),
    times: tuple[Any, Any] | None = None,
    targets: Targets = "all",
) -> Split:
    """Cuts the log at two moments: training, then validation, then test.

    Nothing at or after the first cut trains. Interactions at a cut belong to the part after it. A
    target needs an earlier interaction of the user as history ("all": one before the part). Users
    of a part without such a target are left out and counted as "users_without_history". Users whom
    training has not seen are tested all the same, and counted as "users_not_in_train".

    Args:
        log: The interactions, which must have times.
        quantiles: Shares of the rows that lie before validation and before test.
        times: The two moments themselves, instead of `quantiles`, as numbers in the log's unit or
            as dates. The size of the log's times tells whether they are seconds or milli-, micro-
            or nanoseconds.
        targets: What is asked of a user in validation and in test. "all": all distinct items of the
            part at once, given everything before the part. "first" and "last": the user's first or
            last interaction in the part, given everything before it, whichever part that is in;
            "last" is the protocol of Gusak et al. 2025. "successive": each interaction of the part
            in turn, in a row of its own, given everything before it. Each row stores its history:
            the memory grows with the square of a user's interactions.

    Source: Danil Gusak et al. 2025. Time to Split: Exploring Data Splitting Strategies for Offline
    Evaluation of Sequential Recommenders. RecSys '25.

    Raises:
        ValueError: If the log has no times, the cuts do not rise, a part is empty, or there is no
            such choice of targets.

    Example:
        >>> from tfrecs.data import Interactions
        >>> log = Interactions({"user_id": [1] * 4, "item_id": [1, 2, 3, 4],
        ...                     "timestamp": [0, 10, 20, 30]})
        >>> global_time(log, times=(15, 25)).test.targets[0]
        array([4], dtype=int32)
        >>> test = global_time(log, times=(5, 15), targets="successive").test
        >>> [history.tolist() for history in test.history], test.targets.values
        ([[1, 2], [1, 2, 3]], array([3, 4], dtype=int32))
    """
    if targets not in _TARGETS:
        raise ValueError(
            f"global_time: targets must be one of {', '.join(_TARGETS)}, not {targets!r}."
        )
    if not log.has_times:
        raise ValueError(
            f"global_time: {log.name} has no time column, so one user's interactions can not be "
            'set against another\'s. Name the column with timestamp="...", or split otherwise.'
        )
    moments = log.frame["timestamp"].to_numpy()
    cuts = cut_moments("global_time", moments, quantiles, times)
    rows = UsersInteractions(log)
    moments = moments[rows.order]
    part = np.where(moments >= cuts[1], TEST, np.where(moments >= cuts[0], VALIDATION, TRAIN))
    protocol = f"global time, cut at {cuts[0]} and {cuts[1]}{_TARGETS[targets]}"
    return rows.split(part, protocol, {}, targets=targets, cuts=tuple(cuts))


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
    rows = UsersInteractions(log)
    tested = np.minimum(np.floor(rows.lengths * test + 0.5), rows.lengths - 1)
    validated = np.minimum(np.floor(rows.lengths * validation + 0.5), rows.lengths - 1 - tested)
    # A random place among the user's interactions: the first are test, the next validation.
    order = np.lexsort((np.random.default_rng(seed).random(len(log)), rows.user))
    place = np.empty(len(log), np.int64)
    place[order] = np.arange(len(log)) - np.repeat(rows.offsets[:-1], rows.lengths)
    tested, validated = np.repeat(tested, rows.lengths), np.repeat(validated, rows.lengths)
    part = np.where(place < tested, TEST, np.where(place < tested + validated, VALIDATION, TRAIN))
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
    rows = UsersInteractions(log)
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
    role = np.full(users, TRAIN)
    role[chosen[: sizes[0]]] = VALIDATION
    role[chosen[sizes[0] :]] = TEST
    role = np.repeat(role, rows.lengths)
    part = np.where((role != TRAIN) & (rows.left >= targets), KNOWN, role)
    counts = {
        "users_held_out_validation": sizes[0],
        "users_held_out_test": sizes[1],
        "users_too_short_to_hold_out": users - len(eligible),
    }
    return rows.split(part, f"users held out, last {targets} withheld, seed {seed}", counts)
