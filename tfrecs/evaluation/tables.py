"""The two kinds of tables of a report: ranked lists of users, and labelled rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from tfrecs.evaluation.metrics import RANK_METRICS
from tfrecs.evaluation.ranking import Pools, Ranks

# From this share of repeated targets on, a command tells the user which setting fits.
_MANY = 0.05
_COUNTS = {
    "duplicate_targets": "Repeated targets, counted once",
    "duplicate_candidates": "Repeated candidates, counted once",
    "candidates_equal_target": "Candidates that are a target of their user, left out",
    "known_candidates": "Candidates that are known items of their user, left out",
}


@dataclasses.dataclass(frozen=True)
class Repeats:
    """The share of repeated targets (items that the user already had), and metrics of each kind.

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
        """Returns the repeats among the ranked targets of `pools`, measured at lengths `ks`."""
        count = int(pools.repeated.sum())
        kinds = {"new": ~pools.repeated, "repeated": pools.repeated}
        metrics = {name: _means(ranks, kind, ks) for name, kind in kinds.items()}
        return cls(count, count / len(pools.repeated), metrics)

    def as_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON; `Repeats(**values)` reads them."""
        return dataclasses.asdict(self)

    def lines(self, targets: int, recommend_known: bool) -> list[str]:
        """Returns the repeats among `targets` targets in sentences."""
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
        """Returns a command's advice on many repeats; None where they are few."""
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
    """Mean metrics of the targets of one kind, over the users with such targets."""
    targets = ranks.targets.keep(kind)
    if not len(targets.values):
        return {}
    offsets = np.unique(targets.offsets)  # Users without such a target have no row.
    return {
        f"{name}@{k}": float(function(ranks.ranks[kind], k, offsets).mean())
        for k in ks
        for name, function in RANK_METRICS.items()
    }


@dataclasses.dataclass(frozen=True, eq=False)
class RankedLists:
    """The table of a report on users' ranked lists.

    Attributes:
        protocol: The ranking task: model, data, split, counts, ties.
        user_ids: The users, int32 `[num_users]`.
        repeats: The share of repeated targets, and the metrics of new and repeated ones.
    """

    protocol: dict[str, Any]
    user_ids: np.ndarray
    repeats: Repeats

    num_rows = positives = None

    @property
    def model(self) -> str:
        """Name of the model."""
        return self.protocol["model"]

    @property
    def title(self) -> str:
        """Names of model and data."""
        return f"{self.model}, {self.protocol['data']}"

    def shown(self, metrics: Iterable[str]) -> list[str]:
        """Leaves out three metrics where, with one target a user, they only repeat others."""
        hidden = ("MAP@", "Recall@", "Precision@") if self._one_target else ()
        return [name for name in metrics if not name.startswith(hidden)]

    @property
    def _one_target(self) -> bool:
        return self._rows == self.protocol["targets"]

    @property
    def _rows(self) -> int:
        # Reports of earlier versions have a row a user, and do not say so.
        return int(self.protocol.get("rows", self.protocol["users"]))

    def heading(self) -> list[str]:
        """Returns no lines to print above the metrics."""
        return []

    def notes(self) -> list[str]:
        """Returns the protocol, the repeats, the baselines and a warning in sentences."""
        protocol = self.protocol
        least, mean, most = protocol["ranked_items"]
        if protocol["ranked"] == "candidates":
            among = "the candidates given for the user and the targets"
        else:
            among = f"all {protocol['items']:,} items"
        if not protocol["recommend_known"]:
            among += " but those in the user's history"
        size = f"{least:,}" if least == most else f"{least:,} to {most:,}, {mean:,.0f} on average"
        source = ", ".join(text for text in (protocol["data"], protocol["split"]) if text)
        several = self._rows > protocol["users"]
        lines = [
            f"{source + ': ' if source else ''}{protocol['users']:,} users, "
            f"{protocol['targets']:,} targets{f' in {self._rows:,} rows' if several else ''}.",
            f"Ranked among {among} ({size}); ties count {protocol['ties']}.",
        ]
        lines += [f"{_COUNTS[name]}: {count:,}." for name, count in protocol["counts"].items()]
        if self._one_target:
            lines.append(
                f"One target a {'row' if several else 'user'}: Recall = HR, MAP = MRR, "
                "Precision@k = HR@k / k."
            )
        lines += self.repeats.lines(protocol["targets"], protocol["recommend_known"])
        return lines + self._about_baselines() + self._about_future()

    def _about_baselines(self) -> list[str]:
        """Returns what the baselines count, and which are left out, in sentences."""
        lines = []
        if recent := self.protocol.get("recent_interactions"):
            lines.append(
                f"popularity_7_days counts the {recent:,} interactions of the last 7 days."
            )
        if left_out := self.protocol.get("baselines_left_out"):
            reasons = ", ".join(f"{name} ({why})" for name, why in left_out.items())
            lines.append(f"Baselines left out: {reasons}.")
        return lines

    def _about_future(self) -> list[str]:
        """Returns the warning that training knew the future of the targets, where it did."""
        share = self.protocol.get("trained_on_future")
        if not share:
            return []
        amount = f"{share:.1%}" if share >= 0.001 else "less than 0.1%"
        return [
            f"Trained on the future: on average {amount} of the training interactions are later "
            "than a target. Split by time without this leak: --split global_time."
        ]

    def advice(self) -> str | None:
        """Returns a command's advice on many repeats; None where they are few."""
        return self.repeats.advice(self.protocol["recommend_known"])

    def as_dict(self) -> dict[str, Any]:
        """Returns all but the users as plain values for JSON."""
        return {"repeats": self.repeats.as_dict(), "protocol": self.protocol}


@dataclasses.dataclass(frozen=True)
class LabelledRows:
    """The table of a report on predicted labels.

    Attributes:
        name: Name of the labels.
        num_rows: Number of rows; for one of several heads, of rows that have its label.
        positives: Rows with label 1; None for a number, and for several heads together.
    """

    name: str
    num_rows: int
    positives: int | None

    model = "model"
    protocol = user_ids = repeats = None

    @property
    def title(self) -> str:
        """Name of the labels."""
        return self.name

    def shown(self, metrics: Iterable[str]) -> list[str]:
        """Returns all metrics."""
        return list(metrics)

    def heading(self) -> list[str]:
        """Returns the name of the labels, and the numbers of rows and positives."""
        positive = "" if self.positives is None else f", {self.positives:,} positive"
        return [f"{self.name}: {self.num_rows:,} rows{positive}"]

    def notes(self) -> list[str]:
        """Returns no lines to print below the metrics."""
        return []

    def advice(self) -> None:
        """A command has nothing to add."""

    def as_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON; `LabelledRows(**values)` reads them."""
        return dataclasses.asdict(self)
