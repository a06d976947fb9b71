"""What an evaluation found, to print, plot, compare and keep."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np

from tfrecs.evaluation.comparison import Comparison, bootstrap_means, bounds
from tfrecs.evaluation.repeats import Repeats
from tfrecs.evaluation.showing import plot_report, protocol_lines, shown_metrics

_LEVEL = 0.95
_SAMPLES = 1000


@dataclasses.dataclass(eq=False, repr=False)
class Report:
    """Metrics of one model on one evaluation set, with what they are worth.

    `print(report)` shows the model beside the baselines, 95% confidence intervals and what was
    ranked.

    Attributes:
        metrics: Means by name and length, such as "HR@10" and "NDCG@10".
        baselines: The same of "popularity" and "random", on the same ranking task.
        per_user: Each user's value of every metric that is a mean over users.
        user_ids: The users, int32 `[num_users]`.
        protocol: What was ranked and how: model, data, split, counts, ties.
        repeats: The share of repeated targets, and the metrics of new and repeated ones apart.
        intervals: 95% confidence intervals of a report that was read without its users.

    Example:
        ```python
        report = tfrecs.evaluate(model, split.test)
        print(report)
        report.plot("report.png")
        report.interval("NDCG@10")                     # (low, high)
        print(report.compare(tfrecs.evaluate(other_model, split.test)))
        report.save("report.npz")                      # with each user's values
        Path("metrics.json").write_text(report.to_json())
        ```
    """

    metrics: dict[str, float]
    baselines: dict[str, dict[str, float]]
    per_user: dict[str, np.ndarray]
    user_ids: np.ndarray
    protocol: dict[str, Any]
    repeats: Repeats
    intervals: dict[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    _means: dict[tuple[int, int], np.ndarray] = dataclasses.field(default_factory=dict, init=False)

    def interval(
        self, metric: str, level: float = _LEVEL, *, samples: int = _SAMPLES, seed: int = 0
    ) -> tuple[float, float]:
        """A bootstrap confidence interval of a metric, over users.

        It says how much the metric would vary with other users of the same kind, not with another
        training of the model.

        Args:
            metric: Such as "NDCG@10".
            level: How sure the interval is to be.
            samples: How often users are drawn.
            seed: The same seed gives the same interval.

        Returns:
            Lower and upper end.

        Raises:
            ValueError: If the report has no such metric, or no value of it for each user.
        """
        if metric not in self.metrics:
            raise ValueError(f"No metric {metric!r} here, only {', '.join(self.metrics)}.")
        if metric.startswith("Coverage@"):
            raise ValueError(
                f"{metric} belongs to all users' lists together, so that users cannot be resampled."
            )
        if metric not in self.per_user:
            if level == _LEVEL and metric in self.intervals:
                return self.intervals[metric]
            raise ValueError(
                f"This report was read without its users, with {_LEVEL:.0%} intervals only: keep "
                "reports by `save` to have the others."
            )
        if (samples, seed) not in self._means:
            values = np.stack(list(self.per_user.values()), axis=1)
            self._means[samples, seed] = bootstrap_means(values, samples, seed)
        column = list(self.per_user).index(metric)
        low, high = bounds(self._means[samples, seed][:, column], level)
        return float(low), float(high)

    def compare(
        self, other: Report, level: float = _LEVEL, *, samples: int = 10_000, seed: int = 0
    ) -> Comparison:
        """Tests whether this model differs from another, user by user.

        Args:
            other: The other model's report on the same evaluation set.
            level: Of the confidence intervals of the differences.
            samples: Sign flips of the randomization test; the least p-value is 1 / (samples + 1).
            seed: The same seed gives the same numbers.

        Returns:
            This model's metrics minus the other's, with confidence intervals and p-values.

        Raises:
            ValueError: If the reports are not of the same users in the same order, of the same
                targets ranked among the same items, or hold no values by user.
        """
        for report in (self, other):
            if not report.per_user:
                raise ValueError(
                    "A paired test needs each user's metrics, and one report was read without "
                    "them: keep reports by `save`."
                )
        if not np.array_equal(self.user_ids, other.user_ids):
            raise ValueError(
                f"A paired test needs the same users in the same order; these reports are of "
                f"{len(self.user_ids)} and {len(other.user_ids)} users that differ. Evaluate both "
                "models on one evaluation set."
            )
        if self.protocol["fingerprint"] != other.protocol["fingerprint"]:
            raise ValueError(
                "A paired test needs one ranking task; in these reports the users are the same but "
                "the targets, the candidates or what is done with known items differ: "
                f"{self.protocol['data']!r} and {other.protocol['data']!r}, recommend_known "
                f"{self.protocol['recommend_known']} and {other.protocol['recommend_known']}."
            )
        return Comparison.of(
            (self.protocol["model"], other.protocol["model"]),
            self.per_user,
            other.per_user,
            level=level,
            samples=samples,
            seed=seed,
        )

    def advice(self) -> str | None:
        """What to tell a user of a command where many targets are repeated; None where few are."""
        return self.repeats.advice(self.protocol["recommend_known"])

    def plot(self, path: str | Path) -> None:
        """Draws the model beside the baselines, with 95% confidence intervals.

        Args:
            path: Of the picture; its ending decides the format, such as .png, .svg or .pdf.
        """
        plot_report(self, path)

    def to_json(self) -> str:
        """Everything but each user's values, as JSON text."""
        intervals = {name: self.interval(name) for name in self.per_user} or self.intervals
        content = {
            "metrics": self.metrics,
            "intervals": intervals,
            "baselines": self.baselines,
            "repeats": self.repeats.as_dict(),
            "protocol": self.protocol,
        }
        return json.dumps(content, indent=2)

    @classmethod
    def from_json(cls, text: str) -> Report:
        """The report that `to_json` wrote: it prints and plots, and holds no user.

        Args:
            text: JSON text.

        Returns:
            A report with empty `per_user`.
        """
        content = json.loads(text)
        return cls(
            metrics=content["metrics"],
            baselines=content["baselines"],
            per_user={},
            user_ids=np.zeros(0, np.int32),
            protocol=content["protocol"],
            repeats=Repeats(**content["repeats"]),
            intervals={name: (ends[0], ends[1]) for name, ends in content["intervals"].items()},
        )

    def save(self, path: str | Path) -> None:
        """Keeps the whole report, each user's values included, in one .npz file.

        Args:
            path: Of the file.
        """
        arrays: dict[str, Any] = {"user_ids": self.user_ids, **self.per_user}
        with open(path, "wb") as file:  # Given a name, numpy would add an ending to it.
            np.savez_compressed(file, report=np.array(self.to_json()), **arrays)

    @classmethod
    def load(cls, path: str | Path) -> Report:
        """The report that `save` wrote.

        Args:
            path: Of the file.

        Returns:
            An equal report.
        """
        with np.load(path, allow_pickle=False) as arrays:
            report = cls.from_json(str(arrays["report"]))
            report.user_ids = arrays["user_ids"]
            report.per_user = {
                name: arrays[name] for name in arrays.files if name not in ("report", "user_ids")
            }
        return report

    def __repr__(self) -> str:
        values = ", ".join(f"{name} {value:.4f}" for name, value in self.metrics.items())
        return f"Report({self.protocol['model']}, {self.protocol['data']}: {values})"

    def __str__(self) -> str:
        names = shown_metrics(self)
        columns = [self.protocol["model"], f"{_LEVEL:.0%} interval", *self.baselines]
        rows = [["", *columns]]
        for name in names:
            interval = ""
            if name in self.per_user or name in self.intervals:
                interval = "[{:.4f}, {:.4f}]".format(*self.interval(name))
            others = [f"{baseline[name]:.4f}" for baseline in self.baselines.values()]
            rows.append([name, f"{self.metrics[name]:.4f}", interval, *others])
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        table = [
            "  ".join(
                cell.ljust(width) if i == 0 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            for row in rows
        ]
        repeats = self.repeats.lines(self.protocol["targets"], self.protocol["recommend_known"])
        return "\n".join([*table, "", *protocol_lines(self.protocol), *repeats])
