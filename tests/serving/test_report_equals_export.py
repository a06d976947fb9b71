"""What `evaluate` reports is what the export answers, user by user."""

import numpy as np
import pytest

from tests.serving.public_models import MODELS, known_items
from tfrecs.data import EvaluationSet, Histories
from tfrecs.evaluation import Evaluator
from tfrecs.evaluation.ranking import NEVER
from tfrecs.models import RetrieveThenRank
from tfrecs.serving import Recommender, export

USERS = 30


def evaluation_set(model, rng, history_of_user=None):
    """Users with histories and targets; many targets are repeated ones."""
    n = model.num_items
    known_users = getattr(model, "users", None)
    num_users = len(known_users) if known_users is not None else USERS
    rows = USERS if history_of_user is None else num_users
    users = 1 + np.arange(rows) % num_users
    if history_of_user is None:
        history = [rng.integers(1, n + 1, rng.integers(1, n)) for _ in range(rows)]
    else:
        history = [history_of_user[user] for user in users]
    # Unlike a split's, some of these histories hold all but a few items.
    return EvaluationSet(
        user_ids=users,
        history=Histories.from_lists(history),
        targets=Histories.from_lists([rng.integers(1, n + 1, rng.integers(1, 4)) for _ in users]),
        item_counts=np.zeros(n + 2, np.int64),
        items=model.items,
        users=known_users if known_users is not None else model.items,
    )


def ranks_of_answers(recommender, model, dataset, ranks):
    """The rank of each target in the export's answers; `NEVER` where it is not among them.

    As in a report, equal scores count against the target.
    """
    raw_items, found = model.items.ids.tolist(), []
    for row, user in enumerate(dataset.user_ids):
        asked = {}
        if recommender.reads_history:
            asked["history"] = [raw_items[item - 1] for item in dataset.history[row]]
        if recommender.knows_users:
            asked["user"] = model.users.ids.tolist()[user - 1]
        answer = recommender.recommend(k=model.num_items, **asked)
        wanted = {raw_items[target - 1] for target in ranks.targets[row]}
        answer = sorted(answer, key=lambda pair, wanted=wanted: (-pair[1], pair[0] in wanted))
        place = {item: i for i, (item, _) in enumerate(answer, 1)}
        found += [place.get(raw_items[target - 1], NEVER) for target in ranks.targets[row]]
    return np.array(found)


def check(model, folder, recommend_known, history_of_user=None, seed=0):
    recommender = Recommender(folder)
    assert recommender.recommend_known == recommend_known
    rng = np.random.default_rng(seed)
    dataset = evaluation_set(model, rng, history_of_user)
    evaluator = Evaluator(dataset, recommend_known=recommend_known)
    ranks = evaluator.ranks(model)
    found = ranks_of_answers(recommender, model, dataset, ranks)
    assert evaluator.pools.repeated.sum() > 10 or history_of_user is not None
    # Several targets that are never recommended have ranks just below NEVER.
    np.testing.assert_array_equal(np.minimum(ranks.ranks, 10**6), np.minimum(found, 10**6))


FAST = ("SASRec", "MatrixFactorization", "DeepCross")


@pytest.mark.parametrize(
    "name",
    [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in MODELS],
)
def test_known_items_are_left_out_of_both(name, public_export):
    model = MODELS[name]()
    check(model, public_export(name), False, known_items(model))


@pytest.mark.parametrize(
    "name",
    [
        name if name == "MatrixFactorization" else pytest.param(name, marks=pytest.mark.slow)
        for name in MODELS
    ],
)
def test_known_items_are_ranked_in_both(name, tmp_path):
    model = MODELS[name]()
    if isinstance(model, RetrieveThenRank):
        model = RetrieveThenRank(model.retriever, model.ranker, 4, recommend_known=True)
    folder = export(model, tmp_path, k=model.num_items, recommend_known=True)
    check(model, folder, True)
