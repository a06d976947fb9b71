"""Scores to ranks, metrics and reports that can be trusted."""

from tfrecs._names import renamed
from tfrecs.evaluation.baselines import (
    last_items_ranks,
    popularity_ranks,
    random_lists,
    random_metrics,
)
from tfrecs.evaluation.comparison import Comparison, Difference, bootstrap_means, randomization_test
from tfrecs.evaluation.contract import ItemScorer, RowModel
from tfrecs.evaluation.evaluator import Evaluator, evaluate
from tfrecs.evaluation.metrics import (
    RANK_METRICS,
    average_precision,
    coverage,
    hit_rate,
    mrr,
    ndcg,
    novelty,
    popularity_bias,
    precision,
    recall,
)
from tfrecs.evaluation.ranking import Pools, Ranks, rank_targets
from tfrecs.evaluation.report import Report
from tfrecs.evaluation.rows import auc, evaluate_rows, log_loss, mae, rmse
from tfrecs.evaluation.tables import LabelledRows, RankedLists, Repeats
from tfrecs.evaluation.validation import Validation

# Former names.
__getattr__ = renamed(
    __name__,
    {
        "CorpusValidation": "Validation",
        "RowValidation": "Validation",
        "Recommender": "ItemScorer",
        "RowReport": "Report",
    },
)

__all__ = [
    "evaluate",
    "Evaluator",
    "Report",
    "RankedLists",
    "LabelledRows",
    "Repeats",
    "Comparison",
    "Difference",
    "Validation",
    "ItemScorer",
    "Pools",
    "Ranks",
    "rank_targets",
    "popularity_ranks",
    "last_items_ranks",
    "random_metrics",
    "random_lists",
    "RANK_METRICS",
    "hit_rate",
    "ndcg",
    "mrr",
    "average_precision",
    "recall",
    "precision",
    "coverage",
    "novelty",
    "popularity_bias",
    "bootstrap_means",
    "randomization_test",
    "evaluate_rows",
    "RowModel",
    "auc",
    "log_loss",
    "rmse",
    "mae",
]
