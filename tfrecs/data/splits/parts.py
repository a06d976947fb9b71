"""The three parts of a split: what trains, what validates, what tests."""

from __future__ import annotations

import dataclasses
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd

from tfrecs.data.batches.rows import Pairs
from tfrecs.data.batches.sequences import Sequences
from tfrecs.data.features.feature_table import FeatureTable
from tfrecs.data.log.histories import Histories
from tfrecs.data.log.vocabulary import Vocabulary
from tfrecs.data.splits.candidates import draw_unseen


@dataclasses.dataclass(frozen=True, eq=False)
class TrainSet:
    """What a model may learn from: one row a user, items in time order.

    Args:
        histories: each user's training items.
        user_ids: int32 [U], the user of each row.
        num_items: n, the size of the item vocabulary.
        weights: float32 [N], the weight in the loss of each of `histories.values`; None where all
            weigh the same.

    Example:
        >>> train = TrainSet(Histories.from_lists([[1, 2], [2]]), np.array([1, 2]), num_items=3)
        >>> train.item_counts
        array([0, 1, 2, 0, 0])
    """

    histories: Histories
    user_ids: np.ndarray
    num_items: int
    weights: np.ndarray | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "user_ids", np.asarray(self.user_ids, np.int32))
        if self.weights is not None:
            object.__setattr__(self, "weights", np.asarray(self.weights, np.float32))
            if self.weights.shape != self.histories.values.shape:
                raise ValueError(
                    f"TrainSet: weights of shape {self.weights.shape} for "
                    f"{len(self.histories.values)} items."
                )
        if len(self.user_ids) != len(self.histories):
            raise ValueError(
                f"TrainSet: {len(self.user_ids)} user ids for {len(self.histories)} histories."
            )

    @property
    def item_counts(self) -> np.ndarray:
        """int64 [n + 2], how often each item id stands in the training part."""
        return np.bincount(self.histories.values, minlength=self.num_items + 2)

    def sequences(self, max_length: int, windows: Literal["last", "all"] = "all") -> Sequences:
        """Training sequences for sequence models.

        Args:
            max_length: most positions of a sequence.
            windows: "last" keeps the most recent positions of each user, "all" cuts longer
                histories into several sequences.

        Returns:
            `Sequences`, whose `batch` gives the input of `fit`.
        """
        return Sequences(self, max_length, windows)

    def pairs(self, max_history: int | None = None) -> Pairs:
        """Each interaction as a (user, item) pair, with the history before it if asked for.

        Args:
            max_history: items of the history, see `Pairs`.
        """
        return Pairs(self, max_history)

    def __len__(self) -> int:
        return len(self.histories)

    def __repr__(self) -> str:
        return (
            f"TrainSet({len(self)} users, {len(self.histories.values)} interactions, "
            f"{self.num_items} items)"
        )


@dataclasses.dataclass(frozen=True, eq=False)
class EvaluationSet:
    """Users with what is known of them and what they are to be recommended.

    Args:
        user_ids: int32 [E], the user of each row.
        history: [E] rows, items known of the user, oldest first.
        targets: [E] rows, the items withheld: at least one a row.
        item_counts: int64 [n + 2], how often each item id stands in the training part.
        items: vocabulary of the n items.
        users: vocabulary of the users.
        name: data set and part, for reports.
        protocol: how the targets were chosen, for reports.
        candidates: int32 [E, C], items to rank the target among (0 = none), or None for all.
        recommend_known: whether items of a user's history may be recommended. If not, they leave
            the ranking, and a target among them is a miss.
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
        if len(self.item_counts) != len(self.items) + 2:
            raise ValueError(
                f"EvaluationSet: item_counts has {len(self.item_counts)} entries for "
                f"{len(self.items)} items: one for each id from 0 to n + 1."
            )

    def with_candidates(self, candidates: np.ndarray) -> EvaluationSet:
        """The same users, whose targets are ranked among given items only (1 + C protocol).

        Args:
            candidates: int32 [E, C] item ids, without the target; 0 fills short rows.

        Returns:
            A new set.

        Raises:
            ValueError: where a row's target is among its candidates, which would count it twice.
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
        """The same users, each with n items drawn uniformly to rank the targets among.

        Drawn without repetition from the items that are neither among the targets nor, unless
        `recommend_known`, in the user's history; users with fewer such items get all of them.

        Args:
            n: candidates a user, beside the targets.
            seed: the same seed draws the same candidates.

        Returns:
            A new set.
        """
        seen = [self.targets] if self.recommend_known else [self.history, self.targets]
        return self.with_candidates(draw_unseen(seen, len(self.items), n, seed))

    def subset(self, rows: np.ndarray) -> EvaluationSet:
        """Some of the users: positions of rows, or a bool array that marks them."""
        rows = np.asarray(rows)
        return dataclasses.replace(
            self,
            user_ids=self.user_ids[rows],
            history=self.history.take(rows),
            targets=self.targets.take(rows),
            candidates=None if self.candidates is None else self.candidates[rows],
        )

    def __len__(self) -> int:
        return len(self.user_ids)

    def __repr__(self) -> str:
        ranked = f"{len(self.items)} items"
        if self.candidates is not None:
            ranked = f"{self.candidates.shape[1]} candidates"
        return (
            f"EvaluationSet({self.name}: {len(self)} users, {len(self.targets.values)} targets "
            f"among {ranked}, {self.protocol})"
        )


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """A log in three parts with one vocabulary of users and one of items.

    Args:
        train: what models learn from.
        validation: what models and their settings are chosen on.
        test: what is reported.
        users: vocabulary of users.
        items: vocabulary of items.
        protocol: the rule that made the split, in words.
        counts: what the rule left out or could not use, by name.
        user_frame: features of the users as the log has them, indexed by raw id, or None.
        item_frame: the same of the items.
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

    @cached_property
    def user_features(self) -> FeatureTable | None:
        """Features of the users, encoded by the schema that their columns tell."""
        return _table(self.user_frame, self.users)

    @cached_property
    def item_features(self) -> FeatureTable | None:
        """Features of the items, encoded by the schema that their columns tell."""
        return _table(self.item_frame, self.items)

    def with_recommend_known(self, recommend_known: bool = True) -> Split:
        """The same split, with or without known items among the recommendations.

        A user's known items are those of the history. By default they are never recommended: they
        leave the ranking, and a repeated target (one that the user already has) is a miss. Where
        users want items again, such as groceries or songs, let them stay. Validation, test and
        baselines follow; `tfrecs.train` and `tfrecs.serving.export` take the same setting.

        Args:
            recommend_known: whether known items may be recommended.

        Returns:
            A new split.

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
        """The items that each user has: what is never recommended, unless `recommend_known`.

        Args:
            test: whether test targets count, too. Without them it is what the test leaves out.

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
            parts.append((part.user_ids, part.history))
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
