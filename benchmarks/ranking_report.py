"""The section of RESULTS.md that `benchmarks.ranking` writes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from benchmarks.sequential_report import MOST_OTHERS, NONE, count, fastest, table
from benchmarks.turns import Limits, Record
from benchmarks.utilisation import flops_per_row

UTILISATION = 0.65
# What a group must reach over TFRS's tutorial; over RecBole and DeepCTR it is PEERS.
TUTORIAL = {"1m": 1.3, "10m": 2.5}
PEERS = 2.0


def named(records: Sequence[Record], group: str) -> dict[str, Record]:
    """The records that have run, by their names without the group's."""
    return {r.name.removesuffix(f"-{group}"): r for r in records if r.rates}


def flops(record: Record) -> int | None:
    """Useful operations a sample; None where nothing is trained."""
    if "width" not in record.ready:
        return None
    settings = record.settings
    return flops_per_row(record.ready["width"], settings.cross_layers, settings.deep_units)


def utilisation(record: Record, peak: float) -> float:
    """Useful operations a second over the peak."""
    return (flops(record) or math.nan) * record.rate / 1e9 / peak


def rate(record: Record) -> str:
    """Samples a second, with the slowest and the fastest turn."""
    spread = f" ({count(min(record.rates))}–{count(max(record.rates))})" if record.rates else ""
    return count(record.rate) + spread


def training_table(records: Sequence[Record], peak: float) -> str:
    """Speed, work and memory of trainers on the same data."""
    header = [
        "trainer",
        "samples/s (slowest–fastest turn)",
        "ms a batch",
        "width of a row",
        "MFLOP a sample",
        "useful GFLOP/s",
        "utilisation",
        "peak memory, MB",
    ]
    rows = []
    for record in records:
        work = flops(record)
        milliseconds = 1000 * record.settings.batch_size / record.rate
        rows.append(
            [
                record.label,
                rate(record),
                count(milliseconds),
                str(record.ready.get("width", NONE)),
                f"{work / 1e6:.2f}" if work else NONE,
                count(work * record.rate / 1e9) if work else NONE,
                _share(utilisation(record, peak)),
                count(record.done["peak_memory"]) if record.done else NONE,
            ]
        )
    return table(header, rows)


def aims(groups: dict[str, list[Record]], peak: float) -> list[tuple[str, float, float]]:
    """What is measured, what it is, and what it must be; only what has run."""
    result = []
    for group, wanted in TUTORIAL.items():
        ran = named(groups.get(group, []), group)
        ours = ran.get("tfrecs-lazy")
        if ours is None:
            continue
        ids = f"{ours.settings.ids:,} ids"
        if group == "1m":
            text = f"{ids}: useful FLOP/s of {ours.label}, over the peak"
            result.append((text, utilisation(ours, peak), UTILISATION))
        recbole = fastest([ran[name] for name in ("recbole", "recbole-narrow") if name in ran])
        for theirs, aim in (
            (ran.get("tutorial"), wanted),
            (recbole, PEERS),
            (ran.get("deepctr"), PEERS),
        ):
            if theirs is not None:
                text = f"{ids}: samples/s of {ours.label}, over {theirs.label}"
                result.append((text, ours.rate / theirs.rate, aim))
    ran = named(groups.get("input", []), "input")
    trained = named(groups.get("1m", []), "1m").get("tfrecs-lazy")
    for name in ("input-parquet", "input-parquet-strings"):
        if name in ran and trained is not None:
            text = f"rows/s of {ran[name].label}, over samples/s of {trained.label}"
            result.append((text, ran[name].rate / trained.rate, 1.0))
    return result


def section(
    groups: dict[str, list[Record]],
    *,
    command: str,
    limits: Limits,
    threads: int,
    peaks: dict[str, float],
    environment: str,
    others: float,
) -> str:
    """The whole section.

    Args:
        groups: All records.
        command: What was run.
        limits: When trainers stopped.
        threads: Threads of each trainer.
        peaks: The best matrix-product rates, GFLOP/s by shape.
        environment: Machine and versions.
        others: Share of the processors' time that other processes took; NaN if unknown.
    """
    records = [record for group in groups.values() for record in group]
    peak = max(peaks.values())
    parts = ["## DCN-V2 beside its peers", _head(command, limits, threads, records)]
    for group in TUTORIAL:
        if groups.get(group):
            parts.append(f"### Vocabularies of {groups[group][0].settings.ids:,} ids together")
            parts.append(training_table(groups[group], peak))
    if groups.get("input"):
        rows = [[record.label, rate(record)] for record in groups["input"]]
        ids = groups["input"][0].settings.ids
        parts.append(f"### Input, {ids:,} ids")
        parts.append(table(["what", "rows/s (slowest–fastest turn)"], rows))
    reached = [[text, f"{value:.2f}", f"{aim:g}"] for text, value, aim in aims(groups, peak)]
    if reached:
        parts += ["### Aims", table(["what", "is", "at least"], reached)]
    shapes = ", ".join(f"{shape} {speed:.0f}" for shape, speed in peaks.items())
    parts.append(
        "Useful FLOP a sample: 6 (3 w² + w 256 + 256² + w + 256), w the width of a row; "
        "embeddings, products element by element, loss and optimizer count as nothing. Peak: the "
        f"best float32 matrix product of this run, {peak:.0f} GFLOP/s; by shape: {shapes}."
    )
    parts += [f"{record.name} failed: {record.failure}." for record in records if record.failure]
    versions: dict[str, str] = {}
    for record in records:
        versions.update(record.ready.get("versions", {}))
    known = [f"{package} {version}" for package, version in versions.items()]
    known = [package for package in known if package not in environment]
    parts.append(f"{environment} Trainers: {', '.join(known)}.")
    if not math.isnan(others):
        parts[-1] += f" Other processes took {100 * others:.0f}% of the processors' time meanwhile"
        parts[-1] += ": too much to compare anything." if others > MOST_OTHERS else "."
    return "\n\n".join(parts)


def _share(value: float) -> str:
    return NONE if math.isnan(value) else f"{value:.2f}".removeprefix("0")


def _head(command: str, limits: Limits, threads: int, records: Sequence[Record]) -> str:
    settings = records[0].settings
    return (
        f"`{command}`: every trainer in a process of its own, on {threads} threads, one at a time "
        f"in turns of {limits.turn:g} s. 26 categorical columns, their vocabularies in Criteo's "
        f"proportions, and 13 numeric ones; {settings.rows:,} rows made from a seed, ids by Zipf's "
        f"law. d{settings.dim}, {settings.cross_layers} full-rank crosses beside a 256x2 network, "
        f"no dropout, batch {settings.batch_size}, Adam at .001. samples/s: rows over seconds "
        "inside the training loop, median of the turns after the first. What differs between the "
        "trainers: benchmarks/README.md."
    )
