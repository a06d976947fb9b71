"""Shows metrics of a model beside those of baselines: as a table of text, and as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Series = Sequence[tuple[str, Mapping[str, float]]]
Intervals = Mapping[str, tuple[float, float]]

_COLOURS = ("#1f5fa8", "#e39a3b", "#b5b5b5", "#8c5a17", "#6b9e78")
_OWN_SCALE = ("Coverage", "Novelty", "PopularityBias")
_TITLES = {
    "Coverage": "Coverage: share of catalogue",
    "Novelty": "Novelty: bits",
    "PopularityBias": "Popularity bias: 1 = none",
}


def text_table(names: Sequence[str], series: Series, intervals: Intervals) -> list[str]:
    """Returns the lines of a table with a row for each metric.

    `series` has the name and metrics of the model, then of each baseline; `intervals` are the
    model's 95% confidence intervals, of the metrics that have one.
    """
    model, *baselines = (name for name, _ in series)
    rows = [["", model, "95% interval", *baselines]]
    for name in names:
        interval = "[{:.4f}, {:.4f}]".format(*intervals[name]) if name in intervals else ""
        value, *others = (f"{metrics[name]:.4f}" for _, metrics in series)
        rows.append([name, value, interval, *others])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]


def draw(
    path: str | Path,
    names: Sequence[str],
    series: Series,
    intervals: Intervals,
    notes: Sequence[str],
) -> None:
    """Draws the table of `text_table`, with lines of text below.

    Each metric with another scale gets its own panel. The ending of `path` decides the format.
    """
    # Without pyplot: no window system is asked for, and no backend of the caller's is changed.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    apart = {kind: [n for n in names if n.startswith(kind + "@")] for kind in _OWN_SCALE}
    apart = {kind: group for kind, group in apart.items() if group}
    accuracy = [n for n in names if not any(n in group for group in apart.values())]
    height = 6.6 if apart else 4.4
    figure = Figure(figsize=(max(7.5, 1.0 + 0.85 * len(accuracy)), height), dpi=150)
    FigureCanvasAgg(figure)
    rows = figure.add_gridspec(
        2 if apart else 1, 1, height_ratios=(1.6, 1) if apart else (1,), hspace=0.4
    )
    panel = figure.add_subplot(rows[0])
    _bars(panel, accuracy, series, intervals, values=True)
    if apart:
        columns = rows[1].subgridspec(1, len(apart), wspace=0.35)
        for i, (kind, group) in enumerate(apart.items()):
            own = figure.add_subplot(columns[i])
            _bars(own, group, series, intervals, values=False)
            own.set_title(_TITLES[kind], fontsize=9)
    handles, labels = panel.get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="upper left",
        ncols=len(labels),
        fontsize=9,
        frameon=False,
        bbox_to_anchor=(0.06, 1 - 0.32 / height),
    )
    title = f"{series[0][0]} and baselines"
    figure.suptitle(title, x=0.07, ha="left", fontsize=12, weight="bold")
    figure.text(0.07, 0.015, "\n".join(notes), fontsize=7.5, color="0.35")
    figure.subplots_adjust(left=0.07, right=0.98, top=1 - 0.75 / height, bottom=0.13)
    figure.savefig(path)


def _bars(
    panel: Any, names: Sequence[str], series: Series, intervals: Intervals, *, values: bool
) -> None:
    """Draws a group of bars for each metric: the model with its interval, then the baselines."""
    width = 0.8 / len(series)
    for i, (label, metrics) in enumerate(series):
        places = [x + (i - (len(series) - 1) / 2) * width for x in range(len(names))]
        # Of several labels, a baseline may know only some.
        heights = [metrics.get(name, float("nan")) for name in names]
        colour = _COLOURS[i] if i < len(_COLOURS) else None
        panel.bar(places, heights, width * 0.94, label=label, color=colour)
        if i:
            continue
        for x, name, height in zip(places, names, heights, strict=True):
            top = height
            if name in intervals:
                low, high = intervals[name]
                error = [[max(height - low, 0)], [max(high - height, 0)]]
                panel.errorbar(x, height, error, color="0.15", capsize=3, lw=1)
                top = max(height, high)
            if values:
                panel.annotate(
                    f"{height:.3f}",
                    (x, top),
                    (0, 5),
                    textcoords="offset points",
                    ha="center",
                    fontsize=7.5,
                    bbox={"boxstyle": "square,pad=0.1", "fc": "white", "ec": "none"},
                )
    ticks = names if values else [name[name.index("@") :] for name in names]
    panel.set_xticks(range(len(names)), ticks, fontsize=8)
    panel.tick_params(axis="y", labelsize=8)
    panel.tick_params(axis="x", length=0)
    panel.margins(y=0.12)
    panel.spines[["top", "right"]].set_visible(False)
    panel.grid(axis="y", color="0.9", lw=0.8)
    panel.set_axisbelow(True)
