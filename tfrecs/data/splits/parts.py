"""A split and its parts: the users that validate and test beside the rows that train."""

from __future__ import annotations

import dataclasses
from functools import cached_property

import numpy as np
import pandas as pd

from tfrecs.data.features.events import EventInputs, Events, no_events
from tfrecs.data.features.feature_table import FeatureTable
from tfrecs.data.log.histories import Histories, draw_unseen
from tfrecs.data.log.vocabulary import Vocabulary
from tfrecs.data.splits.part_times import PartTimes
from tfrecs.data.splits.train_set import TrainSet


@dataclasses.dataclass(frozen=True, eq=False)
class EvaluationSet:
    """The users of a validation or test part, with their histories and withheld targets.

    A user has one row or, as where targets are asked for in turn, several in the order of time.

    Args:
        user_ids: `[E]` int32, the user of each row.
        history: `[E]` rows, known items of the user, oldest first.
        targets: `[E]` rows, withheld items: at least one a row.
        item_counts: `[n + 2]` int64, the number of training interactions of each item id.
        items: Vocabulary of the n items.
        users: Vocabulary of the users.
        name: Data set and part, for reports.
        protocol: Choice of the targets in words, for reports.
        candidates: `[E, C]` int32, items to rank the targets among, 0 for none; None for all items.
        recommend_known: Whether items of a user's history may be recommended. If not, they leave
            the ranking, and a target among them is a miss.
        times: What the times of the log tell of the part, also where rows are taken from it; None
            if the log has no times.
        events: The log's other columns, at the places of histories and targets; None where there
            are none.

    Raises:
        ValueError: If lengths disagree, or a row has no target.
    """

    user_ids: np.ndarray
    history: Histories
    targets: Histories
    item_counts: np.ndarray
    items: Vocabulary
    users: Vocabulary
    name: str = ""
    protocol: str = ""
    candidates: np.ndarray | None = None
    recommend_known: bool = False
    times: PartTimes | None = None
    events: Events | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "user_ids", np.asarray(self.user_ids, np.int32))
        sizes = {"user_ids": len(self), "history": len(self.history), "targets": len(self.targets)}
        if self.candidates is not None:
            object.__setattr__(self, "candidates", np.asarray(self.candidates, np.int32))
            sizes["candidates"] = len(self.candidates)
        if len(set(sizes.values())) > 1:
            raise ValueError(f"EvaluationSet: one row a user everywhere, got {sizes}.")
        if (self.targets.lengths == 0).any():
            row = int((self.targets.lengths == 0).argmax())
            raise ValueError(f"EvaluationSet: row {row} has no target. Leave such users out.")
        counts = {"item_counts": self.item_counts}
        if self.times is not None:
            counts["times.recent_counts"] = self.times.recent_counts
        for name, count in counts.items():
            if len(count) != len(self.items) + 2:
                raise ValueError(
                    f"EvaluationSet: {name} has {len(count)} entries for {len(self.items)} items: "
                    "one for each id from 0 to n + 1."
                )

    def with_candidates(self, candidates: np.ndarray) -> EvaluationSet:
        """Returns the same users with their targets ranked among given items (1 + C protocol).

        Args:
            candidates: `[E, C]` int32 item ids, without the target; 0 fills short rows.

        Raises:
            ValueError: If a row's target is among its candidates, which would count it twice.
        """
        candidates = np.asarray(candidates, np.int32)
        stride = len(self.items) + 2
        keys = np.arange(len(candidates))[:, None] * stride + candidates
        twice = np.isin(keys, self.targets.rows * stride + self.targets.values)
        if twice.any():
            row, column = np.argwhere(twice)[0]
            raise ValueError(
                f"EvaluationSet: item {candidates[row, column]} is a target of row {row} and among "
                "its candidates. Put 0 in its place."
            )
        return dataclasses.replace(self, candidates=candidates)

    def sample_candidates(self, n: int, seed: int = 0) -> EvaluationSet:
        """Returns the same users with targets ranked among n items a user, drawn uniformly.

        Candidates are drawn without repetition from the items that are neither among the targets
        nor, unless `recommend_known`, in the user's history. Users with fewer such items get all.

        Args:
            n: Candidates a user, beside the targets.
            seed: Seed of the draws.
        """
        seen = [self.targets] if self.recommend_known else [self.history, self.targets]
        return self.with_candidates(draw_unseen(seen, len(self.items), n, seed))

    def subset(self, rows: np.ndarray) -> EvaluationSet:
        """Returns the users at some rows, or those that a bool array marks."""
        rows = np.asarray(rows)
        return dataclasses.replace(
            self,
            user_ids=self.user_ids[rows],
            history=self.history.take(rows),
            targets=self.targets.take(rows),
            candidates=None if self.candidates is None else self.candidates[rows],
        )

    def event_features(
        self, rows: np.ndarray, length: int, inputs: EventInputs
    ) -> dict[str, np.ndarray]:
        """Returns what a model reads of the events of some rows, beside `history.padded`.

        Args:
            rows: The rows.
            length: The most recent events of a history that are read.
            inputs: What is read.

        Returns:
            `"history.<column>"` and `"history_time"` `[len(rows), length]`, as `inputs` ask for
            them, missing at padding; and `"request_time"` `[len(rows)]` int64, the time of a row's
            first target.

        Raises:
            ValueError: If the log had no such columns.
        """
        if self.events is None:
            raise no_events(inputs)
        features = self.events.features(self.history, rows, length, inputs)
        if inputs.request_time:
            assert self.targets.places is not None
            first = self.targets.offsets[np.asarray(rows, np.int64)]
            features["request_time"] = self.events.seconds[self.targets.places[first]]
        return features

    @property
    def num_users(self) -> int:
        """The number of users, who may have several rows each."""
        return len(np.unique(self.user_ids))

    def __len__(self) -> int:
        return len(self.user_ids)

    def __repr__(self) -> str:
        ranked = f"{len(self.items)} items"
        if self.candidates is not None:
            ranked = f"{self.candidates.shape[1]} candidates"
        return (
            f"EvaluationSet({self.name}: {self.num_users} users, {len(self.targets.values)} "
            f"targets among {ranked}, {self.protocol})"
        )


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """A log in three parts with one vocabulary of users and one of items.

    Args:
        train: Part that models learn from.
        validation: Part that chooses models and their settings.
        test: Part that reports are about.
        users: Vocabulary of users.
        items: Vocabulary of items.
        protocol: The rule that made the split, in words.
        counts: Numbers of users and items that the rule left out or could not use, by name.
        user_frame: The log's features of the users, indexed by raw id, or None.
        item_frame: The log's features of the items, indexed by raw id, or None.
    """

    train: TrainSet
    validation: EvaluationSet
    test: EvaluationSet
    users: Vocabulary
    items: Vocabulary
    protocol: str
    counts: dict[str, int]
    user_frame: pd.DataFrame | None = None
    item_frame: pd.DataFrame | None = None

    @property
    def events(self) -> Events | None:
        """The log's columns beside users and items, such as ratings and times; None for none."""
        return self.train.events

    @cached_property
    def user_features(self) -> FeatureTable | None:
        """Features of the users, encoded by a schema read from their columns."""
        return _table(self.user_frame, self.users)

    @cached_property
    def item_features(self) -> FeatureTable | None:
        """Features of the items, encoded by a schema read from their columns."""
        return _table(self.item_frame, self.items)

    def with_recommend_known(self, recommend_known: bool = True) -> Split:
        """Returns the same split, with or without known items among the recommendations.

        A user's known items are those of the history. By default they are never recommended: they
        leave the ranking, and a repeated target (one that the user already has) is a miss. Let them
        stay if users want items again, such as groceries or songs. Validation, test and baselines
        follow; `tfrecs.train` and `tfrecs.serving.export` take the same setting.

        Example:
            >>> from tfrecs.data import Interactions, leave_last_out
            >>> log = Interactions({"user_id": [7] * 4, "item_id": [1, 2, 3, 1]})
            >>> leave_last_out(log).with_recommend_known().test.recommend_known
            True
        """
        parts = {
            name: dataclasses.replace(getattr(self, name), recommend_known=bool(recommend_known))
            for name in ("validation", "test")
        }
        return dataclasses.replace(self, **parts)

    def known_items(self, *, test: bool = False) -> Histories:
        """Returns each user's items, which are never recommended unless `recommend_known`.

        Of a user with several test rows, only the first has a history without test targets.

        Args:
            test: Whether test targets count too. The test itself does not count them.

        Returns:
            Row u holds the distinct items of user id u, rising; row 0 is empty.

        Example:
            >>> from tfrecs.data import Interactions, leave_last_out
            >>> split = leave_last_out(Interactions({"user_id": [7] * 4, "item_id": [1, 2, 3, 4]}))
            >>> split.known_items()[1], split.known_items(test=True)[1]
            (array([1, 2, 3], dtype=int32), array([1, 2, 3, 4], dtype=int32))
        """
        parts = [(self.train.user_ids, self.train.histories)]
        for part in (self.validation, self.test):
            users, first = np.unique(part.user_ids, return_index=True)
            parts.append((users, part.history.take(first)))
            if part is not self.test or test:
                parts.append((part.user_ids, part.targets))
        return Histories.from_pairs(
            np.concatenate([np.repeat(users, rows.lengths) for users, rows in parts]),
            np.concatenate([rows.values for _, rows in parts]),
            len(self.users) + 1,
        )

    def __repr__(self) -> str:
        return f"Split({self.protocol}:\n  {self.train}\n  {self.validation}\n  {self.test})"


def _table(frame: pd.DataFrame | None, vocabulary: Vocabulary) -> FeatureTable | None:
    return None if frame is None else FeatureTable.from_frame(frame, vocabulary)
