"""The words under a report: what was ranked, how, and what was left out."""

from __future__ import annotations

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
