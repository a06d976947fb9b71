"""Which trainers `benchmarks.factorization` runs, on what; needs numpy alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import protocol
from benchmarks.turns import Record
from benchmarks.worker import Worker, WorkerSettings

DATA = "ml-1m-sequences.txt.gz"
TFRECS, IMPLICIT, LIGHTFM = (
    f"benchmarks.{module}" for module in ("factorization_worker", "peers.implicit", "peers.lightfm")
)


@dataclass(frozen=True)
class FactorizationSettings(WorkerSettings):
    """What a worker is asked to train.

    Attributes:
        data: A file that `protocol.read_rows` reads.
        loss: "bpr", "warp", "softmax" or, of `implicit` alone, "als".
        dim: Factors of a user or an item.
        learning_rate: Of the optimizer; `als` has none.
        regularization: As the trainer itself counts it.
        num_negatives: Of tfrecs's BPR; the most trials of WARP.
        num_drawn: Negatives that are drawn for each target, of which the `num_negatives` that score
            highest are taken; 0 takes all that are drawn.
        batch_size: Pairs a step of tfrecs.
        alpha: Weight of what `als` has observed.
        threads: Threads of a peer.
        seed: Of weights, order and negatives.
        evaluate: Whether quality is measured after each epoch.
    """

    data: str
    loss: str
    dim: int = 64
    learning_rate: float = 0.05
    regularization: float = 0.0
    num_negatives: int = 10
    num_drawn: int = 0
    batch_size: int = 4096
    alpha: float = 1.0
    threads: int = 2
    seed: int = 0
    evaluate: bool = True


# Name, label, module, and what differs from the defaults of `FactorizationSettings`.
_PLAN: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    (
        "tfrecs-bpr",
        "tfrecs, BPR, 4 negatives",
        TFRECS,
        {"loss": "bpr", "learning_rate": 5e-3, "regularization": 0.005, "num_negatives": 4},
    ),
    (
        "tfrecs-bpr-hard",
        "tfrecs, BPR, the 2 hardest of 8 negatives",
        TFRECS,
        {
            "loss": "bpr",
            "learning_rate": 5e-3,
            "regularization": 0.008,
            "num_negatives": 2,
            "num_drawn": 8,
        },
    ),
    (
        "tfrecs-warp",
        "tfrecs, WARP, 20 trials",
        TFRECS,
        {"loss": "warp", "learning_rate": 5e-3, "regularization": 0.1, "num_negatives": 20},
    ),
    (
        "tfrecs-softmax",
        "tfrecs, full softmax",
        TFRECS,
        {"loss": "softmax", "learning_rate": 5e-3, "regularization": 0.02},
    ),
    (
        "implicit-bpr",
        "implicit, BPR",
        IMPLICIT,
        {"loss": "bpr", "learning_rate": 0.05, "regularization": 0.01},
    ),
    ("implicit-als", "implicit, ALS", IMPLICIT, {"loss": "als", "regularization": 0.1}),
    ("lightfm-warp", "LightFM, WARP", LIGHTFM, {"loss": "warp", "learning_rate": 0.05}),
)
# Whose best quality is the bar.
BAR = ("implicit-bpr", "lightfm-warp")


def names() -> list[str]:
    """The names of all trainers."""
    return [name for name, *_ in _PLAN]


def plan(folder: Path, threads: int, only: str | None = None) -> list[Record]:
    """The records to fill.

    Args:
        folder: Where the data is.
        threads: Threads of the peers.
        only: Beginnings of names, with commas between; all trainers if None.

    Raises:
        ValueError: If one of `only` begins no name.
    """
    wanted = tuple([""] if only is None else [part.strip() for part in only.split(",")])
    for part in wanted:
        if not any(name.startswith(part) for name in names()):
            raise ValueError(
                f"--only {part}: no trainer of that name; there are {', '.join(names())}."
            )
    data = str((folder / DATA).resolve())
    return [
        Record(name, label, module, FactorizationSettings(data=data, threads=threads, **settings))
        for name, label, module, settings in _PLAN
        if name.startswith(wanted)
    ]


def read(settings: FactorizationSettings) -> tuple[protocol.Split, Worker]:
    """The split, and a worker that evaluates on it."""
    split = protocol.leave_last_out(protocol.read_rows(settings.data))
    return split, Worker(split, evaluate=settings.evaluate)


def pairs(split: protocol.Split) -> tuple[np.ndarray, np.ndarray]:
    """Users from 0 and items from 0 of all training interactions."""
    users = np.repeat(np.arange(len(split.train)), [len(row) for row in split.train])
    return users, np.concatenate(split.train) - 1
