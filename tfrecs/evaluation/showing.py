"""How a report of ranked lists is shown: the words under it, and its picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfrecs.evaluation.report import Report

_COUNTS = {
    "duplicate_targets": "Repeated targets, counted once",
    "duplicate_candidates": "Repeated candidates, counted once",
    "candidates_equal_target": "Candidates that are a target of their user, left out",
    "known_candidates": "Candidates that are known items of their user, left out",
}


def shown_metrics(report: Report) -> list[str]:
    """The metrics worth showing: with one target a user three of them only repeat others.

    Args:
        report: Any report.

    Returns:
        Names of metrics, in the order of the report.

    Example:
        ```python
        shown_metrics(report)                          # ["HR@10", "NDCG@10", "MRR@10", ...]
        ```
    """
    if not _one_target(report.protocol):
        return list(report.metrics)
    return [
        name for name in report.metrics if not name.startswith(("MAP@", "Recall@", "Precision@"))
    ]


def protocol_lines(protocol: dict[str, Any]) -> list[str]:
    """The protocol in sentences.

    Args:
        protocol: Of a report.

    Returns:
        Lines of text.

    Example:
        ```python
        for line in protocol_lines(report.protocol):
            print(line)
        ```
    """
    least, mean, most = protocol["ranked_items"]
    if protocol["ranked"] == "candidates":
        among = "the candidates given for the user and the targets"
    else:
        among = f"all {protocol['items']:,} items"
    if not protocol["recommend_known"]:
        among += " but those in the user's history"
    size = f"{least:,}" if least == most else f"{least:,} to {most:,}, {mean:,.0f} on average"
    source = ", ".join(text for text in (protocol["data"], protocol["split"]) if text)
    lines = [
        f"{source + ': ' if source else ''}{protocol['users']:,} users, "
        f"{protocol['targets']:,} targets.",
        f"Ranked among {among} ({size}); ties count {protocol['ties']}.",
    ]
    lines += [f"{_COUNTS[name]}: {count:,}." for name, count in protocol["counts"].items()]
    if _one_target(protocol):
        lines.append("One target a user: Recall = HR, MAP = MRR, Precision@k = HR@k / k.")
    return lines


def _one_target(protocol: dict[str, Any]) -> bool:
    return bool(protocol["users"] == protocol["targets"])


_COLOURS = {"model": "#1f5fa8", "popularity": "#e39a3b", "random": "#b5b5b5"}
_OWN_SCALE = ("Coverage", "Novelty", "PopularityBias")
_TITLES = {
    "Coverage": "Coverage: share of catalogue",
    "Novelty": "Novelty: bits",
    "PopularityBias": "Popularity bias: 1 = none",
}


def plot_report(report: Report, path: str | Path) -> None:
    """Draws the model beside the baselines; each metric with another scale gets its own panel.

    Args:
        report: Any report.
        path: Of the picture; its ending decides the format.

    Example:
        ```python
        plot_report(report, "report.png")
        ```
    """
    # Without pyplot: no window system is asked for, and no backend of the caller's is changed.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = shown_metrics(report)
    apart = {kind: [n for n in names if n.startswith(kind + "@")] for kind in _OWN_SCALE}
    apart = {kind: group for kind, group in apart.items() if group}
    accuracy = [n for n in names if not any(n in group for group in apart.values())]
    figure = Figure(figsize=(max(7.5, 1.0 + 0.85 * len(accuracy)), 6.4 if apart else 4.2), dpi=150)
    FigureCanvasAgg(figure)
    rows = figure.add_gridspec(
        2 if apart else 1, 1, height_ratios=(1.6, 1) if apart else (1,), hspace=0.4
    )
    panel = figure.add_subplot(rows[0])
    _bars(panel, report, accuracy, values=True)
    if apart:
        columns = rows[1].subgridspec(1, len(apart), wspace=0.35)
        for i, (kind, group) in enumerate(apart.items()):
            own = figure.add_subplot(columns[i])
            _bars(own, report, group, values=False)
            own.set_title(_TITLES[kind], fontsize=9)
    handles, labels = panel.get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="upper right",
        ncols=len(labels),
        frameon=False,
        bbox_to_anchor=(0.99, 1),
    )
    figure.suptitle(
        f"{report.protocol['model']} and baselines", x=0.07, ha="left", fontsize=12, weight="bold"
    )
    figure.text(
        0.07, 0.015, "\n".join(protocol_lines(report.protocol)[:2]), fontsize=7.5, color="0.35"
    )
    figure.subplots_adjust(left=0.07, right=0.98, top=0.9, bottom=0.13)
    figure.savefig(path)


def _bars(panel: Any, report: Report, names: list[str], *, values: bool) -> None:
    """Groups of bars, one a metric: the model with its interval, then the baselines."""
    series = {"model": report.metrics, **report.baselines}
    width = 0.8 / len(series)
    for i, (label, metrics) in enumerate(series.items()):
        places = [x + (i - (len(series) - 1) / 2) * width for x in range(len(names))]
        heights = [metrics[name] for name in names]
        shown = report.protocol["model"] if label == "model" else label
        panel.bar(places, heights, width * 0.94, label=shown, color=_COLOURS.get(label))
        if label != "model":
            continue
        for x, name, height in zip(places, names, heights, strict=True):
            top = height
            if name in report.per_user or name in report.intervals:
                low, high = report.interval(name)
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
