"""Every public model, small, as it is exported; `test_alone.py` fails where one is missing.

Raw ids are strings in some and integers, negative ones too, in others.
"""

from collections.abc import Callable

import tfrecs
from tests.conformance import features
from tfrecs.data import Histories, Vocabulary

ITEMS = Vocabulary([11, 5, 300, 42, 8, 77, -6, 1, 2**40])
USERS = Vocabulary([5, 900, 17, -1])
EXCLUSIONS = 6  # that a request of an export may name


# By user id: what users have, in exports of models that read no history.
KNOWN = {1: [1, 4], 3: [2]}


def known_items(model: tfrecs.models.Model) -> Histories | None:
    """What `export` takes for a public model."""
    if not model.needs_known_items:
        return None
    return Histories.from_lists([KNOWN.get(user, []) for user in range(len(model.users) + 1)])


def _two_tower(item_features=None) -> tfrecs.models.Model:
    return tfrecs.models.TwoTower(
        features.ITEMS,
        features.USERS,
        item_features=item_features,
        dim=4,
        feature_dim=4,
        max_length=5,
        seed=1,
    )


def _factors(name: str) -> Callable[[], tfrecs.models.Model]:
    return lambda: getattr(tfrecs.models, name)(ITEMS, USERS, dim=4, seed=1)


MODELS: dict[str, Callable[[], tfrecs.models.Model]] = {
    "SASRec": lambda: tfrecs.models.SASRec(
        ITEMS, dim=4, num_blocks=1, num_heads=2, max_length=5, seed=2
    ),
    "GRU4Rec": lambda: tfrecs.models.GRU4Rec(ITEMS, dim=4, max_length=5, seed=2),
    "TwoTower": lambda: _two_tower(features.item_table()),
    "MatrixFactorization": _factors("MatrixFactorization"),
    "GeneralizedMF": _factors("GeneralizedMF"),
    "MLP": _factors("MLP"),
    "NeuralMF": _factors("NeuralMF"),
    "DeepCross": features.deep_cross,
    "RetrieveThenRank": lambda: tfrecs.models.RetrieveThenRank(
        _two_tower(), features.deep_cross(), num_candidates=4
    ),
}
