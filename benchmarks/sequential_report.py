"""The section of RESULTS.md that `benchmarks.sequential` writes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from benchmarks.turns import Limits, Record
from benchmarks.utilisation import flops_per_target

NONE = "–"
# Beyond this share of the processors' time taken by others, a run is no measurement.
MOST_OTHERS = 0.1


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, the first column left-aligned, the others right-aligned."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def count(value: float) -> str:
    """A number with no decimals, or a dash."""
    return NONE if math.isnan(value) else f"{value:,.0f}"


def short(value: float) -> str:
    """About three digits, or a dash."""
    if math.isnan(value):
        return NONE
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def quality(metrics: dict[str, float] | None) -> str:
    """HR@10 and NDCG@10 without leading zeros."""
    if metrics is None:
        return NONE
    return " / ".join(f"{metrics[name]:.4f}".removeprefix("0") for name in ("HR@10", "NDCG@10"))


def time_to(record: Record, ndcg: float) -> str:
    """Seconds until the value was reached, or for how long it was not."""
    if record.failure or not record.turns:
        return NONE
    reached = record.seconds_to(ndcg)
    return f"not in {record.seconds:.0f}" if reached is None else short(reached)


def comparison(records: Sequence[Record], ndcg: float) -> str:
    """Speed, memory and quality of trainers on the same data."""
    header = [
        "trainer",
        "targets/s (slowest–fastest turn)",
        "s an epoch",
        f"s to validation NDCG@10 {ndcg:g}",
        "peak memory, MB (before training)",
        "epochs, best of",
        "validation HR@10 / NDCG@10",
        "test HR@10 / NDCG@10",
    ]
    rows = []
    for record in records:
        best = record.best or {}
        epochs = f"{best['epoch']} of {record.epochs[-1]['epoch']}" if best else "less than 1"
        spread = f" ({count(min(record.rates))}–{count(max(record.rates))})" if record.rates else ""
        memory = NONE
        if record.done:
            memory = f"{count(record.done['peak_memory'])} ({count(record.ready['base_memory'])})"
        rows.append(
            [
                record.label,
                count(record.rate) + spread,
                short(record.seconds_per_epoch) if record.ready else NONE,
                time_to(record, ndcg),
                memory,
                epochs,
                quality(best.get("validation")),
                quality(best.get("test")),
            ]
        )
    return table(header, rows)


def fastest(records: Sequence[Record]) -> Record | None:
    """The record of the highest rate."""
    timed = [record for record in records if record.rates]
    return max(timed, key=lambda record: record.rate, default=None)


def ratios(groups: dict[str, list[Record]]) -> list[tuple[str, float, float]]:
    """What is compared, how many times faster it is, and the aim; only pairs that have run."""
    beauty = {record.name: record for record in groups["beauty"] if record.rates}
    ml_1m = {record.name: record for record in groups["ml-1m"] if record.rates}
    peers = [record for name, record in beauty.items() if not name.startswith("tfrecs")]
    full = fastest([peer for peer in peers if peer.settings.loss == "full"])
    sampled = fastest([peer for peer in peers if peer.settings.loss == "sampled"])
    pairs = [
        (beauty.get("tfrecs-full"), full, 25.0),
        (beauty.get("tfrecs-full"), sampled, 1.0),
        (beauty.get("tfrecs-sampled"), sampled, 3.0),
        (beauty.get("tfrecs-sampled"), beauty.get("replay-sampled"), 3.0),
        (ml_1m.get("tfrecs-ml-1m"), ml_1m.get("keras-ml-1m"), 2.5),
    ]
    result: dict[str, tuple[str, float, float]] = {}
    for ours, theirs, aim in pairs:
        if ours and theirs:
            data = "ML-1M" if theirs.name == "keras-ml-1m" else "Beauty"
            text = f"{data}: {ours.label} over {theirs.label}"
            result[text] = (text, ours.rate / theirs.rate, aim)
    return list(result.values())


def ratio_table(groups: dict[str, list[Record]]) -> str:
    """The table of `ratios`."""
    rows = [[text, f"{ratio:.2f}", f"{aim:g}"] for text, ratio, aim in ratios(groups)]
    return table(["targets/s of", "times", "aim"], rows)


def utilisation_table(
    groups: dict[str, list[Record]], num_items: dict[str, int], peak: float
) -> str:
    """Useful operations a second over the peak, of tfrecs's full softmax."""
    rows = []
    for record in [record for group in groups.values() for record in group]:
        settings = record.settings
        if settings.model != "tfrecs" or not record.name.startswith("tfrecs") or not record.rates:
            continue
        if settings.loss != "full":
            continue
        flops = flops_per_target(num_items[settings.data], settings.dim, settings.num_blocks)
        aim = {64: ".38", 256: ".60"}.get(settings.dim, NONE)
        rows.append(
            [
                record.name,
                f"{flops / 1e6:.2f}",
                count(record.rate),
                count(flops * record.rate / 1e9),
                f"{flops * record.rate / 1e9 / peak:.2f}".removeprefix("0"),
                NONE if record.name == "tfrecs-ml-1m" else aim,
            ]
        )
    header = ["trainer", "MFLOP a target", "targets/s", "useful GFLOP/s", "utilisation", "aim"]
    return table(header, rows)


def section(
    groups: dict[str, list[Record]],
    *,
    command: str,
    ndcg: float,
    limits: Limits,
    threads: int,
    num_items: dict[str, int],
    peaks: dict[str, float],
    environment: str,
    others: float,
) -> str:
    """The whole section.

    Args:
        groups: All records.
        command: What was run.
        ndcg: The validation NDCG@10 whose time is told.
        limits: When trainers stopped.
        threads: Threads of each trainer.
        num_items: Items of each data file.
        peaks: The best matrix-product rates, GFLOP/s by shape.
        environment: Machine and versions.
        others: Share of the processors' time that other processes took; NaN if unknown.
    """
    records = [record for group in groups.values() for record in group]
    parts = ["## SASRec beside its peers", _head(command, limits, threads)]
    if groups["beauty"]:
        parts += ["### Amazon Beauty, batch 128", comparison(groups["beauty"], ndcg)]
        timed = [
            r.label for r in groups["beauty"] if r.rates and r.seconds_per_epoch > limits.seconds
        ]
        if timed:
            parts.append(
                "Only timed, over a part of an epoch, as one takes more than "
                f"{limits.seconds:.0f} s: {'; '.join(timed)}. Their seconds an epoch follow from "
                "targets/s."
            )
    if groups["ml-1m"]:
        rows = [
            [r.label, count(r.rate), short(r.seconds_per_epoch)] for r in groups["ml-1m"] if r.ready
        ]
        head = "### MovieLens-1M, histories of up to 200, batch 128"
        parts += [head, table(["trainer", "targets/s", "s an epoch"], rows)]
    if ratios(groups):
        parts += ["### Ratios", ratio_table(groups)]
    if peaks:
        peak = max(peaks.values())
        shapes = ", ".join(f"{shape} {rate:.0f}" for shape, rate in peaks.items())
        parts += [
            "### Utilisation",
            utilisation_table(groups, num_items, peak),
            "Useful FLOP a target: 6 V d + blocks * 6 (4 d² + 2 d ffn), V items, ffn = d; padding, "
            "attention weights, norms, dropout and optimizer count as nothing. Peak: the best "
            f"float32 matrix product of this run, {peak:.0f} GFLOP/s; by shape: {shapes}.",
        ]
    failures = [f"{record.name} failed: {record.failure}." for record in records if record.failure]
    versions: dict[str, str] = {}
    for record in records:
        versions.update(record.ready.get("versions", {}))
    parts += failures
    known = [f"{package} {version}" for package, version in versions.items()]
    known = [package for package in known if package not in environment]
    parts.append(f"{environment} Trainers: {', '.join(known)}.")
    if not math.isnan(others):
        parts[-1] += f" Other processes took {100 * others:.0f}% of the processors' time meanwhile"
        parts[-1] += ": too much to compare anything." if others > MOST_OTHERS else "."
    return "\n\n".join(parts)


def _head(command: str, limits: Limits, threads: int) -> str:
    return (
        f"`{command}`: every trainer in a process of its own, on {threads} threads, one at a time "
        f"in turns of {limits.turn:g} s (tfrecs and Keras: of whole epochs). d64, 2 blocks, 2 "
        "heads, feed-forward width 64, ReLU, dropout .2, histories of up to 50, Adam at .001. "
        "Leave-last-out, full ranking, seen items masked, one evaluator for all. targets/s: "
        "positions with a target over seconds inside the training loop, median of the turns after "
        "the first. Seconds to a quality include compiling, not evaluating. Quality is that of the "
        f"best epoch on validation within {limits.seconds:.0f} s of training, or until "
        f"{limits.patience} epochs brought nothing. What differs between the trainers: "
        "benchmarks/README.md."
    )
