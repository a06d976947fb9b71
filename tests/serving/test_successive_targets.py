"""A user with several rows in the report: an export answers each of them."""

import numpy as np
import pytest

from tests.serving.test_report_equals_export import ranks_of_answers
from tfrecs.data import Interactions, global_time
from tfrecs.evaluation import Evaluator
from tfrecs.models import MatrixFactorization, SASRec
from tfrecs.serving import Recommender, export


@pytest.fixture(scope="module")
def split():
    rng = np.random.default_rng(0)
    rows = [
        (f"user {user}", item, 10 * place + user)
        for user in range(6)
        for place, item in enumerate(rng.permutation(12)[:9])
    ]
    users, items, times = zip(*rows, strict=True)
    log = Interactions({"user_id": users, "item_id": items, "timestamp": times})
    return global_time(log, times=(52, 66), targets="successive")


def test_histories_are_asked_for_as_in_the_rows(split, tmp_path):
    model = SASRec.from_split(split, dim=4, max_length=5, seed=1)
    recommender = Recommender(export(model, tmp_path, k=12))
    ranks = Evaluator(split.test).ranks(model)
    assert len(split.test) > split.test.num_users
    found = ranks_of_answers(recommender, model, split.test, ranks)
    np.testing.assert_array_equal(ranks.ranks, found)


def test_what_came_since_the_first_row_is_excluded_where_users_are_known(split, tmp_path):
    model = MatrixFactorization.from_split(split, dim=4, seed=1)
    known = split.known_items()
    recommender = Recommender(export(model, tmp_path, k=12, known_items=known))
    ranks, raw = Evaluator(split.test).ranks(model), split.items.ids.tolist()
    since = []
    for row, user in enumerate(split.test.user_ids):
        new = np.setdiff1d(split.test.history[row], known[user])
        since.append(len(new))
        answer = recommender.recommend(
            user=split.users.ids.tolist()[user - 1], exclude=[raw[item - 1] for item in new], k=12
        )
        target = raw[split.test.targets[row][0] - 1]
        assert [item for item, _ in answer].index(target) + 1 == ranks.ranks[row]
    assert max(since) > 0
    assert min(since) == 0
