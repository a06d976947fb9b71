"""Which trainers `benchmarks.ranking` runs, on what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarks.turns import Record
from benchmarks.worker import WorkerSettings

WORKER, DEEPCTR, RECBOLE = (
    "benchmarks.ranking_worker",
    "benchmarks.peers.deepctr",
    "benchmarks.peers.recbole_dcn",
)


@dataclass(frozen=True)
class RankingSettings(WorkerSettings):
    """What a worker is asked to do.

    Attributes:
        model: What `benchmarks.ranking_worker` does: "tfrecs", "tutorial", or "input", which reads
            batches and does nothing with them.
        ids: Sum of the vocabularies' sizes.
        rows: Rows of the table.
        optimizer: "adam" or "lazy_adam", of tfrecs.
        numbers: How many of the 13 numeric columns RecBole gets.
        parquet: A Parquet file to read in place of rows in memory.
        strings: Whether that file's categories are strings.
        dim: Size of an embedding.
        cross_layers: Cross layers, of full rank.
        deep_units: Widths of the deep network.
        batch_size: Rows a step.
        learning_rate: Adam's.
        epoch_steps: Steps after which Keras's loop is looked at.
        threads: Threads of RecBole.
        seed: Of data, weights and order.
        evaluate: Always False: quality is not measured.
    """

    ids: int
    model: str = "tfrecs"
    rows: int = 2**18
    optimizer: str = "lazy_adam"
    numbers: int = 13
    parquet: str | None = None
    strings: bool = False
    dim: int = 16
    cross_layers: int = 3
    deep_units: tuple[int, ...] = (256, 256)
    batch_size: int = 4096
    learning_rate: float = 1e-3
    epoch_steps: int = 8
    threads: int = 2
    seed: int = 0
    evaluate: bool = False


# Name, label, module, and what differs from the defaults of `RankingSettings`.
_TRAINERS: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    ("tfrecs-lazy", "tfrecs, LazyAdam", WORKER, {}),
    ("tfrecs-adam", "tfrecs, Adam", WORKER, {"optimizer": "adam"}),
    ("tutorial", "TFRS's DCN tutorial, Keras Adam", WORKER, {"model": "tutorial"}),
    ("deepctr", "DeepCTR", DEEPCTR, {}),
    ("recbole", "RecBole", RECBOLE, {}),
    ("recbole-narrow", "RecBole, one of the 13 numbers", RECBOLE, {"numbers": 1}),
)
_INPUTS: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    ("input-memory", "rows in memory, input alone", WORKER, {"model": "input"}),
    ("input-parquet", "Parquet, integers, input alone", WORKER, {"model": "input"}),
    (
        "input-parquet-strings",
        "Parquet, strings, input alone",
        WORKER,
        {"model": "input", "strings": True},
    ),
    ("tfrecs-parquet", "tfrecs, LazyAdam, trained from Parquet, integers", WORKER, {}),
)


def names() -> list[str]:
    """The names of all trainers."""
    return [name for name, *_ in (*_TRAINERS, *_INPUTS)]


def plan(
    totals: dict[str, int],
    threads: int,
    only: str | None = None,
    files: dict[bool, str] | None = None,
    **common: Any,
) -> dict[str, list[Record]]:
    """The records to fill, by group: one for each of `totals`, and "input" on the first of them.

    Args:
        totals: Sums of the vocabularies' sizes, by the name of the group.
        threads: Threads of RecBole.
        only: Beginnings of names, with commas between; all trainers if None.
        files: The Parquet files, by whether categories are strings; they need not exist yet.
        **common: Settings of all.

    Raises:
        ValueError: If one of `only` begins no name.
    """
    wanted = tuple([""] if only is None else [part.strip() for part in only.split(",")])
    for part in wanted:
        if not any(name.startswith(part) for name in names()):
            raise ValueError(
                f"--only {part}: no trainer of that name; there are {', '.join(names())}."
            )
    files = files or {False: "integers.parquet", True: "strings.parquet"}
    first = next(iter(totals.values()))
    groups: dict[str, list[Record]] = {}
    for group, ids in {**totals, "input": first}.items():
        groups[group] = []
        for name, label, module, settings in _INPUTS if group == "input" else _TRAINERS:
            if not name.startswith(wanted):
                continue
            given = {"ids": ids, "threads": threads, **common, **settings}
            if "parquet" in name:
                given["parquet"] = files[given.get("strings", False)]
            suffix = "" if group == "input" else f"-{group}"
            groups[group].append(Record(name + suffix, label, module, RankingSettings(**given)))
    return groups
