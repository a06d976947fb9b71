"""RESULTS.md: each comparison replaces its own section; the words and tables that all share."""

import datetime
import importlib.metadata
import math
import os
import platform
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).with_name("RESULTS.md")
NONE = "–"
# Beyond this share of the processors' time taken by others, a run is no measurement.
MOST_OTHERS = 0.1
_WHO = "Each section is written by the command it names; nothing here is written by hand."
_PACKAGES = ("tensorflow", "tf-keras", "tensorflow-recommenders", "numpy", "pandas", "pyarrow")


def fill(name: str, /, **values: Any) -> str:
    """Returns the section `name` of sections.md, without the headings under which nothing stands.

    `values` are what it names in braces; its `ending` is machine and versions if none is given.
    """
    text = Path(__file__).with_name("sections.md").read_text(encoding="utf-8")
    text = text.split(f"<!-- begin {name} -->\n")[1].split(f"\n<!-- end {name} -->")[0]
    values = {"ending": values.get("ending") or environment(), **values}
    parts = [part for part in text.format(**values).split("\n\n") if part]
    after = [*parts[1:], ""]
    kept = (p for p, q in zip(parts, after, strict=True) if not (p[:3] == "###" == q[:3]))
    return "\n\n".join(kept)


def publish(name: str, text: str, path: Path | None = RESULTS) -> None:
    """Prints a section, and writes it over the one of that name in a file or after all others."""
    print(f"\n{text}\n", flush=True)
    if path is None:
        return
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    old = path.read_text(encoding="utf-8") if path.exists() else f"# Results\n\n{_WHO}\n"
    if begin not in old:
        old = f"{old.rstrip()}\n\n{begin}\n{end}\n"
    before, after = old.split(begin)[0], old.split(end)[1]
    path.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


def environment() -> str:
    """Returns machine, versions, load and date as one line of Markdown."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = [f"Python {platform.python_version()}"]
    versions += [f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES]
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    today = datetime.datetime.now(datetime.timezone.utc).date()
    info = Path("/proc/cpuinfo")  # Linux's.
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    processor = next(models, platform.processor() or platform.machine())
    return (
        f"{processor}, {cores} cores, {memory:.0f} GiB; {', '.join(versions)}; "
        f"load average {load}; {today}."
    )


def ending(records: Sequence[Any], machine: str, others: float) -> str:
    """Returns a section's last paragraphs: what failed, machine and versions, the others' load."""
    failures = [f"{record.name} failed: {record.failure}." for record in records if record.failure]
    used = [item for record in records for item in record.ready.get("versions", {}).items()]
    known = [f"{package} {version}" for package, version in dict(used).items()]
    last = f"{machine} Trainers: {', '.join(name for name in known if name not in machine)}."
    if not math.isnan(others):
        last += f" Other processes took {100 * others:.0f}% of the processors' time meanwhile"
        last += ": too much to compare anything." if others > MOST_OTHERS else "."
    return "\n\n".join([*failures, last])


def table(rows: Sequence[Mapping[str, Any]], right: bool = False) -> str:
    """Returns a Markdown table, "" of no rows; a cell that is missing in a row is empty.

    Its columns are the first row's; `right` aligns all but the first to the right.
    """
    if not rows:
        return ""
    header = [*rows[0]]
    rule = ["---", *["---:" if right else "---"] * (len(header) - 1)]
    lines = [header, rule, *([str(row.get(name, "")) for name in header] for row in rows)]
    return "\n".join("".join(f"| {cell} " if cell else "| " for cell in x) + "|" for x in lines)


def count(value: float) -> str:
    return NONE if math.isnan(value) else f"{value:,.0f}"


def short(value: float) -> str:
    """Returns about three digits, or a dash."""
    if value < 100:
        return f"{value:.2f}" if value < 10 else f"{value:.1f}"
    return count(value)


def share(value: float) -> str:
    """Returns two decimals without the leading zero, or a dash."""
    return NONE if math.isnan(value) else f"{value:.2f}".removeprefix("0")


def pair(metrics: Mapping[str, float], names: Iterable[str] = ("HR@10", "NDCG@10")) -> str:
    return " / ".join(f"{metrics[name]:.4f}" for name in names)


def quality(metrics: Mapping[str, float] | None) -> str:
    """Returns HR@10 and NDCG@10 without leading zeros, or a dash."""
    return NONE if metrics is None else pair(metrics).replace("0.", ".")


def mean_sd(values: Sequence[float], mark: str = "") -> str:
    """Returns the mean, between marks, and the standard deviation if there are several values."""
    spread = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
    return f"{mark}{statistics.mean(values):.4f}{mark}{spread}"


def spread(record: Any, between: str) -> str:
    """Returns the targets a second of a record's slowest and fastest turn."""
    return between.join(count(find(record.rates, default=math.nan)) for find in (min, max))


def rate(record: Any) -> str:
    return f"{count(record.rate)} ({spread(record, '–')})" if record.rates else NONE


def epochs(record: Any, none: str = NONE) -> str:
    return f"{record.best['epoch']} of {record.last_epoch}" if record.best else none


def time_to(record: Any, ndcg: float) -> str:
    """Returns the seconds until the value was reached, or for how long it was not."""
    if record.failure or not record.turns:
        return NONE
    reached = record.seconds_to(ndcg)
    return f"not in {record.seconds:.0f}" if reached is None else short(reached)


def peak_words(peaks: Mapping[str, float]) -> str:
    shapes = ", ".join(f"{shape} {speed:.0f}" for shape, speed in peaks.items())
    words = f"Peak: the best float32 matrix product of this run, {max(peaks.values()):.0f} GFLOP/s"
    return f"{words}; by shape: {shapes}."
