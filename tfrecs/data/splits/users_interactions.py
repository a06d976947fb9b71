"""A log's interactions user by user, cut into the parts of a split."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from tfrecs.data.features.events import Events
from tfrecs.data.log.histories import Histories, offsets_of
from tfrecs.data.log.interactions import Interactions
from tfrecs.data.splits.part_times import PartTimes
from tfrecs.data.splits.parts import EvaluationSet, Split, TrainSet

# Parts of interactions. A history holds the parts before the part of its targets.
TRAIN, KNOWN, VALIDATION, TEST = range(4)

Targets = Literal["all", "first", "last", "successive"]


class UsersInteractions:
    """A log's interactions user by user, in time order.

    Args:
        log: The log.

    Attributes:
        order: `[N]`, the place in the log of each interaction.
        user: `[N]`, the user of each interaction, from 0.
        item: `[N]`, its item id.
        moments: `[N]`, its time; None where the log has none.
        disliked: `[N]` bool, whether it is a dislike.
        lengths: `[U]`, the number of each user's interactions.
        offsets: `[U + 1]`, where each user's begin.
        events: The log's other columns; None where there are none.
        histories: The items of each user.
    """

    def __init__(self, log: Interactions) -> None:
        self.log = log
        self.users, self.items = log.vocabularies()
        user = self.users.encode(log.frame["user_id"]) - 1
        self.order = order = np.argsort(user, kind="stable")
        self.user = user[order]
        self.item = self.items.encode(log.frame["item_id"])[order]
        self.moments = log.frame["timestamp"].to_numpy()[order] if log.has_times else None
        self.disliked = log.disliked[order]
        self.weight = log.frame["weight"].to_numpy()[order] if log.has_weights else None
        self.lengths = np.bincount(user, minlength=len(self.users))
        self.offsets = offsets_of(self.lengths)
        self.events = Events.of(log)
        self.histories = Histories(
            self.item, self.offsets, None if self.events is None else order.astype(np.int32)
        )

    @property
    def left(self) -> np.ndarray:
        """The number of the same user's interactions after each."""
        return np.repeat(self.offsets[1:], self.lengths) - 1 - np.arange(len(self.item))

    def split(
        self,
        part: np.ndarray,
        protocol: str,
        counts: dict[str, int],
        *,
        targets: Targets = "all",
        cuts: Sequence[Any] = (None, None),
    ) -> Split:
        """Returns the split, given the part of each interaction.

        Args:
            part: `[N]`, of TRAIN, KNOWN, VALIDATION and TEST.
            protocol: The rule in words.
            counts: Numbers that the rule adds to the split's.
            targets: Which interactions of a part are targets, as in `global_time`; other than "all"
                only where parts follow each other in time.
            cuts: The moments at which validation and test begin, where there are such.

        Raises:
            ValueError: If a part is empty.
        """
        trains = part == TRAIN
        train = self.histories.keep(trains)
        trained = np.flatnonzero(train.lengths)
        if not len(trained):
            raise ValueError(f"{self.log.name}, {protocol}: nothing is left to train on.")
        counts = {
            "users": len(self.users),
            "users_one_interaction": int((self.lengths == 1).sum()),
        } | counts
        if self.log.has_dislikes:
            protocol += ", no disliked targets"
        # Users without a training row have no values, so each weight stays beside its value.
        weights = None if self.weight is None else self.weight[trains]
        train_set = TrainSet(
            train.take(trained), trained + 1, len(self.items), weights, self.events
        )
        item_counts = train_set.item_counts
        sets = {}
        for number, name, cut in zip((VALIDATION, TEST), ("validation", "test"), cuts, strict=True):
            at, user, history, withheld = self._evaluated(part, number, targets)
            if not at.any():
                unliked = int((self.disliked & (part == number)).sum())
                disliked = f"{unliked} of its interactions are dislikes. " if unliked else ""
                raise ValueError(
                    f"{self.log.name}, {protocol}: no user is left for {name}. {disliked}"
                    f"The log has {len(self.users)} users, {counts['users_one_interaction']} with "
                    "a single interaction: choose another protocol or other shares."
                )
            rows = np.unique(user)
            left_out = np.setdiff1d(self.user[(part == number) & ~self.disliked], rows)
            if self.log.has_dislikes:
                within = self.user[part == number]
                liked = self.user[(part == number) & ~self.disliked]
                counts[f"{name}_interactions_disliked"] = len(within) - len(liked)
                counts[f"{name}_users_only_disliked"] = len(np.setdiff1d(within, liked))
            counts[f"{name}_users"] = len(rows)
            if len(user) > len(rows):
                counts[f"{name}_targets"] = len(user)
            counts[f"{name}_users_without_history"] = len(left_out)
            counts[f"{name}_users_not_in_train"] = int((train.lengths[rows] == 0).sum())
            counts[f"{name}_targets_not_in_train"] = int((item_counts[withheld.values] == 0).sum())
            times = None
            if self.moments is not None:
                times = PartTimes.of(
                    self.moments,
                    self.item,
                    len(self.items),
                    train=trains,
                    before=part < number,
                    targets=at,
                    cut=cut,
                )
            sets[name] = EvaluationSet(
                user_ids=user + 1,
                history=history,
                targets=withheld,
                item_counts=item_counts,
                items=self.items,
                users=self.users,
                name=f"{self.log.name} {name}",
                protocol=protocol,
                times=times,
                events=self.events,
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

    def _evaluated(
        self, part: np.ndarray, number: int, targets: Targets
    ) -> tuple[np.ndarray, np.ndarray, Histories, Histories]:
        """Returns which interactions are targets, and each row's user, history and targets."""
        whole, within = self.histories, (part == number) & ~self.disliked
        if targets == "all":
            known = whole.keep(part < number)
            at = within & (known.lengths > 0)[self.user]
            user = np.unique(self.user[at])
            return at, user, known.take(user), whole.keep(at).distinct().take(user)
        # A user's first interaction has no history.
        at = _chosen(self.user, within, targets) & (np.arange(len(part)) > self.offsets[self.user])
        places = np.flatnonzero(at)
        user = self.user[places]
        history = whole.cut(self.offsets[user], places)
        return at, user, history, whole.cut(places, places + 1)


def _chosen(user: np.ndarray, within: np.ndarray, targets: Targets) -> np.ndarray:
    """Returns which of the interactions `within` a part are asked for, bool `[N]`."""
    if targets == "successive":
        return within
    places = np.flatnonzero(within)
    change = user[places][1:] != user[places][:-1]
    ends = np.append(True, change) if targets == "first" else np.append(change, True)
    chosen = np.zeros_like(within)
    chosen[places[ends[: len(places)]]] = True
    return chosen
