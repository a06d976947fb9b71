"""Batches of training sequences: windows of histories, bucketed by length, in random order."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from tfrecs._keras import tf
from tfrecs.data.batches.epochs import (
    Features,
    Static,
    UserRows,
    check_batch_size,
    epochs,
    shuffled,
)
from tfrecs.data.features.events import EventInputs


def length_buckets(max_length: int) -> np.ndarray:
    """Returns the widths of padded batches: every length up to 8, then eight an octave.

    At most an eighth of a row is padding, and a compiler meets few shapes.

    Example:
        >>> from tfrecs.data import length_buckets
        >>> length_buckets(20).tolist()
        [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 20]
    """
    widths = [1]
    while widths[-1] < max_length:
        widths.append(widths[-1] + max(1, 2 ** (widths[-1].bit_length() - 4)))
    widths[-1] = max_length
    return np.array(widths, np.int64)


def few_widths(
    widths: np.ndarray, counts: np.ndarray, most: int, saving: float = 0.0
) -> np.ndarray:
    """Returns at most `most` of the widths, those that give rows the least padding.

    Args:
        widths: `[n]`, rising.
        counts: `[n]`, how many rows fit into each width and no narrower one; the last is not 0.
        most: How many widths to choose.
        saving: The share of all places, padded ones too, that one more width must save; otherwise
            there are no more.

    Example:
        >>> few_widths(np.array([2, 3, 50]), np.array([10, 5, 1]), most=2).tolist()
        [3, 50]
    """
    rows = np.concatenate([[0], np.cumsum(counts)])
    # The least places of all rows up to each width, and where the chosen width before it ends, by
    # dynamic programming over the number of widths.
    least = np.where(rows > 0, np.inf, 0.0)
    chosen: list[np.ndarray] = []
    for _ in range(min(most, len(widths))):
        places = least[:-1] + widths[:, np.newaxis] * (rows[1:, np.newaxis] - rows[:-1])
        places[np.triu_indices(len(widths), 1)] = np.inf
        before = places.argmin(axis=1)
        fewer, least = least, np.concatenate([[0.0], places[np.arange(len(widths)), before]])
        if least[-1] > (1 - saving) * fewer[-1]:
            break
        chosen.append(before)
    found, end = [], len(widths)
    for before in reversed(chosen):
        if end:
            found.append(int(widths[end - 1]))
            end = int(before[end - 1])
    return np.array(sorted(found), np.int64)


# Widths of histories under XLA: each is a program to compile, for many seconds.
_FEW, _SAVING = 4, 0.2


class Sequences:
    """Windows of the users' histories, in which the next item is each position's target.

    A history of m items has m - 1 pairs of an input and the item after it. A window holds at most
    `max_length` of them.

    Args:
        train: The training part of a split.
        max_length: Most positions of a window.
        windows: "last" takes only the most recent window of each user, as SASRec does; "all" cuts
            longer histories, from the most recent end, into windows that hold all pairs.
        events: What the batches have of the events beside their items; None for nothing.

    Raises:
        ValueError: If `max_length` is less than 1, `windows` is unknown, no user has two items, all
            that could be targets are disliked, or the log has no such events.

    Example:
        >>> import numpy as np, tfrecs
        >>> histories = tfrecs.data.Histories.from_lists([[1, 2, 3], [4, 5]])
        >>> train = tfrecs.data.TrainSet(histories, np.array([1, 2]), num_items=5)
        >>> sequences = train.sequences(max_length=3)
        >>> sequences.num_targets
        3
        >>> batch = next(iter(sequences.batch(2, balanced=False)))
        >>> sorted(batch["target"].numpy().tolist())
        [[0, 5], [2, 3]]
    """

    def __init__(
        self,
        train: UserRows,
        max_length: int = 50,
        windows: Literal["last", "all"] = "all",
        events: EventInputs | None = None,
    ) -> None:
        if max_length < 1:
            raise ValueError(f"max_length must be at least 1, not {max_length}.")
        if windows not in ("last", "all"):
            raise ValueError(f'windows must be "last" or "all", not {windows!r}.')
        histories = train.histories
        pairs = np.maximum(histories.lengths - 1, 0)
        if not pairs.any():
            raise ValueError(
                "No user has two items to learn from: every training history is shorter."
            )
        counts = -(-pairs // max_length) if windows == "all" else np.minimum(pairs, 1)
        row = np.repeat(np.arange(len(pairs)), counts)
        # A window's number among its user's windows, counted from the most recent one.
        number = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
        stop = pairs[row] - number * max_length
        start = np.maximum(stop - max_length, 0)

        self.max_length = max_length
        self.widths = length_buckets(max_length)
        length = stop - start
        bucket = np.searchsorted(self.widths, length)
        order = np.argsort(-bucket, kind="stable")  # longest first
        self._bucket = bucket[order]
        self._length = length[order].astype(np.int32)
        # The place of a window's last input among all values. The next place holds its target.
        self._last = (histories.offsets[row] + stop - 1)[order]
        self._user = train.user_ids[row[order]]
        self._values = histories.values
        self._weights = train.weights
        self._disliked = train.disliked
        self._events = events
        self._columns = {} if events is None else train.event_columns(events)
        if not self.num_targets:
            raise ValueError("No user has an item to learn: all but their first ones are disliked.")

    def __len__(self) -> int:
        """Number of windows."""
        return len(self._length)

    @property
    def num_targets(self) -> int:
        """Number of targets of an epoch, without disliked items."""
        places = int(self._length.sum())
        if self._disliked is None:
            return places
        before = np.concatenate([[0], np.cumsum(self._disliked)])
        end = self._last + 2  # Behind the place of a window's last target.
        return places - int((before[end] - before[end - self._length]).sum())

    def batch(
        self,
        batch_size: int,
        *,
        seed: int = 0,
        balanced: bool = True,
        first_epoch: int = 0,
        first_batch: int = 0,
        static: Static = False,
    ) -> tf.data.Dataset:
        """Returns batches `{"user_id": [B], "history": [B, L], "target": [B, L]}`, all int32.

        If the log has weights, `"sample_weight"` `[B, L]` float32 holds the targets' weights. If
        it has dislikes, `"disliked"` `[B, L]` holds the disliked items, and `"target"` is 0 there.
        With events also `"history.<column>"` and `"history_time"` `[B, L, ..]`, missing at padding,
        and `"request_time"` `[B]`, the time of each row's last target.
        Histories are padded with 0 on the left. Each iteration is another epoch, in an order that
        follows from `seed` and the epoch's number.

        Args:
            batch_size: Windows of a batch.
            seed: Seed of the order.
            balanced: True makes batches of windows of like length with about the same number of
                targets: `batch_size` windows on average, more short ones or fewer long ones. This
                pads little, and every target counts the same, as the loss is a mean over a batch's
                targets. False makes batches of exactly `batch_size` windows (except the last) drawn
                from all, padded to the longest.
            first_epoch: Number of the first iteration's epoch, for a resumed run.
            first_batch: Number of the first batch of that epoch; earlier ones are not made.
            static: Whether all batches have one shape, as TPUs want it: `batch_size` windows drawn
                from all, padded to `max_length`. Or "few", for XLA: at most four shapes, with about
                the same number of targets each, as if `balanced`; only the last batch of a shape
                has fewer. Empty windows, which count for nothing, fill it up.

        Raises:
            ValueError: If `batch_size` is less than 1, or the epoch has no batch `first_batch`.
        """
        check_batch_size(batch_size, static)
        total = len(self)
        by_length = static == "few" or (balanced and not static)
        width_of = np.zeros(total, np.int64)
        if static == "few":
            counts = np.bincount(self._bucket, minlength=len(self.widths))
            longest = self._bucket[0] + 1
            chosen = few_widths(self.widths[:longest], counts[:longest], _FEW, _SAVING)
            width_of = chosen[np.searchsorted(chosen, self._length)]
        elif by_length:
            width_of = self.widths[self._bucket]
        # Shuffling moves windows among those of their width, [start, start + size).
        start_of = np.searchsorted(-width_of, -width_of, side="left")
        size_of = np.searchsorted(-width_of, -width_of, side="right") - start_of
        starts, rows = self._rows_of_batches(batch_size, width_of, by_length, static)
        # Of a static shape, the places behind the last window of a width hold nothing.
        ends = (start_of + size_of)[starts] if static else starts + rows
        num_batches = len(starts)

        starts, rows, ends, size_of, start_of, width_of = (
            tf.constant(x, tf.int64) for x in (starts, rows, ends, size_of, start_of, width_of)
        )
        values, last = tf.constant(self._values), tf.constant(self._last, tf.int64)
        lengths, users = tf.constant(self._length, tf.int64), tf.constant(self._user)
        widths = tf.constant(self.widths)
        weights = None if self._weights is None else tf.constant(self._weights)
        disliked = None if self._disliked is None else tf.constant(self._disliked)
        columns = {name: tf.constant(column) for name, column in self._columns.items()}

        def make_batch(epoch: tf.Tensor, number: tf.Tensor) -> Features:
            if by_length:  # Otherwise the windows themselves are in random order.
                number = shuffled(number, tf.constant(num_batches, tf.int64), seed, epoch)
            count = batch_size if static and not by_length else rows[number]
            slot = starts[number] + tf.range(count, dtype=tf.int64)
            inside = slot < ends[number]
            slot = tf.where(inside, slot, starts[number])
            first = tf.gather(start_of, slot)
            window = first + shuffled(slot - first, tf.gather(size_of, slot), seed, epoch, stream=1)
            length = tf.where(inside, tf.gather(lengths, window), 0)
            if static:
                width: Any = width_of[starts[number]] if by_length else self.max_length
            else:
                width = widths[tf.searchsorted(widths, tf.reduce_max(length)[tf.newaxis])[0]]
            offset = tf.range(1 - width, 1, dtype=tf.int64)
            place = tf.gather(last, window)[:, tf.newaxis] + offset
            valid = offset > -length[:, tf.newaxis]
            place = tf.where(valid, place, 0)
            batch = {
                "user_id": tf.gather(users, window),
                "history": tf.where(valid, tf.gather(values, place), 0),
                "target": tf.where(valid, tf.gather(values, place + 1), 0),
            }
            if disliked is not None:
                bad = tf.gather(disliked, place + 1)
                batch["disliked"] = tf.where(bad, batch["target"], 0)
                batch["target"] = tf.where(bad, 0, batch["target"])
            if weights is not None:
                batch["sample_weight"] = tf.where(valid, tf.gather(weights, place + 1), 0.0)
            for name, column in columns.items():
                batch[name] = self._of_events(name, tf.gather(column, place), valid)
            if self._events is not None and self._events.request_time:
                asked = tf.gather(columns["history_time"], place[:, -1] + 1)
                batch["request_time"] = self._of_events("request_time", asked, valid[:, -1])
            return batch

        return epochs(num_batches, make_batch, first_epoch, first_batch)

    def _of_events(self, name: str, values: tf.Tensor, valid: tf.Tensor) -> tf.Tensor:
        """Puts missing values at padding."""
        assert self._events is not None
        for _ in range(values.shape.rank - valid.shape.rank):
            valid = valid[..., tf.newaxis]
        return tf.where(valid, values, tf.constant(self._events.missing(name), values.dtype))

    def _rows_of_batches(
        self, batch_size: int, width_of: np.ndarray, by_length: bool, static: Static
    ) -> tuple[np.ndarray, np.ndarray]:
        """Cuts the windows, longest first: where each batch starts, and how many rows it has.

        By length, all batches get about the same number of targets.
        """
        if not by_length:
            starts = np.arange(0, len(self), batch_size)
            stops = starts + batch_size
            return starts, (stops if static else np.minimum(stops, len(self))) - starts
        wanted = batch_size * self._length.mean()
        bounds: list[int] = [0]
        rows_of: list[int] = []
        for width in np.unique(width_of)[::-1]:
            members = np.flatnonzero(width_of == width)
            rows, stop = max(1, round(wanted / self._length[members].mean())), members[-1] + 1
            # Windows that fill no batch begin the next width's first batch, padded a little more;
            # of a static shape they are a batch themselves.
            last = stop + rows - 1 if static else stop
            more = range(bounds[-1] + rows, last + 1, rows)
            bounds.extend(min(each, stop) for each in more)
            rows_of.extend(rows for _ in more)
        if bounds[-1] < len(self):
            bounds.append(len(self))
        starts = np.array(bounds)
        return starts[:-1], np.array(rows_of) if static else np.diff(starts)
