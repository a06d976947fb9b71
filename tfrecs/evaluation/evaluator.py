"""Evaluation of a model on an evaluation set."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable, Sequence
from typing import Any, cast

import numpy as np

from tfrecs.data import EvaluationSet, Rows
from tfrecs.evaluation.baselines import (
    last_items_ranks,
    popularity_ranks,
    random_lists,
    random_metrics,
)
from tfrecs.evaluation.contract import ItemScorer, RowModel
from tfrecs.evaluation.metrics import (
    RANK_METRICS,
    check_k,
    check_metrics,
    coverage,
    novelty,
    popularity_bias,
)
from tfrecs.evaluation.ranking import Pools, Ranks, rank_targets
from tfrecs.evaluation.report import Report
from tfrecs.evaluation.rows import evaluate_rows
from tfrecs.evaluation.tables import RankedLists, Repeats


def evaluate(
    model: ItemScorer | RowModel,
    dataset: EvaluationSet | Rows,
    ks: Sequence[int] = (10,),
    *,
    recommend_known: bool | None = None,
    batch_size: int | None = None,
    baselines: bool = True,
    mask_seen: bool | None = None,
) -> Report:
    """Evaluates a model on a part of a split: users to recommend to, or rows with labels.

    For users, every item of the catalogue is ranked, or the set's own candidates where it has them
    (`EvaluationSet.with_candidates`); `tfrecs.evaluation.ranking` states the rules. Ties count
    against the target. The report compares the model with simple recommenders on the same ranking
    task: "popularity" in training, "random", "popularity_7_days" if the log has times (see
    `PartTimes`), and "last_items", the user's last items again, if known items may be recommended.
    It says which of them are left out, and how much of the training is later than the targets.
    Means are over the rows of the set, and confidence intervals draw users with all their rows. For
    rows with labels, see `evaluate_rows`.

    Args:
        model: Any model of tfrecs, or another object with the methods of `ItemScorer` or, for rows,
            `RowModel`.
        dataset: Users with their histories and targets; or rows with labels.
        ks: Lengths of the recommended lists; rows have none.
        recommend_known: Whether items of a user's history may be recommended, as where people
            consume an item again. If not, they leave the ranking, and a target among them is a
            miss. None as the set says (`Split.with_recommend_known`).
        batch_size: Users, or rows, scored at once; None chooses.
        baselines: Whether to evaluate the baselines too.
        mask_seen: The opposite of `recommend_known`, which has replaced it.

    Returns:
        Metrics with their confidence intervals, and the baselines'; of users also each one's own,
        for paired tests.

    Raises:
        TypeError: If `dataset` is no part of a split, such as a whole split.
        ValueError: If the model and the set number items differently, a score is not finite, or a
            `k` is no positive whole number.

    Example:
        ```python
        report = tfrecs.evaluate(model, split.test, ks=(10, 20))
        print(report)
        report.metrics["NDCG@10"], report.interval("NDCG@10")
        ```
    """
    if mask_seen is not None:
        warnings.warn(
            f"evaluate: mask_seen={mask_seen} is now recommend_known={not mask_seen}.",
            FutureWarning,
            stacklevel=2,
        )
        recommend_known = not mask_seen
    if isinstance(dataset, Rows):
        return evaluate_rows(
            cast("RowModel", model),
            dataset,
            train=dataset.train if baselines else None,
            batch_size=batch_size or 4096,
            name=dataset.name,
        )
    evaluator = Evaluator(dataset, ks, recommend_known=recommend_known, batch_size=batch_size)
    return evaluator.report(cast("ItemScorer", model), baselines=baselines)


class Evaluator:
    """Evaluates models on one evaluation set, again and again.

    What does not depend on the model is prepared once, and a model's functions are traced once, so
    that validation costs little each epoch.

    Args:
        dataset: Users with their histories and targets.
        ks: Lengths of the recommended lists.
        recommend_known: Whether known items may be recommended; None as the set says.
        batch_size: Users scored at once; None chooses by the number of items.

    Raises:
        TypeError: If `dataset` is no evaluation set, such as a whole split.
        ValueError: If `ks` holds no length, or something else than positive whole numbers; the set
            has no users; or its targets or candidates are not items of the catalogue.

    Example:
        ```python
        evaluator = tfrecs.evaluation.Evaluator(split.validation, ks=(10, 20))
        evaluator.metrics(model, ("NDCG",))           # {"NDCG@10": ..., "NDCG@20": ...}
        evaluator.ranks(model).ranks                  # the rank of each target
        ```
    """

    def __init__(
        self,
        dataset: EvaluationSet,
        ks: Sequence[int] = (10,),
        *,
        recommend_known: bool | None = None,
        batch_size: int | None = None,
    ) -> None:
        if not isinstance(dataset, EvaluationSet):
            raise TypeError(
                f"evaluate takes a part of a split, not {type(dataset).__name__}: split.test or "
                "split.validation."
            )
        if isinstance(ks, str) or not isinstance(ks, Iterable):
            raise ValueError(f"ks are lengths of lists, such as (10, 20); got {ks!r}.")
        self.ks = tuple(sorted({check_k(k) for k in ks}))
        if not self.ks:
            raise ValueError("ks are lengths of lists, such as (10, 20); got none.")
        self.dataset = dataset
        self.batch_size = batch_size
        self.pools = Pools.of(dataset, recommend_known)

    def ranks(self, model: ItemScorer, *, top: int = 0) -> Ranks:
        """Returns the rank of each target, in the order of the set's users.

        Args:
            model: The model to evaluate.
            top: How many recommended items to return a user; 0 for none. Full ranking only.
        """
        return rank_targets(model, self.dataset, self.pools, top=top, batch_size=self.batch_size)

    def metrics(self, model: ItemScorer, names: Sequence[str] = ("HR", "NDCG")) -> dict[str, float]:
        """Returns mean metrics alone, such as "NDCG@10": validation needs them each epoch.

        Args:
            model: The model to evaluate.
            names: Of `metrics.RANK_METRICS`: "HR", "NDCG", "MRR", "MAP", "Recall", "Precision".

        Raises:
            ValueError: If a name is none of these, or as in `evaluate`.
        """
        check_metrics(names)
        ranks = self.ranks(model)
        return {
            f"{name}@{k}": float(RANK_METRICS[name](ranks.ranks, k, ranks.offsets).mean())
            for k in self.ks
            for name in names
        }

    def report(self, model: ItemScorer, *, baselines: bool = True) -> Report:
        """Returns all metrics of a model, beside the baselines'.

        Only full rankings have coverage, novelty and popularity bias: lists from drawn candidates
        say nothing of them.

        Args:
            model: The model to evaluate.
            baselines: Whether to evaluate the baselines too.
        """
        # No list is longer than the catalogue, whatever was asked for.
        top = min(self.ks[-1], self.pools.num_items) if self.pools.candidates is None else 0
        ranks = self.ranks(model, top=top)
        metrics, per_user = self._measure(ranks)
        others, more = self._baselines(top) if baselines else ({}, {})
        return Report(
            metrics=metrics,
            baselines=others,
            table=RankedLists(
                self._protocol(model) | more,
                self.dataset.user_ids,
                Repeats.of(ranks, self.pools, self.ks),
            ),
            per_user=per_user,
        )

    def _baselines(self, top: int) -> tuple[dict[str, dict[str, float]], dict[str, Any]]:
        """Returns the metrics of the baselines, and what the protocol tells of them."""
        pools, times = self.pools, self.dataset.times
        found = {
            "popularity": self._measure(popularity_ranks(pools, self.dataset.item_counts, top=top)),
            "random": (self._random(), {}),
        }
        told: dict[str, Any] = {"recent_interactions": 0, "baselines_left_out": {}}
        if times is not None and times.recent_counts.any():
            recent = popularity_ranks(pools, times.recent_counts, top=top)
            found["popularity_7_days"] = self._measure(recent)
            told["recent_interactions"] = int(times.recent_counts.sum())
        else:
            why = "the data have no times" if times is None else "no interaction in these days"
            told["baselines_left_out"]["popularity_7_days"] = why
        if pools.recommend_known:
            again = last_items_ranks(pools, self.dataset.history, top=top)
            found["last_items"] = self._measure(again)
        else:
            told["baselines_left_out"]["last_items"] = "known items are not recommended"
        return {name: metrics for name, (metrics, _) in found.items()}, told

    def _measure(self, ranks: Ranks) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """Returns the means and each user's metrics."""
        counts = self.dataset.item_counts
        metrics: dict[str, float] = {}
        per_user: dict[str, np.ndarray] = {}
        for k in self.ks:
            for name, function in RANK_METRICS.items():
                per_user[f"{name}@{k}"] = function(ranks.ranks, k, ranks.offsets)
                metrics[f"{name}@{k}"] = float(per_user[f"{name}@{k}"].mean())
            if ranks.top_items is not None:
                lists = ranks.top_items[:, :k]
                metrics[f"Coverage@{k}"] = coverage(lists, self.pools.num_items)
                per_user[f"Novelty@{k}"] = novelty(lists, counts)
                per_user[f"PopularityBias@{k}"] = popularity_bias(lists, counts)
                for name in (f"Novelty@{k}", f"PopularityBias@{k}"):
                    metrics[name] = float(per_user[name].mean())
        return metrics, per_user

    def _random(self) -> dict[str, float]:
        """Returns the expected metrics of the random recommender."""
        metrics: dict[str, float] = {}
        pools = self.pools
        ranked = pools.ranked_targets.lengths
        for k in self.ks:
            expected = random_metrics(pools.sizes, pools.targets.lengths, k, ranked=ranked)
            metrics |= {f"{name}@{k}": float(values.mean()) for name, values in expected.items()}
            if pools.candidates is None:
                lists = random_lists(pools, self.dataset.item_counts, k)
                metrics |= {f"{name}@{k}": value for name, value in lists.items()}
        return metrics

    def _protocol(self, model: ItemScorer) -> dict[str, Any]:
        """Describes the ranking task for the report."""
        pools, sizes, times = self.pools, self.pools.sizes, self.dataset.times
        # Equal for the same targets in the same pools, in the same order.
        digest = hashlib.sha256(self.dataset.user_ids.tobytes())
        for rows in (pools.targets, pools.seen, pools.candidates):
            if rows is not None:
                digest.update(rows.values.tobytes() + rows.offsets.tobytes())
        return {
            "model": type(model).__name__,
            "data": self.dataset.name,
            "split": self.dataset.protocol,
            "users": self.dataset.num_users,
            "rows": len(pools),
            "targets": len(pools.targets.values),
            "items": pools.num_items,
            "ranked": "candidates" if pools.candidates is not None else "catalogue",
            "recommend_known": pools.recommend_known,
            "ranked_items": [int(sizes.min()), float(sizes.mean()), int(sizes.max())],
            "ties": "against the target",
            "trained_on_future": None if times is None else times.trained_on_future,
            "counts": {name: count for name, count in pools.counts.items() if count},
            "fingerprint": digest.hexdigest()[:16],
        }
