"""Repeated targets: items that the user already had, and how they change what metrics mean."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfrecs.evaluation.metrics import RANK_METRICS
from tfrecs.evaluation.pools import Pools
from tfrecs.evaluation.ranking import Ranks

# From this share on a command tells the user which setting fits.
_MANY = 0.05


@dataclasses.dataclass(frozen=True)
class Repeats:
    """The share of repeated targets, and the metrics of new and of repeated targets apart.

    Attributes:
        count: Repeated targets.
        share: Their share of all targets, from 0 to 1.
        metrics: The means by name and length of the "new" and of the "repeated" targets, each over
            the users with such a target; empty where nobody has one.

    Example:
        ```python
        report.repeats.share                           # 0.34
        report.repeats.metrics["new"]["NDCG@10"]
        ```
    """

    count: int
    share: float
    metrics: dict[str, dict[str, float]]

    @classmethod
    def of(cls, ranks: Ranks, pools: Pools, ks: Sequence[int]) -> Repeats:
        """The repeats among ranked targets.

        Args:
            ranks: The ranks of all targets.
            pools: What they were ranked among.
            ks: Lengths of the recommended lists.
        """
        count = int(pools.repeated.sum())
        kinds = {"new": ~pools.repeated, "repeated": pools.repeated}
        metrics = {name: _means(ranks, kind, ks) for name, kind in kinds.items()}
        return cls(count, count / len(pools.repeated), metrics)

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain values, for JSON; `Repeats(**values)` reads them."""
        return dataclasses.asdict(self)

    def lines(self, targets: int, recommend_known: bool) -> list[str]:
        """The repeats in sentences.

        Args:
            targets: Number of all targets.
            recommend_known: Whether known items may be recommended.
        """
        if not self.count:
            return ["Repeated targets (items that the user already had): none."]
        rule = "ranked like all others" if recommend_known else "each a miss"
        lines = [
            f"Repeated targets (items that the user already had): {self.count:,} of {targets:,} "
            f"({self.share:.1%}), {rule}."
        ]
        for kind, means in self.metrics.items():
            shown = [f"{n} {x:.4f}" for n, x in means.items() if n.startswith(("HR@", "NDCG@"))]
            if shown:
                lines.append(f"{kind.capitalize()} targets alone: {', '.join(shown)}.")
        return lines

    def advice(self, recommend_known: bool) -> str | None:
        """What to tell a user of a command whose log has many repeats; None where it has few.

        Args:
            recommend_known: The setting of the run.
        """
        if self.share <= _MANY:
            return None
        having = f"{self.share:.1%} of the targets are items that the user already had."
        if recommend_known:
            return (
                f"{having} --recommend_known true ranks them, and what memory alone finds counts: "
                "compare with the metrics of new targets."
            )
        return (
            f"{having} With --recommend_known false they are never recommended, and each is a "
            "miss. If users want items again, train with --recommend_known true."
        )


def _means(ranks: Ranks, kind: np.ndarray, ks: Sequence[int]) -> dict[str, float]:
    """Mean metrics over the users with targets of one kind, of these targets alone."""
    targets = ranks.targets.keep(kind)
    if not len(targets.values):
        return {}
    offsets = np.unique(targets.offsets)  # Users without such a target have no row.
    return {
        f"{name}@{k}": float(function(ranks.ranks[kind], k, offsets).mean())
        for k in ks
        for name, function in RANK_METRICS.items()
    }
