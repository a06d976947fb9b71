"""The report of an evaluation, to print, plot, compare and keep."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfrecs.evaluation.comparison import Comparison, bootstrap_means, bounds
from tfrecs.evaluation.showing import draw, text_table
from tfrecs.evaluation.tables import LabelledRows, RankedLists, Repeats

_LEVEL = 0.95
_SAMPLES = 1000
# The errors of reading a file or text that is no report.
_DAMAGE = (
    AttributeError,
    EOFError,
    KeyError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)


class Report:
    """Metrics of one model on one part of a split, with baselines and confidence intervals.

    `print(report)` shows all of them and says what was measured: users' ranked lists or labelled
    rows, as the report's table has it.

    Args:
        metrics: Means by name: "HR@10", "NDCG@10" and so on of ranked lists; "AUC" and "LogLoss" of
            a binary label, "RMSE" and "MAE" of a number. Of a model with several heads, names begin
            with the head's: "click/AUC".
        baselines: The same of simple predictors: of lists see `evaluate`; of rows "rate" ("mean" of
            numbers), the mean of the label in training, and "items", its smoothed mean by item.
        table: The ranked lists or labelled rows behind the metrics.
        per_user: Each user's value, or several, of every metric that is a mean over users.
        intervals: 95% confidence intervals, where `per_user` cannot give them.
        heads: The report of each head by name, for a model with several; None for ranked lists.

    All arguments but `intervals` are attributes. `per_user` is empty for rows, and for a report
    that was read without its users.

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

    def __init__(
        self,
        metrics: dict[str, float],
        baselines: dict[str, dict[str, float]],
        table: RankedLists | LabelledRows,
        *,
        per_user: dict[str, np.ndarray] | None = None,
        intervals: dict[str, tuple[float, float]] | None = None,
        heads: dict[str, Report] | None = None,
    ) -> None:
        self.metrics = metrics
        self.baselines = baselines
        self.table = table
        self.per_user = per_user or {}
        self.heads = heads
        self._intervals = intervals or {}
        self._means: dict[tuple[int, int], np.ndarray] = {}

    @property
    def protocol(self) -> Any:
        """The ranking task: model, data, split, counts, ties; None for rows."""
        return self.table.protocol

    @property
    def user_ids(self) -> Any:
        """The users, int32 `[num_users]`; None for rows."""
        return self.table.user_ids

    @property
    def repeats(self) -> Repeats | None:
        """The share and the metrics of repeated targets; None for rows."""
        return self.table.repeats

    @property
    def name(self) -> str:
        """Name of the labels; for ranked lists model and data."""
        return self.table.title

    @property
    def num_rows(self) -> int | None:
        """Number of rows that have the label; None for ranked lists."""
        return self.table.num_rows

    @property
    def positives(self) -> int | None:
        """Rows with label 1; None for a number, for several heads together, and for lists."""
        return self.table.positives

    @property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """The 95% confidence intervals by metric.

        For lists they come from a bootstrap over users. For labels they come from DeLong's variance
        of AUC, and the standard error of the mean of log loss, MAE and squared RMSE.
        """
        return {name: self.interval(name) for name in self.per_user} or self._intervals

    def interval(
        self, metric: str, level: float = _LEVEL, *, samples: int = _SAMPLES, seed: int = 0
    ) -> tuple[float, float]:
        """Returns both ends of a confidence interval of a metric, by a bootstrap over users.

        It tells how much the metric varies with the choice of users, not with another training.

        Args:
            metric: Such as "NDCG@10".
            level: The level; of labels, and of a report read without its users, there is only 0.95.
            samples: How often users are drawn.
            seed: The same seed gives the same interval.

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
            if level == _LEVEL and metric in self._intervals:
                return self._intervals[metric]
            raise ValueError(
                f"This report is of labelled rows or was read without its users, with {_LEVEL:.0%} "
                "intervals only: keep reports by `save` to have the others."
            )
        if (drawn := (samples, seed)) not in self._means:
            values = np.stack(list(self.per_user.values()), axis=1)
            self._means[drawn] = bootstrap_means(values, samples, seed, users=self.user_ids)
        column = list(self.per_user).index(metric)
        low, high = bounds(self._means[drawn][:, column], level)
        return float(low), float(high)

    def compare(
        self, other: Report, level: float = _LEVEL, *, samples: int = 10_000, seed: int = 0
    ) -> Comparison:
        """Tests, user by user, whether this model's metrics minus the other's differ from 0.

        Args:
            other: The other model's report on the same evaluation set.
            level: The level of the differences' confidence intervals.
            samples: Sign flips of the randomization test; the least p-value is 1 / (samples + 1).
            seed: The same seed gives the same numbers.

        Raises:
            TypeError: If `other` is no report.
            ValueError: If the reports are not of the same users in the same order, of the same
                targets ranked among the same items, or hold no values by user.
        """
        if not isinstance(other, Report):
            raise TypeError(f"A report is compared with another one, not with {other!r}.")
        if not (self.per_user and other.per_user):
            raise ValueError(
                "A paired test needs each user's metrics, and one report was read without "
                "them, or is of labelled rows: keep reports by `save`."
            )
        if not np.array_equal(self.user_ids, other.user_ids):
            raise ValueError(
                f"A paired test needs the same users in the same order; these reports are of "
                f"{len(self.user_ids)} and {len(other.user_ids)} users that differ. Evaluate both "
                "models on one evaluation set."
            )
        mine, theirs = self.protocol, other.protocol
        if mine["fingerprint"] != theirs["fingerprint"]:
            raise ValueError(
                "A paired test needs one ranking task; in these reports the users are the same but "
                "the targets, the candidates or what is done with known items differ: "
                f"{mine['data']!r} and {theirs['data']!r}, recommend_known "
                f"{mine['recommend_known']} and {theirs['recommend_known']}."
            )
        return Comparison.of(
            (mine["model"], theirs["model"]),
            self.per_user,
            other.per_user,
            users=self.user_ids,
            level=level,
            samples=samples,
            seed=seed,
        )

    def advice(self) -> str | None:
        """Returns a command's advice where many targets are repeated; None elsewhere."""
        return self.table.advice()

    def plot(self, path: str | Path) -> None:
        """Draws the model beside the baselines.

        The ending of `path` decides the format; a path without one gets ".png".
        """
        notes = [*self.table.heading(), *self.table.notes()]
        draw(path, self.table.shown(self.metrics), self._series, self.intervals, notes[:2])

    @property
    def _series(self) -> list[tuple[str, dict[str, float]]]:
        """The columns of the printed table and of the picture."""
        return [(self.table.model, self.metrics), *self.baselines.items()]

    def to_json(self) -> str:
        """Returns everything but each user's values as JSON text."""
        return json.dumps(self._content(), indent=2)

    def _content(self) -> dict[str, Any]:
        content: dict[str, Any] = {
            "metrics": self.metrics,
            "intervals": self.intervals,
            "baselines": self.baselines,
            **self.table.as_dict(),
        }
        if self.heads is not None:
            content["heads"] = {name: head._content() for name, head in self.heads.items()}
        return content

    @classmethod
    def from_json(cls, text: str) -> Report:
        """Returns the report that `to_json` wrote: it prints and plots, and holds no user.

        Raises:
            ValueError: If the text is no report.
        """
        try:
            return cls._of_content(json.loads(text))
        except _DAMAGE as error:
            raise ValueError(f"This text is no report that `to_json` wrote: {error!r}.") from error

    @classmethod
    def _of_content(cls, content: Mapping[str, Any], **more: Any) -> Report:
        table: RankedLists | LabelledRows
        if "protocol" in content:
            repeats = Repeats(**content["repeats"])
            users = more.pop("user_ids", np.zeros(0, np.int32))
            table = RankedLists(content["protocol"], users, repeats)
        else:
            table = LabelledRows(content["name"], content["num_rows"], content["positives"])
            if "heads" in content:
                heads = content["heads"].items()
                more["heads"] = {name: cls._of_content(head) for name, head in heads}
        intervals = {name: (low, high) for name, (low, high) in content["intervals"].items()}
        return cls(content["metrics"], content["baselines"], table, intervals=intervals, **more)

    def save(self, path: str | Path) -> None:
        """Keeps the whole report, each user's values included, in one .npz file."""
        arrays: dict[str, Any] = dict(self.per_user)
        if self.user_ids is not None:
            arrays["user_ids"] = self.user_ids
        with open(path, "wb") as file:  # Given a name, numpy would add an ending to it.
            np.savez_compressed(file, report=np.array(self.to_json()), **arrays)

    @classmethod
    def load(cls, path: str | Path) -> Report:
        """Returns the report that `save` wrote.

        Raises:
            ValueError: If the file is no report.
        """
        content = Path(path).read_bytes()
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                values = {name: arrays[name] for name in arrays.files}
            report = json.loads(str(values.pop("report")))
            users = {"user_ids": values.pop("user_ids")} if "user_ids" in values else {}
            return cls._of_content(report, per_user=values, **users)
        except _DAMAGE as error:
            raise ValueError(f"{path} is no report that `save` wrote: {error!r}.") from error

    def __repr__(self) -> str:
        values = ", ".join(f"{name} {value:.4f}" for name, value in self.metrics.items())
        return f"Report({self.name}: {values})"

    def __str__(self) -> str:
        lines = self.table.heading()
        if self.heads:
            return "\n".join([*lines, *map(str, self.heads.values())])
        lines += text_table(self.table.shown(self.metrics), self._series, self.intervals)
        notes = self.table.notes()
        return "\n".join([*lines, "", *notes] if notes else lines)
