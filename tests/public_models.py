"""Every public model, once: all suites run over this list.

Conformance, replicas, XLA, resuming, exports, the withheld item and the command line take their
models from here; variants of a model, such as other losses, stand in the suites that need them.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import tfrecs
from tests.conformance import features
from tfrecs import losses, models
from tfrecs.data import Vocabulary

# Raw ids of the exports: negative ones and large ones too.
ITEMS = Vocabulary([11, 5, 300, 42, 8, 77, -6, 1, 2**40])
USERS = Vocabulary([5, 900, 17, -1])
# Batches of the replicas. Some batch of an epoch has one row: a replica of two gets none of it.
PAIRS_A_BATCH, ROWS_A_BATCH, WINDOWS_A_BATCH = 31, 113, 2


@dataclasses.dataclass(frozen=True)
class PublicModel:
    """A public model, and how each suite makes it.

    Attributes:
        model: Its class.
        served: Makes the model that is exported.
        withheld: Makes a model of a split that must find the withheld item; None for rows.
        replicas: Arguments of `from_split` on several devices and under XLA: no dropout, and no
            negatives of a target's own, which differ between replicas. None for no training.
        batch_size: Examples of a batch there.
        flags: Of `tfrecs train --model NAME`.
        resumed: Makes the arguments of a run that is stopped and resumed; None for no training.
            A process that joins others must do so before it makes any layer.
        settings: Further settings of that run.
        conforming: Makes the model of 9 items (and 6 users) for the conformance suite; None where
            the suite has cases of its own.
        reads: What a batch of it holds: "sequences", "pairs" or "rows".
        vectors: Whether its score is a product of vectors, which its export gives too.
    """

    model: type[models.Model]
    served: Callable[[], models.Model]
    withheld: Callable[[Any], models.Model] | None
    replicas: Callable[[], dict[str, Any]] | None
    batch_size: int
    flags: str
    resumed: Callable[[], Mapping[str, Any]] | None
    settings: Mapping[str, Any]
    conforming: Callable[[], models.Model] | None
    reads: str
    vectors: bool


def sequence_model(
    model: type[models.Model],
    flags: str,
    *,
    resumed: Callable[[], Mapping[str, Any]] = dict,
    settings: Mapping[str, Any] | None = None,
    conforming: Mapping[str, Any] | None = None,
    withheld: Mapping[str, Any] | None = None,
    **small: Any,
) -> PublicModel:
    """A model that reads a history.

    Args:
        model: Its class.
        flags: Of the command line.
        resumed: Makes arguments of the run that is resumed, beside `max_length`.
        settings: Its settings, beside the batch size.
        conforming: Arguments of the conformance suite alone.
        withheld: Arguments of the model that must find the withheld item alone.
        **small: Arguments that keep the model small, beside `dim`, `max_length` and `seed`.
    """
    return PublicModel(
        model,
        served=lambda: model(ITEMS, dim=4, max_length=5, seed=2, **small),
        withheld=lambda split: model(
            split.items,
            **{"dim": 32, "max_length": 12, "dropout": 0.2, "seed": 1, **small, **(withheld or {})},
        ),
        replicas=lambda: {"dim": 8, "max_length": 6, "dropout": 0.0, "seed": 1, **small},
        batch_size=WINDOWS_A_BATCH,
        flags=flags,
        resumed=lambda: {"max_length": 6, "dropout": 0.3, **small, **resumed()},
        settings={"batch_size": 6, **(settings or {})},
        conforming=lambda: model(
            9, **{"dim": 8, "max_length": 5, "seed": 1, **small, **(conforming or {})}
        ),
        reads="sequences",
        vectors=True,
    )


def factor_model(
    model: type[models.Model],
    flags: str,
    *,
    resumed: Callable[[], Mapping[str, Any]],
    settings: Mapping[str, Any] | None = None,
    withheld_dim: int = 32,
    vectors: bool = False,
    **small: Any,
) -> PublicModel:
    """A model that knows users and items by their ids alone.

    Args:
        model: Its class.
        flags: Of the command line.
        resumed: Makes the arguments of the run that is resumed.
        settings: Its settings.
        withheld_dim: Size of the vectors that find the withheld item.
        vectors: Whether its score is a product of vectors.
        **small: Arguments that keep the model small, beside `dim` and `seed`.
    """
    return PublicModel(
        model,
        served=lambda: model(ITEMS, USERS, dim=4, seed=1),
        withheld=lambda split: model.from_split(split, dim=withheld_dim, seed=1),
        replicas=lambda: {"dim": 8, "regularization": 0.01, "seed": 1, **small},
        batch_size=PAIRS_A_BATCH,
        flags=flags,
        resumed=resumed,
        settings=settings or {},
        conforming=lambda: model(9, 6, **{"dim": 8, "regularization": 0.1, "seed": 1, **small}),
        reads="pairs",
        vectors=vectors,
    )


def _two_tower(item_features: Any = None) -> models.Model:
    return models.TwoTower(
        features.ITEMS,
        features.USERS,
        item_features=item_features,
        dim=4,
        feature_dim=4,
        max_length=5,
        seed=1,
    )


TWO_TOWER = {
    "dim": 8,
    "hidden_units": [8],
    "feature_dim": 4,
    "max_length": 5,
    "dropout": 0.0,
    "id_dropout": 0.0,
    "temperature": 0.5,
    "seed": 1,
}
DEEP_CROSS = {
    "dim": 4,
    "cross_layers": 1,
    "deep_units": [8],
    "dropout": 0.0,
    "embedding_regularization": 0.01,
    "seed": 1,
}

MODELS: dict[str, PublicModel] = {
    "SASRec": sequence_model(
        models.SASRec,
        "--model sasrec --model.dim 8 --model.num_blocks 1 --model.max_length 6",
        resumed=lambda: {"loss": losses.SampledSoftmax(4)},
        settings={"schedule": "linear"},
        num_blocks=1,
        num_heads=2,
    ),
    "GRU4Rec": sequence_model(
        models.GRU4Rec,
        "--model gru4rec --model.dim 8 --model.max_length 6",
        settings={"optimizer": functools.partial(tfrecs.optimizers.Adam, use_ema=True)},
        conforming={"hidden_dim": 6},
    ),
    "BERT4Rec": sequence_model(
        models.BERT4Rec,
        "--model bert4rec --model.dim 8 --model.num_blocks 1 --model.max_length 6",
        resumed=lambda: {"mask_probability": 0.3, "prefixes": 0.5},
        settings={"schedule": "linear"},
        # A mask is one target where other models have a target at every position.
        withheld={"dropout": 0.0, "mask_probability": 0.4, "prefixes": 0.5},
        num_blocks=1,
        # Masks differ between replicas; the last item is always masked.
        mask_probability=0.0,
        prefixes=0.0,
    ),
    "Caser": sequence_model(
        models.Caser,
        "--model caser --model.dim 8 --model.window 3 --model.max_length 6",
        conforming={"users": 6, "tied": False, "item_bias": True},
        window=3,
        horizontal_filters=2,
        vertical_filters=1,
    ),
    "MatrixFactorization": factor_model(
        models.MatrixFactorization,
        "--model matrix-factorization --model.dim 8",
        resumed=lambda: {"loss": losses.BPR(3), "regularization": 0.01},
        settings={"optimizer": tfrecs.optimizers.SGD},
        vectors=True,
    ),
    "GeneralizedMF": factor_model(
        models.GeneralizedMF,
        "--model generalized-mf --model.dim 8",
        resumed=lambda: {"loss": losses.BinaryCrossEntropy(2)},
        settings={"schedule": "linear"},
        vectors=True,
    ),
    "MLP": factor_model(
        models.MLP,
        "--model mlp --model.dim 8 --model.hidden_units [8,4]",
        resumed=lambda: {"loss": losses.BPR(negatives=tfrecs.negatives.Uniform(3, False))},
        settings={"optimizer": tfrecs.optimizers.LazyAdam},
        hidden_units=[8, 4],
    ),
    "NeuralMF": factor_model(
        models.NeuralMF,
        "--model neural-mf --model.dim 4 --model.mlp_dim 4",
        resumed=lambda: {"loss": losses.BinaryCrossEntropy(2)},
        withheld_dim=16,
        dim=4,
        mlp_dim=4,
    ),
    "TwoTower": PublicModel(
        models.TwoTower,
        served=lambda: _two_tower(features.item_table()),
        withheld=lambda split: models.TwoTower.from_split(split, dim=32, seed=1),
        replicas=lambda: TWO_TOWER,
        batch_size=PAIRS_A_BATCH,
        flags="--model two-tower --model.dim 8 --model.hidden_units [8] --model.max_length 5",
        resumed=lambda: {"hidden_units": [8], "max_length": 5, "id_dropout": 0.3},
        settings={},
        conforming=None,
        reads="pairs",
        vectors=True,
    ),
    "DeepCross": PublicModel(
        models.DeepCross,
        served=features.deep_cross,
        withheld=None,
        replicas=lambda: DEEP_CROSS,
        batch_size=ROWS_A_BATCH,
        flags="--model deep-cross --model.dim 4 --model.cross_layers 1 --model.deep_units [8]",
        resumed=lambda: {"dim": 4, "cross_layers": 1, "deep_units": [8], "dropout": 0.3},
        settings={"schedule": "linear"},
        conforming=None,
        reads="rows",
        vectors=False,
    ),
    # Put together from trained models, it has nothing to train.
    "RetrieveThenRank": PublicModel(
        models.RetrieveThenRank,
        served=lambda: models.RetrieveThenRank(
            _two_tower(), features.deep_cross(), num_candidates=4
        ),
        withheld=None,
        replicas=None,
        batch_size=PAIRS_A_BATCH,
        flags="",
        resumed=None,
        settings={},
        conforming=None,
        reads="pairs",
        vectors=False,
    ),
}
