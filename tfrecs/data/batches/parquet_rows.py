"""Batches of the rows of Parquet files, for tables that do not fit into memory."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tfrecs._keras import tf
from tfrecs.data.batches.epochs import Features, check_batch_size, iterated_by_epoch
from tfrecs.data.batches.rows import Rows, describe_labels
from tfrecs.data.features.schema import Schema
from tfrecs.data.log.checks import read_weights

# Rows that are read and encoded at a time: many, so that Python costs little, yet a few MB.
_CHUNK = 2**15
Columns = dict[str, np.ndarray]
Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


class ParquetRows:
    """Rows of Parquet files, read and encoded while a model trains: `Rows` beyond memory.

    Memory holds at most about `buffer_rows` encoded rows and a few chunks of 32,768. Row groups are
    read in random order, and rows leave the buffer at random. So a file sorted by time or label
    needs a buffer of many row groups, or must be shuffled when it is written.

    Args:
        path: A Parquet file, a folder of them (its `*.parquet`, in the order of their names), or a
            list of files.
        schema: Kinds of the columns. Other columns of the files are not read.
        buffer_rows: Size of the buffer that the next row is drawn from.
        weight: Name of the column of weights in the loss; None if all rows weigh the same.

    Raises:
        FileNotFoundError: If there is no file.
        ValueError: If a file lacks a column of the schema or the weights, there are no rows, or
            `buffer_rows` is less than 1; while reading, if a weight is no number of 0 or more.

    Example:
        >>> import pandas as pd, pathlib, tempfile, tfrecs
        >>> frame = pd.DataFrame({"age": [31.0, 58.0, 40.0], "liked": [1, 0, 1]})
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "rows.parquet"
        >>> frame.to_parquet(path)
        >>> rows = ParquetRows(path, tfrecs.data.Schema.from_frame(frame, label="liked"))
        >>> [batch["age"].shape[0] for batch in rows.batch(2)]
        [2, 1]
    """

    def __init__(
        self,
        path: Paths,
        schema: Schema,
        buffer_rows: int = 2**18,
        weight: str | None = None,
    ) -> None:
        if buffer_rows < 1:
            raise ValueError(f"buffer_rows must be at least 1, not {buffer_rows}.")
        self.paths = _files(path)
        self.schema = schema
        self.buffer_rows = buffer_rows
        self.weight = weight
        self._names = [*schema, *([weight] if weight is not None and weight not in schema else [])]
        self._groups: list[tuple[Path, int]] = []
        self._size = 0
        for file in self.paths:
            with pq.ParquetFile(file) as parquet:
                names = set(parquet.schema_arrow.names)
                missing = [name for name in self._names if name not in names]
                if missing:
                    raise ValueError(
                        f"{file} has no column {', '.join(map(repr, missing))}, only "
                        f"{', '.join(map(repr, parquet.schema_arrow.names))}."
                    )
                self._groups += [(file, group) for group in range(parquet.num_row_groups)]
                self._size += parquet.metadata.num_rows
        if not self._size:
            raise ValueError(f"There are no rows in {', '.join(map(str, self.paths))}.")

    @property
    def label(self) -> str | None:
        """Name of the column to predict, or None; of several, the first."""
        return self.schema.label

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of the columns to predict."""
        return self.schema.labels

    @property
    def num_targets(self) -> int:
        """Number of targets of an epoch: one a row."""
        return len(self)

    def sample(self, size: int, seed: int = 0) -> Rows:
        """Returns `size` rows (or all, if there are fewer) in memory, for a model to `adapt` to.

        They are drawn from the first row groups of a random order, which follows from `seed`.

        Raises:
            ValueError: If `size` is less than 1.
        """
        if size < 1:
            raise ValueError(f"size must be at least 1, not {size}.")
        rng = np.random.default_rng(seed)
        columns = next(_cut(_mixed(self._chunks(rng), max(size, self.buffer_rows), rng), size))
        return Rows(columns, self.label_names)

    def batch(
        self,
        batch_size: int,
        *,
        seed: int | None = 0,
        first_epoch: int = 0,
        first_batch: int = 0,
    ) -> tf.data.Dataset:
        """Returns batches `{name: [B, ...]}` of all rows.

        Each iteration is another epoch, in an order that follows from `seed` and the epoch's
        number. The last batch holds the rest.

        Args:
            batch_size: Rows of a batch.
            seed: Seed of the order; None keeps the order of the rows.
            first_epoch: Number of the first iteration's epoch, for a resumed run.
            first_batch: Number of the first batch of that epoch. The rows of earlier batches are
                read, as the order of the others follows from them.

        Raises:
            ValueError: If `batch_size` is less than 1, or the epoch has no batch `first_batch`.
        """
        check_batch_size(batch_size)
        # Python yields blocks of several batches, which the graph cuts: so small batches are cheap.
        block = batch_size * -(-_CHUNK // batch_size)
        epoch = tf.Variable(first_epoch - 1, dtype=tf.int64, trainable=False)
        signature = self.schema.signature()
        for label in self.label_names:
            spec = self.schema[label].spec
            signature[label] = tf.TensorSpec(spec.shape, spec.dtype, name=label)
        if self.weight is not None:
            signature["sample_weight"] = tf.TensorSpec([None], tf.float32, name="sample_weight")

        def blocks(number: int) -> Iterator[Columns]:
            rng = None if seed is None else np.random.default_rng([seed, number])
            rows = self._chunks(rng)
            if rng is not None:
                rows = _mixed(rows, self.buffer_rows, rng)
            return _cut(_without(rows, first_batch * batch_size * (number == first_epoch)), block)

        def cut(columns: Features) -> tf.data.Dataset:
            size = tf.shape(next(iter(columns.values())), tf.int64)[0]
            return tf.data.Dataset.range(0, size, batch_size).map(
                lambda start: {name: x[start : start + batch_size] for name, x in columns.items()}
            )

        def one_epoch(_: tf.Tensor) -> tf.data.Dataset:
            read = tf.data.Dataset.from_generator(
                blocks, args=(epoch.assign_add(1),), output_signature=signature
            )
            return read.prefetch(1).flat_map(cut)

        dataset = tf.data.Dataset.range(1).flat_map(one_epoch)
        return iterated_by_epoch(dataset, epoch, -(-len(self) // batch_size), first_batch)

    def _chunks(self, rng: np.random.Generator | None) -> Iterator[Columns]:
        """Reads and encodes the rows, row groups in random order."""
        order = np.arange(len(self._groups)) if rng is None else rng.permutation(len(self._groups))
        for index in order:
            file, group = self._groups[index]
            with pq.ParquetFile(file) as parquet:
                first = 0
                for part in parquet.iter_batches(_CHUNK, [group], columns=self._names):
                    yield self._encode(part, f"{file}, row group {group}, from row {first}")
                    first += part.num_rows

    def _encode(self, part: pa.RecordBatch, place: str) -> Columns:
        try:
            frame = part.to_pandas()
            columns = self.schema.encode(frame)
            if self.weight is not None:
                weights = frame[self.weight]
                columns["sample_weight"] = read_weights(weights, f"column {self.weight!r}")
            return columns
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from error

    def __len__(self) -> int:
        return self._size

    def __repr__(self) -> str:
        labels = describe_labels(self.label_names)
        return f"ParquetRows({len(self)} rows of {', '.join(self.schema)}{labels})"


def _files(path: Paths) -> list[Path]:
    given = [Path(path)] if isinstance(path, str | os.PathLike) else [Path(one) for one in path]
    files: list[Path] = []
    for one in given:
        files += sorted(one.glob("*.parquet")) if one.is_dir() else [one]
    absent = [str(file) for file in files if not file.is_file()]
    if absent or not files:
        raise FileNotFoundError(
            f"There is no Parquet file {', '.join(absent or map(str, given))}: name a file, a "
            "folder of *.parquet files, or a list of files."
        )
    return files


def _mixed(chunks: Iterator[Columns], size: int, rng: np.random.Generator) -> Iterator[Columns]:
    """Yields rows at random from a buffer of `size`, and refills half of it at a time."""
    held: list[Columns] = []
    count = 0
    for chunk in chunks:
        held.append(chunk)
        count += _length(chunk)
        if count >= size:
            pool = _take(_joined(held), rng.permutation(count))
            keep = size // 2
            yield _take(pool, slice(keep, None))
            held, count = [_take(pool, slice(keep))], keep
    if count:
        yield _take(_joined(held), rng.permutation(count))


def _cut(parts: Iterator[Columns], size: int) -> Iterator[Columns]:
    """Yields parts of `size` rows; the last part holds the rest."""
    held: list[Columns] = []
    count = 0
    for part in parts:
        held.append(part)
        count += _length(part)
        if count < size:
            continue
        whole = _joined(held)
        stop = count - count % size
        for start in range(0, stop, size):
            yield _take(whole, slice(start, start + size))
        held, count = [_take(whole, slice(stop, None))], count - stop
    if count:
        yield _joined(held)


def _without(parts: Iterator[Columns], rows: int) -> Iterator[Columns]:
    """Yields all but the first `rows` rows."""
    for part in parts:
        if rows < _length(part):
            yield _take(part, slice(rows, None))
        rows = max(rows - _length(part), 0)


def _take(columns: Columns, rows: Any) -> Columns:
    return {name: values[rows] for name, values in columns.items()}


def _joined(parts: list[Columns]) -> Columns:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _length(columns: Columns) -> int:
    return len(next(iter(columns.values())))
