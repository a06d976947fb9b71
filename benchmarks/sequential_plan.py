"""Which trainers `benchmarks.sequential` runs, on what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.turns import Record
from benchmarks.worker import Settings

BEAUTY = "amazon-beauty.txt.gz"
ML_1M = "ml-1m-sequences.txt.gz"
KERAS = "benchmarks.keras_worker"
REPLAY, RECTOOLS, RECBOLE = (
    f"benchmarks.peers.{peer}" for peer in ("replay", "rectools", "recbole")
)

# Group, name, label, module, and what differs from the defaults of `Settings`.
_PLAN: tuple[tuple[str, str, str, str, dict[str, Any]], ...] = (
    ("beauty", "tfrecs-full", "tfrecs, full softmax", KERAS, {}),
    ("beauty", "tfrecs-sampled", "tfrecs, 256 shared negatives", KERAS, {"loss": "sampled"}),
    (
        "beauty",
        "tfrecs-sampled-lazy",
        "tfrecs, 256 shared negatives, LazyAdam",
        KERAS,
        {"loss": "sampled", "optimizer": "lazy_adam"},
    ),
    ("beauty", "replay-sampled", "RePlay, CESampled, 256 shared", REPLAY, {"loss": "sampled"}),
    (
        "beauty",
        "replay-sampled-bucketed",
        "RePlay, CESampled, 256 shared, length buckets",
        REPLAY,
        {"loss": "sampled", "bucketed": True},
    ),
    ("beauty", "replay-full", "RePlay, CE", REPLAY, {}),
    (
        "beauty",
        "rectools-sampled",
        "RecTools, sampled_softmax, 256 a position",
        RECTOOLS,
        {"loss": "sampled"},
    ),
    ("beauty", "rectools-full", "RecTools, softmax", RECTOOLS, {}),
    ("beauty", "recbole-full", "RecBole, CE", RECBOLE, {}),
    ("ml-1m", "tfrecs-ml-1m", "tfrecs, full softmax", KERAS, {}),
    ("ml-1m", "keras-ml-1m", "plain Keras", KERAS, {"model": "keras"}),
    (
        "utilisation",
        "tfrecs-d256-1-block",
        "tfrecs, full softmax, d256, 1 block, batch 256",
        KERAS,
        {"dim": 256, "num_blocks": 1, "batch_size": 256},
    ),
    (
        "utilisation",
        "tfrecs-d256-3-blocks",
        "tfrecs, full softmax, d256, 3 blocks, batch 256",
        KERAS,
        {"dim": 256, "num_blocks": 3, "batch_size": 256},
    ),
)
# What a group has in common.
_GROUPS: dict[str, dict[str, Any]] = {
    "beauty": {"data": BEAUTY},
    "ml-1m": {"data": ML_1M, "max_length": 200, "evaluate": False},
    "utilisation": {"data": BEAUTY, "evaluate": False},
}


def names() -> list[str]:
    """The names of all trainers."""
    return [name for _, name, *_ in _PLAN]


def plan(folder: Path, threads: int, only: str | None = None) -> dict[str, list[Record]]:
    """The records to fill, by group.

    Args:
        folder: Where the data is.
        threads: Threads of the peers.
        only: Beginnings of names, with commas between; all trainers if None.

    Raises:
        ValueError: If one of `only` begins no name.
    """
    wanted = [""] if only is None else [part.strip() for part in only.split(",")]
    for part in wanted:
        if not any(name.startswith(part) for name in names()):
            raise ValueError(
                f"--only {part}: no trainer of that name; there are {', '.join(names())}."
            )
    groups: dict[str, list[Record]] = {group: [] for group in _GROUPS}
    for group, name, label, module, settings in _PLAN:
        if name.startswith(tuple(wanted)):
            common = {**_GROUPS[group], "threads": threads}
            common["data"] = str((folder / common["data"]).resolve())
            groups[group].append(Record(name, label, module, Settings(**common, **settings)))
    return groups
