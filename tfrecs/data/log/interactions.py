"""A checked log of who met what, when."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd

from tfrecs.data.log.checks import check_breaks, check_columns, times_of, weights_of
from tfrecs.data.log.ids import id_column, parse_ids
from tfrecs.data.log.vocabulary import Vocabulary
from tfrecs.data.log.where import rows_where

Duplicates = Literal["drop", "first", "keep"]


class Interactions:
    """A validated log: one row an interaction, sorted by time.

    Bad rows are dropped, and `dropped` counts them by rule:

    - `missing_user_id`, `missing_item_id`: the id is None, NaN or empty;
    - `where`: the condition leaves the row out;
    - `invalid_timestamp`, `negative_timestamp`: the time cannot be read, or is before 1970. More
      than 1% of such rows are an error;
    - `duplicate`: the row repeats the user, item and time of an earlier one (see `duplicates`).

    Users with a single interaction stay: the splits keep them for training and count them.

    Ids are integers if all of them read as integers, else strings (`tfrecs.data.log.ids`). Times
    are numbers in the log's own unit; ISO 8601 strings and datetimes become seconds
    (`tfrecs.data.log.times`). Rows of equal time keep the order of the file. Without a time column
    the order of the file is the order of time.

    Args:
        frame: A pandas DataFrame, or a mapping of column names to values.
        user: Name of the column of user ids.
        item: Name of the column of item ids.
        timestamp: Name of the time column; None takes the order of the file. A log without the
            default column has no times. It is an error if another column then looks like times.
        weight: Name of the column of the rows' weights in the loss, 0 or more. Without the default
            column all rows weigh the same. None makes the column a feature like others.
        time_format: Form of times that are texts, as `datetime.strptime` has it.
        where: Condition on the rows to keep, such as "quantity > 0"; see `tfrecs.data.log.where`.
        dislike: Condition on the rows that are dislikes, such as "rating <= 2". A disliked
            interaction stays in the user's history and is never a target, in training, validation
            or test. Sequence models learn to score it low, see `losses.NotToRecommend`.
        duplicates: "drop" keeps one of the rows equal in user, item and time (all rows of a log
            without times, where a repeat is another interaction); "first" keeps the first row of
            each user and item; "keep" keeps all.
        user_features: Table of user features, one row a user, with the column `user`.
        item_features: Table of item features, one row an item, with the column `item`.
        name: Name of the log in reports.

    Attributes:
        frame: DataFrame with the columns user_id and item_id (int64, or categories of strings),
            timestamp (int64 or float64; the row number in a log without times) and every other
            column of the input as a feature. A feature with one of these names gets the suffix
            "_feature".
        has_times: Whether there was a time column.
        has_weights: Whether there was a column of weights: then `frame` has "weight", float32.
        has_dislikes: Whether `dislike` was given: then `frame` has "disliked", bool.
        user_features: DataFrame indexed by raw user id, or None.
        item_features: DataFrame indexed by raw item id, or None.
        dropped: Rule to the number of rows it dropped. A user or item with several rows of features
            keeps the first, and the others are counted here.

    Raises:
        ValueError: If a named column is missing, a time column is not named, no row is left, an id
            is a fraction, a weight is no number of 0 or more, every row is a dislike, or times are
            unreadable or ambiguous.

    Example:
        >>> log = Interactions({"user_id": ["a", "a", None], "item_id": [1, 2, 3]})
        >>> log.dropped["missing_user_id"], log.num_items
        (1, 2)
    """

    def __init__(
        self,
        frame: pd.DataFrame | Mapping[str, Any],
        *,
        user: str = "user_id",
        item: str = "item_id",
        timestamp: str | None = "timestamp",
        weight: str | None = "weight",
        time_format: str | None = None,
        where: str | None = None,
        dislike: str | None = None,
        duplicates: Duplicates = "drop",
        user_features: pd.DataFrame | None = None,
        item_features: pd.DataFrame | None = None,
        name: str = "log",
    ) -> None:
        if duplicates not in ("drop", "first", "keep"):
            raise ValueError(f'duplicates is "drop", "first" or "keep", not {duplicates!r}.')
        frame = pd.DataFrame(frame)
        if {user, item} & set(frame.index.names):
            frame = frame.reset_index()
        self.name = name
        timestamp = check_columns(frame, user, item, timestamp, name)
        self.has_times = timestamp is not None
        if frame.empty:
            raise ValueError(f"{name}: the log has no rows.")

        weights = weights_of(frame, weight, (user, item, timestamp), name)
        fits = np.ones(len(frame), bool) if where is None else rows_where(frame, where)
        users, no_user = id_column(frame[user], user)
        items, no_item = id_column(frame[item], item)
        if timestamp is None:
            times, invalid = np.arange(len(frame)), np.zeros(len(frame), bool)
        else:
            times, invalid = times_of(frame[timestamp], time_format, name)
        for column, ids in ((user, users), (item, items)):
            check_breaks(ids, column, name)
        self.dropped: dict[str, int] = {}
        keep = np.ones(len(frame), bool)
        for rule, bad in (
            *([] if where is None else [("where", ~fits)]),
            ("missing_user_id", no_user),
            ("missing_item_id", no_item),
            ("invalid_timestamp", invalid),
            ("negative_timestamp", times < 0),
        ):
            self.dropped[rule] = int((keep & bad).sum())
            keep &= ~bad
        columns: dict[str, Any] = {"user_id": users, "item_id": items, "timestamp": times}
        used = [user, item, timestamp]
        self.has_weights, self.has_dislikes = weights is not None, dislike is not None
        if weights is not None:
            columns["weight"] = weights
            used.append(weight)
        if dislike is not None:
            columns["disliked"] = rows_where(frame, dislike, "dislike")
        for feature in frame.columns.drop([c for c in used if c is not None]):
            columns[f"{feature}_feature" if feature in columns else feature] = frame[feature].array
        checked = pd.DataFrame(columns, copy=False)
        if not keep.all():
            checked, times = checked[keep], times[keep]
        if (np.diff(times) < 0).any():
            checked = checked.iloc[np.argsort(times, kind="stable")]
        repeated = _repeated(checked, duplicates, self.has_times)
        self.dropped["duplicate"] = int(repeated.sum())
        if repeated.any():
            checked = checked[~repeated]
        if checked.empty:
            raise ValueError(f"{name}: no row is left of {len(frame)}: {self._dropped_text()}.")
        self.frame = checked.reset_index(drop=True)
        self._check_dislikes(dislike)
        self._known: tuple[Vocabulary, Vocabulary] | None = None
        self.user_features = self._feature_table(user_features, user, "user_id")
        self.item_features = self._feature_table(item_features, item, "item_id")

    @property
    def num_users(self) -> int:
        """Distinct users."""
        return self.frame["user_id"].nunique()

    @property
    def num_items(self) -> int:
        """Distinct items."""
        return self.frame["item_id"].nunique()

    @property
    def disliked(self) -> np.ndarray:
        """`[rows]` bool, which rows are dislikes."""
        if not self.has_dislikes:
            return np.zeros(len(self.frame), bool)
        return self.frame["disliked"].to_numpy()

    def vocabularies(self) -> tuple[Vocabulary, Vocabulary]:
        """Returns vocabularies of all users and of all items, sorted; see also `continuing`."""
        columns = self.frame["user_id"], self.frame["item_id"]
        if self._known is None:
            return Vocabulary.from_values(columns[0]), Vocabulary.from_values(columns[1])
        return self._known[0].grow(columns[0]), self._known[1].grow(columns[1])

    def continuing(self, users: Vocabulary, items: Vocabulary) -> Interactions:
        """Returns the same log with vocabularies that begin with those of an earlier log.

        Its splits number known users and items as before, and new ones after them, as `Model.grown`
        needs it.

        Args:
            users: Vocabulary of the known users.
            items: Vocabulary of the known items.
        """
        log = copy.copy(self)
        log._known = users, items
        return log

    def filter_k_core(self, k: int) -> Interactions:
        """Returns the largest part of the log where all users and items have k interactions.

        In the new log `dropped` counts the other rows as "k_core".

        Args:
            k: Interactions that each user and item has at least.

        Raises:
            ValueError: If no row is left.
        """
        users, _ = pd.factorize(self.frame["user_id"])
        items, _ = pd.factorize(self.frame["item_id"])
        rows = np.arange(len(users))
        while len(rows):
            enough = (np.bincount(users[rows])[users[rows]] >= k) & (
                np.bincount(items[rows])[items[rows]] >= k
            )
            if enough.all():
                return self.take(rows, "k_core")
            rows = rows[enough]
        raise ValueError(f"{self.name}: the {k}-core is empty. Choose a smaller k.")

    def take(self, rows: np.ndarray, rule: str = "taken_out") -> Interactions:
        """Returns the log of some of the rows, with the same feature tables.

        Args:
            rows: Positions of rows, rising, or a bool array that marks them.
            rule: Name under which `dropped` counts the other rows.

        Raises:
            ValueError: If no row is left.
        """
        frame = self.frame[rows] if np.asarray(rows).dtype == bool else self.frame.iloc[rows]
        if frame.empty:
            raise ValueError(f"{self.name}: no row is left of {len(self)}.")
        log = copy.copy(self)
        log.frame = frame.reset_index(drop=True)
        out = len(self) - len(frame)
        log.dropped = self.dropped | {rule: self.dropped.get(rule, 0) + out}
        return log

    def selected(self, where: str | None = None, dislike: str | None = None) -> Interactions:
        """Returns the rows that meet `where`, with dislikes marked by `dislike`.

        Both conditions read the columns of `frame`.

        Args:
            where: Condition on the rows to keep; None keeps all.
            dislike: Condition on the rows that are dislikes; None leaves the marks as they are.

        Raises:
            ValueError: If a condition cannot be read, or no row is left.

        Example:
            >>> log = Interactions({"user_id": [1, 1], "item_id": [1, 2], "rating": [5, 1]})
            >>> log.selected(dislike="rating <= 2").disliked
            array([False,  True])
        """
        log = self if where is None else self.take(rows_where(self.frame, where), "where")
        if dislike is None:
            return log
        marked, frame = copy.copy(log), log.frame
        disliked = rows_where(frame, dislike, "dislike")
        if not log.has_dislikes and "disliked" in frame:
            frame = frame.rename(columns={"disliked": "disliked_feature"})
        marked.frame = frame.assign(disliked=disliked)
        marked.has_dislikes = True
        marked._check_dislikes(dislike)
        return marked

    def joined(self) -> pd.DataFrame:
        """Returns `frame` with the user and item features beside each row.

        A feature name that stands in several tables gets the suffix "_user" or "_item".
        """
        frame = self.frame
        for table, key in ((self.user_features, "user_id"), (self.item_features, "item_id")):
            if table is not None:
                suffix = "_" + key.removesuffix("_id")
                taken = {c: c + suffix for c in table.columns if c in frame.columns}
                frame = frame.join(table.rename(columns=taken), on=key)
        return frame

    def fingerprint(self) -> str:
        """Returns the sha256 of `frame`: its column names and values, row by row in order."""
        digest = hashlib.sha256()
        for name, column in self.frame.items():
            digest.update(f"{name}\n".encode())
            if column.dtype.kind in "iuf":
                digest.update(column.to_numpy(f"<{column.dtype.kind}8").tobytes())
            else:
                digest.update("\n".join(map(str, column)).encode())
        return digest.hexdigest()

    def _check_dislikes(self, condition: str | None) -> None:
        if self.disliked.all():
            raise ValueError(
                f"{self.name}: dislike={condition!r} fits every row: nothing is left to recommend. "
                "Narrow the condition."
            )

    def _feature_table(
        self, table: pd.DataFrame | None, key: str, index: str
    ) -> pd.DataFrame | None:
        """Returns a feature table indexed by raw id; the first row of an id counts."""
        if table is None:
            return None
        if key not in table.columns:
            raise ValueError(
                f"{self.name}: the feature table has no column {key!r}, only "
                f"{', '.join(map(repr, table.columns))}."
            )
        ids, missing = parse_ids(table[key], key)
        table = table.drop(columns=key).set_index(pd.Index(ids, name=index))[~missing]
        repeated = table.index.duplicated()
        if repeated.any():
            rule = f"repeated_{index.removesuffix('_id')}_features"
            self.dropped[rule] = int(repeated.sum())
        return table[~repeated]

    def _dropped_text(self) -> str:
        """Returns what was dropped, in words."""
        counts = [f"{count} {rule}" for rule, count in self.dropped.items() if count]
        return "dropped " + ", ".join(counts) if counts else "nothing dropped"

    def __len__(self) -> int:
        return len(self.frame)

    def __repr__(self) -> str:
        order = "in time order" if self.has_times else "in file order"
        weighted = ", weighted" if self.has_weights else ""
        if self.has_dislikes:
            weighted += f", {self.disliked.sum()} disliked"
        return (
            f"Interactions({self.name}: {len(self)} rows, {self.num_users} users, "
            f"{self.num_items} items, {order}{weighted}, {self._dropped_text()})"
        )


def _repeated(frame: pd.DataFrame, duplicates: Duplicates, has_times: bool) -> np.ndarray:
    """Returns which rows of a log in time order repeat an earlier one."""
    repeated = np.zeros(len(frame), bool)
    keys = ["user_id", "item_id"]
    if duplicates == "keep" or (duplicates == "drop" and not has_times):
        return repeated
    if duplicates == "first":
        return frame.duplicated(keys).to_numpy()
    # Rows equal in time stand together, and most logs have few of them.
    same = np.diff(frame["timestamp"].to_numpy()) == 0
    rows = np.flatnonzero(np.append(same, False) | np.append(False, same))
    repeated[rows] = frame.iloc[rows].duplicated([*keys, "timestamp"])
    return repeated
