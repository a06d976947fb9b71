"""California housing and Adult as the arrays that `benchmarks.numeric` trains on."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd

FILES = ("california-housing.csv.gz", "adult/adult.data.gz", "adult/adult.test.gz")


@dataclasses.dataclass(frozen=True)
class Part:
    """Rows of a data set.

    Attributes:
        numbers: `[rows, features]` float32.
        categories: `[rows, values]` float32, one-hot; no columns where there are none.
        target: `[rows]`: float32 numbers, or int32 labels 0 and 1.
    """

    numbers: np.ndarray
    categories: np.ndarray
    target: np.ndarray

    def take(self, rows: np.ndarray) -> Part:
        """These rows of it."""
        return Part(self.numbers[rows], self.categories[rows], self.target[rows])


@dataclasses.dataclass(frozen=True)
class Table:
    """A data set in its three parts.

    Attributes:
        train: What is learned from.
        validation: What stops the training and chooses the settings.
        test: What is looked at once.
    """

    train: Part
    validation: Part
    test: Part

    @property
    def regression(self) -> bool:
        """Whether the target is a number."""
        return self.train.target.dtype == np.float32


def california(folder: Path) -> Table:
    """California housing with scikit-learn's eight features; the target in 100,000 dollars.

    64% of the rows are trained on, 16% are for validation, 20% for the test, drawn with seed 0.
    """
    frame = pd.read_csv(folder / FILES[0])
    households = frame["households"]
    features = {
        "median_income": frame["median_income"],
        "housing_median_age": frame["housing_median_age"],
        "rooms": frame["total_rooms"] / households,
        "bedrooms": frame["total_bedrooms"] / households,
        "population": frame["population"],
        "occupancy": frame["population"] / households,
        "latitude": frame["latitude"],
        "longitude": frame["longitude"],
    }
    numbers = np.stack([column.to_numpy(np.float32) for column in features.values()], axis=1)
    target = (frame["median_house_value"] / 100_000).to_numpy(np.float32)
    every = Part(numbers, np.zeros((len(frame), 0), np.float32), target)
    rows = np.random.default_rng(0).permutation(len(frame))
    test, validation = round(0.2 * len(rows)), round(0.36 * len(rows))
    return Table(
        every.take(rows[validation:]), every.take(rows[test:validation]), every.take(rows[:test])
    )


def adult(folder: Path) -> Table:
    """Adult, whose test rows are published; a fifth of the others, seed 0, are for validation."""
    frames = [
        pd.read_csv(folder / name, skipinitialspace=True).dropna(how="all") for name in FILES[1:]
    ]
    frame = pd.concat(frames, ignore_index=True)
    label = frame.pop("Y").str.rstrip(".")
    if set(label) != {"<=50K", ">50K"}:
        raise ValueError(
            f"{FILES[1]}: the column Y holds {sorted(set(label))}, not <=50K and >50K."
        )
    texts = frame.select_dtypes(exclude="number")
    every = Part(
        frame.drop(columns=texts.columns).to_numpy(np.float32),
        pd.get_dummies(texts).to_numpy(np.float32),
        (label == ">50K").to_numpy(np.int32),
    )
    rows = np.random.default_rng(0).permutation(len(frames[0]))
    validation = round(0.2 * len(rows))
    return Table(
        every.take(rows[validation:]),
        every.take(rows[:validation]),
        every.take(np.arange(len(frames[0]), len(frame))),
    )
