"""The protocol of session data: whole sessions train, validate or test, and items may come again.

A session is a short visit, often of somebody unknown: recommendations follow from its items alone.
All of a training session's items but the first are targets. An item that the session already holds
may be the next one too, so nothing leaves the ranking (`recommend_known`). Papers report HR@20 and
MRR@20. Source: Hidasi et al., "Session-based recommendations with recurrent neural networks", ICLR
2016, and the official code, https://github.com/hidasib/GRU4Rec.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from tfrecs.data.features.events import Events
from tfrecs.data.log.histories import Histories, offsets_of
from tfrecs.data.log.interactions import Interactions
from tfrecs.data.log.vocabulary import Vocabulary
from tfrecs.data.splits.cuts import cut_moments
from tfrecs.data.splits.parts import EvaluationSet, Split, TrainSet

# The part of a session.
TRAIN, VALIDATION, TEST = range(3)


def sessions(
    log: Interactions,
    *,
    test: Interactions | None = None,
    quantiles: Sequence[float] | None = None,
    times: Sequence[Any] | None = None,
    by: Literal["start", "end"] = "end",
    train_on_validation: bool = False,
) -> Split:
    """Cuts a log of sessions at two moments: training, then validation, then test.

    The log's `user_id` is the session. A session is in one part whole: the part in which it ends,
    or starts (`by`). Each of its items after the first is a target, with the items before it as
    history. Repeated items are ranked like all others (`Split.with_recommend_known`): give
    `recommend_known=True` to `tfrecs.serving.export` too.

    As in the official GRU4Rec, an item that no earlier part holds cannot be recommended: it leaves
    the sessions of validation and test, as history and as target. The counts say how many events
    that takes ("validation_events_not_in_train", "test_events_not_in_train") and how many sessions
    then have fewer than two items ("test_sessions_too_short"). A test item that only validation
    sessions hold stays a target ("test_targets_not_in_train").

    Args:
        log: The events, which must have times. Its `user_id` is the session.
        test: A log of published test sessions. Then the first log is cut once, into training and
            validation.
        quantiles: Shares of the sessions before validation and before test; default (0.8, 0.9).
            With `test` one share, before validation; default (0.9,).
        times: The moments themselves, instead of `quantiles`, as in `global_time`. A session at a
            cut belongs to the part after it.
        by: Whether a session is in the part in which it starts or the one in which it ends.
        train_on_validation: Whether the validation sessions train too, for a last run with settings
            chosen before. Validation then tells nothing.

    Raises:
        ValueError: If a log has no times, the cuts do not rise, a session stands in both logs, or a
            part is empty.

    Example:
        >>> log = Interactions({"user_id": [1, 1, 2, 2, 3, 3, 3], "item_id": [5, 6, 6, 5, 5, 6, 5],
        ...                     "timestamp": [0, 1, 10, 11, 20, 21, 22]})
        >>> split = sessions(log, times=(10, 20))
        >>> list(split.test.history), split.items.decode(split.test.targets.values)
        ([array([1], dtype=int32), array([1, 2], dtype=int32)], array([6, 5]))
    """
    if by not in ("start", "end"):
        raise ValueError(f'sessions: by must be "start" or "end", not {by!r}.')
    for given in (log, test):
        if given is not None and not isinstance(given, Interactions):
            raise TypeError(
                f"sessions: a log is what tfrecs.data.read gives, not {type(given).__name__}. For "
                "tfrecs train, put a file of training and one of test sessions into a folder."
            )
        if given is not None and not given.has_times:
            raise ValueError(
                f"sessions: {given.name} has no time column, so one session can not be set before "
                'another. Name the column with timestamp="...", or split otherwise.'
            )
    shares = quantiles
    if shares is None:
        shares = (0.8, 0.9) if test is None else (0.9,)
    if len(shares) != (2 if test is None else 1):
        raise ValueError(
            f"sessions: quantiles must be {'two shares' if test is None else 'one share'}, before "
            f"validation{' and before test' if test is None else ''}, not {tuple(shares)}."
        )
    users = log.vocabularies()[0]
    rows = _Rows(log, users)
    moments = rows.starts if by == "start" else rows.ends
    cuts = cut_moments("sessions", np.sort(moments), shares, times)
    part = np.searchsorted(cuts, moments, side="right")
    both = [rows]
    if test is not None:
        users = _with_new_sessions(users, log, test)
        both.append(_Rows(test, users))
        part = np.append(part, np.full(len(both[1].ids), TEST))
    earlier = (part != TEST)[rows.row_of_event]
    items = (log.take(earlier) if earlier.any() else log).vocabularies()[1]
    events = Events.of(log, test)
    order = np.concatenate([rows.order, *(len(log) + r.order for r in both[1:])])
    return split_of_sessions(
        Histories(
            np.concatenate([items.encode(r.items) for r in both]),
            offsets_of(np.concatenate([r.lengths for r in both])),
            order.astype(np.int32),
        ),
        part,
        items=items,
        users=users,
        user_ids=np.concatenate([r.ids for r in both]),
        every=True,
        name=log.name,
        protocol=f"sessions, cut by their {by} at {' and '.join(map(str, cuts))}"
        + ("" if test is None else f", test: {test.name}"),
        train_on_validation=train_on_validation,
        weights=rows.weights,
        log=log,
        events=events,
    )


def split_of_sessions(
    rows: Histories,
    part: np.ndarray,
    *,
    items: Vocabulary,
    users: Vocabulary,
    user_ids: np.ndarray,
    every: bool,
    name: str,
    protocol: str,
    train_on_validation: bool,
    counts: dict[str, int] | None = None,
    weights: np.ndarray | None = None,
    log: Interactions | None = None,
    events: Events | None = None,
) -> Split:
    """Returns the split of sessions whose parts are known.

    Args:
        rows: `[S]` rows, the item ids of each session in time order; an id out of the vocabulary
            for items that neither train nor validate.
        part: `[S]`, `TRAIN`, `VALIDATION` or `TEST`.
        items: Vocabulary of the items that train or validate.
        users: Vocabulary of the sessions.
        user_ids: `[S]` int32, the session of each row.
        every: Whether each item of a session of validation and test is a target, or the last alone.
        name: Name of the data in reports.
        protocol: The rule that made the parts, in words.
        train_on_validation: Whether validation sessions train too.
        counts: What the rule left out, by name.
        weights: Weights in the loss of `rows.values`; those of test rows at the end may be missing.
        log: The log whose features the split takes.
        events: The other columns of the logs, by the places of `rows`; None for none.

    Raises:
        ValueError: If nothing is left to train on, to validate or to test.
    """
    trains = part == TRAIN
    disliked = None if events is None else events.disliked
    if disliked is not None:
        protocol += ", no disliked targets"
    if train_on_validation:
        trains |= part == VALIDATION
        protocol += ", trained on validation sessions"
    if weights is not None:
        weights = weights[trains[rows.rows[: len(weights)]]]
    train = TrainSet(rows.take(trains), user_ids[trains], len(items), weights, events)
    if not (train.histories.lengths > 1).any():
        raise ValueError(f"{name}, {protocol}: no session of two items is left to train on.")
    item_counts = train.item_counts
    counts = {
        "train_sessions": len(train),
        "train_sessions_one_item": int((train.histories.lengths == 1).sum()),
    } | (counts or {})
    earlier = np.bincount(rows.values[(part != TEST)[rows.rows]], minlength=len(items) + 2) > 0
    sets = {}
    for number, what, known in (
        (VALIDATION, "validation", item_counts > 0),
        (TEST, "test", earlier),
    ):
        known[-1] = False  # Out of the vocabulary.
        whole = rows.take(part == number)
        kept = whole.keep(known[whole.values])
        row, history, targets = _histories_and_targets(kept, every)
        if disliked is not None:
            liked = ~disliked[targets.places]
            counts[f"{what}_targets_disliked"] = int((~liked).sum())
            row, history, targets = row[liked], history.take(liked), targets.take(liked)
        counts |= {
            f"{what}_sessions": int((kept.lengths > 1).sum()),
            f"{what}_sessions_too_short": int((kept.lengths < 2).sum()),
            f"{what}_events_not_in_train": len(whole.values) - len(kept.values),
            f"{what}_targets": len(targets),
            f"{what}_targets_not_in_train": int((item_counts[targets.values] == 0).sum()),
        }
        if not len(targets):
            raise ValueError(
                f"{name}, {protocol}: no session is left for {what}: of {len(whole):,} none has "
                "two items that stand in an earlier part. Cut elsewhere, or name other files."
            )
        sets[what] = EvaluationSet(
            user_ids=user_ids[part == number][row],
            history=history,
            targets=targets,
            item_counts=item_counts,
            items=items,
            users=users,
            name=f"{name} {what}",
            protocol=protocol,
            recommend_known=True,
            events=events,
        )
    return Split(
        train=train,
        validation=sets["validation"],
        test=sets["test"],
        users=users,
        items=items,
        protocol=protocol,
        counts=counts,
        user_frame=None if log is None else log.user_features,
        item_frame=None if log is None else log.item_features,
    )


def _histories_and_targets(rows: Histories, every: bool) -> tuple[np.ndarray, Histories, Histories]:
    """Returns the session, the history and the target of each position after a session's first."""
    following = np.maximum(rows.lengths - 1, 0)
    row = np.repeat(np.arange(len(rows)), following)
    start = rows.offsets[row]
    place = start + 1 + np.arange(len(row)) - np.repeat(offsets_of(following)[:-1], following)
    if not every:
        last = place == rows.offsets[row + 1] - 1
        row, start, place = row[last], start[last], place[last]
    return row, rows.cut(start, place), rows.cut(place, place + 1)


class _Rows:
    """A log's events, session by session in time order."""

    def __init__(self, log: Interactions, users: Vocabulary) -> None:
        frame = log.frame
        self.ids, self.row_of_event = np.unique(users.encode(frame["user_id"]), return_inverse=True)
        self.order = order = np.argsort(self.row_of_event, kind="stable")
        self.lengths = np.bincount(self.row_of_event)
        offsets = offsets_of(self.lengths)
        times = frame["timestamp"].to_numpy()[order]
        self.starts, self.ends = times[offsets[:-1]], times[offsets[1:] - 1]
        self.items = frame["item_id"].iloc[order]
        self.weights = frame["weight"].to_numpy()[order] if log.has_weights else None


def _with_new_sessions(users: Vocabulary, log: Interactions, test: Interactions) -> Vocabulary:
    """Returns the sessions of both logs; refuses one that stands in both."""
    own = Vocabulary.from_values(test.frame["user_id"]).ids
    twice = own[users.encode(own) != users.oov_id]
    if len(twice):
        raise ValueError(
            f"sessions: {len(twice):,} sessions of {test.name} stand in {log.name} too, such as "
            f"{twice[0]!r}. Whole sessions train or test: give one of the logs other session ids."
        )
    return users.grow(own)
