import dataclasses
import gc
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrecs._keras import tf
from tfrecs.data import Histories, Vocabulary
from tfrecs.evaluation import Evaluator, evaluate
from tfrecs.evaluation.counting import counter_of
from tfrecs.evaluation.ranking import NEVER, settle_ties

N = 9
MISS = 10**9  # Stands for every rank of a target that is never recommended.


@pytest.fixture(scope="module")
def scorer(table):
    """A function from scores to one and the same model, so that properties trace it once."""
    model = table(np.zeros((8, N)))

    def scored(scores):
        model.scores.assign(np.vstack([np.zeros((1, N)), scores, np.zeros((7 - len(scores), N))]))
        return model

    return scored


def _expected(by_sorting, scores, dataset, targets, recommend_known=False):
    ranks, lists = [], []
    for u in range(len(dataset)):
        given_to = None if dataset.candidates is None else dataset.candidates[u]
        order = by_sorting(
            scores[u],
            dataset.history[u].tolist(),
            set(targets[u].tolist()),
            given_to,
            recommend_known,
        )
        ranks.append([order.index(i) + 1 if i in order else MISS for i in targets[u]])
        lists.append(order)
    return ranks, lists


ids = st.integers(1, N)
users_strategy = st.lists(
    st.tuples(
        st.lists(st.integers(0, N + 1), max_size=12),  # A history, padding and unknown ids too.
        st.lists(ids, min_size=1, max_size=6),  # Targets, that may repeat or be in the history.
        st.lists(st.integers(-2, 2), min_size=N, max_size=N),  # Scores, with many ties.
        st.lists(st.integers(0, N), min_size=4, max_size=4),  # Candidates.
    ),
    min_size=1,
    max_size=7,
)


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(
    users=users_strategy,
    recommend_known=st.booleans(),
    given_candidates=st.booleans(),
    batch_size=st.sampled_from([None, 1, 3]),
)
def test_ranks_equal_those_of_sorting(
    users, recommend_known, given_candidates, batch_size, scorer, dataset, by_sorting
):
    history, targets, scores, candidates = zip(*users, strict=True)
    data = dataset(
        history, targets, N, candidates=np.array(candidates) if given_candidates else None
    )
    evaluator = Evaluator(data, recommend_known=recommend_known, batch_size=batch_size)
    ranks = evaluator.ranks(scorer(scores))
    assert [set(row) for row in ranks.targets] == [set(row) for row in targets]
    expected, orders = _expected(by_sorting, np.array(scores), data, ranks.targets, recommend_known)
    found = np.split(np.minimum(ranks.ranks, MISS), ranks.offsets[1:-1])
    # Of targets with one score it means nothing which stands first.
    assert [sorted(row) for row in found] == [sorted(row) for row in expected]
    for row, want, scored, row_targets in zip(found, expected, scores, ranks.targets, strict=True):
        values = np.array(scored)[row_targets - 1]
        for value in set(values):
            assert sorted(row[values == value]) == sorted(np.array(want)[values == value])
    assert evaluator.pools.sizes.tolist() == [len(order) for order in orders]


@settings(max_examples=60, deadline=None)
@given(users=users_strategy, k=st.integers(1, 12), recommend_known=st.booleans())
def test_recommended_items_equal_those_of_sorting(users, k, recommend_known, scorer, dataset):
    history, targets, scores, _ = zip(*users, strict=True)
    data = dataset(history, targets, N)
    ranks = Evaluator(data, recommend_known=recommend_known).ranks(scorer(scores), top=k)
    for u in range(len(users)):
        pool = set(range(1, N + 1)) - (set() if recommend_known else set(history[u]))
        best = sorted(pool, key=lambda i, u=u: (-scores[u][i - 1], i))[:k]
        assert ranks.top_items[u].tolist() == best + [0] * (k - len(best))


def test_recommended_items_of_a_catalogue_of_many_blocks(table, dataset):
    rng = np.random.default_rng(0)
    n, users, k = 1000, 40, 20
    scores = rng.integers(0, 50, (users + 1, n)).astype(np.float32)  # Ties across blocks.
    history = [rng.choice(n, 30, replace=False) + 1 for _ in range(users)]
    data = dataset(history, [[1]] * users, n)
    found = Evaluator(data).ranks(table(scores), top=k).top_items
    for u in range(users):
        allowed = scores[u + 1].copy()
        allowed[history[u] - 1] = -np.inf
        assert found[u].tolist() == (np.argsort(-allowed, kind="stable")[:k] + 1).tolist()


@pytest.mark.parametrize("batch_size", [None, 4])
def test_product_models_in_batches_by_history_length(product, dataset, by_sorting, batch_size):
    rng = np.random.default_rng(1)
    n, users = 50, 30
    vectors = rng.integers(-3, 4, (n, 4)).astype(np.float32)  # Exact, whatever the order of sums.
    history = [rng.integers(1, n + 1, rng.integers(0, 9)).tolist() for _ in range(users)]
    targets = [rng.integers(1, n + 1, rng.integers(1, 5)).tolist() for _ in range(users)]
    data = dataset(history, targets, n)
    ranks = Evaluator(data, batch_size=batch_size).ranks(product(vectors, max_history=3), top=5)
    sums = np.array([vectors[np.array(h[-3:], int) - 1].sum(axis=0) for h in history])
    expected, _ = _expected(by_sorting, sums @ vectors.T, data, ranks.targets)
    found = np.split(np.minimum(ranks.ranks, MISS), ranks.offsets[1:-1])
    assert [sorted(row) for row in found] == [sorted(row) for row in expected]


def test_equal_scores_count_against_the_target(table, dataset):
    constant = table(np.zeros((4, N)))
    data = dataset([[1], [1, 2, 2], []], [[5], [3], [9, 8]], N)
    assert Evaluator(data).ranks(constant).ranks.tolist() == [8, 7, 8, 9]


def test_a_repeated_target_and_one_in_the_history(table, dataset):
    scores = np.tile(np.arange(N, 0, -1.0), (3, 1))  # Item i has rank i.
    data = dataset([[1, 2, 4], [3, 3]], [[4, 4], [3, 5]], N)
    evaluator = Evaluator(data)
    # First user: 1, 2 and 4 are known, so that the target 4 is a miss. Second: so is 3, and 5 has
    # 1, 2 and 4 before it.
    assert evaluator.ranks(table(scores)).ranks.tolist() == [NEVER, NEVER, 4]
    assert evaluator.pools.counts == {"duplicate_targets": 1}
    assert evaluator.pools.repeated.tolist() == [True, True, False]
    assert evaluator.pools.sizes.tolist() == [6, 8]
    unmasked = Evaluator(data, recommend_known=True)
    assert unmasked.ranks(table(scores)).ranks.tolist() == [4, 3, 5]
    assert Evaluator(dataclasses.replace(data, recommend_known=True)).pools.sizes.tolist() == [9, 9]


def test_given_candidates_ignore_padding_repeats_and_targets(table, dataset):
    scores = np.tile(np.arange(N, 0, -1.0), (3, 1))
    candidates = np.array([[1, 1, 0, 5], [2, 7, 9, 0]])
    data = dataset([[2], []], [[5], [7]], N, candidates=candidates)
    evaluator = Evaluator(data)
    assert evaluator.ranks(table(scores)).ranks.tolist() == [2, 2]
    assert evaluator.pools.sizes.tolist() == [2, 3]
    assert evaluator.pools.counts["duplicate_candidates"] == 1
    assert evaluator.pools.counts["candidates_equal_target"] == 2


def test_given_candidates_that_the_user_knows_leave_the_ranking(table, dataset):
    scores = np.tile(np.arange(N, 0, -1.0), (4, 1))
    candidates = np.array([[1, 2, 6], [1, 2, 0], [0, 0, 0]])
    data = dataset([[1], [2, 5], [4]], [[5], [5], [4]], N, candidates=candidates)
    evaluator = Evaluator(data)
    assert evaluator.ranks(table(scores)).ranks.tolist() == [2, NEVER, NEVER]
    assert evaluator.pools.sizes.tolist() == [3, 1, 0]
    assert evaluator.pools.counts["known_candidates"] == 2
    report = evaluator.report(table(scores))
    assert report.metrics["HR@10"] == pytest.approx(1 / 3)
    # By chance the first target is among 10 of 3, and the others never are.
    assert report.baselines["random"]["HR@10"] == pytest.approx(1 / 3)
    known = Evaluator(data, recommend_known=True)
    assert known.ranks(table(scores)).ranks.tolist() == [3, 3, 1]


def test_rounding_never_puts_a_seen_item_above_its_own_score(product, dataset):
    """Masked items with the target's very score: subtracting them needs bitwise equal scores."""
    rng = np.random.default_rng(0)
    vectors = np.repeat(rng.normal(size=(1, 33)), 400, axis=0)
    users = 50
    history = [rng.permutation(np.arange(2, 401))[: 3 + 7 * u].tolist() for u in range(users)]
    ranks = Evaluator(dataset(history, [[1]] * users, 400), batch_size=7).ranks(product(vectors))
    assert ranks.ranks.tolist() == [400 - len(h) for h in history]


def test_subset_gives_the_ranks_of_its_users(table, dataset):
    rng = np.random.default_rng(0)
    model = table(rng.normal(size=(9, N)))
    data = dataset([[1, 2]] * 8, [[3 + u % 5, 8] for u in range(8)], N)
    whole = Evaluator(data).ranks(model)
    rows = np.array([6, 1, 4])
    part = Evaluator(data.subset(rows)).ranks(model)
    assert part.ranks.tolist() == whole.ranks.reshape(8, 2)[rows].ravel().tolist()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("given_candidates", [False, True])
def test_scores_that_are_not_finite_are_counted(table, dataset, bad, given_candidates):
    scores = np.zeros((4, N))
    scores[1, 4] = scores[3, 4] = bad
    candidates = np.array([[1, 5, 0]] * 3) if given_candidates else None
    data = dataset([[]] * 3, [[2]] * 3, N, candidates=candidates)
    total = 9 if given_candidates else 27
    with pytest.raises(ValueError, match=f"2 of the {total} scores of Table are NaN or infinite"):
        evaluate(table(scores), data)


def test_a_sum_of_scores_that_overflows_is_no_error(table, dataset):
    scores = np.full((3, N), 3e38)
    scores[:, 1] = 3.1e38
    ranks = Evaluator(dataset([[]] * 2, [[2]] * 2, N), batch_size=2).ranks(table(scores))
    assert ranks.ranks.tolist() == [1, 1]


def test_other_items_than_the_models_are_refused(table, dataset):
    data = dataset([[]], [[2]], N)
    with pytest.raises(ValueError, match="scores 8 items, the evaluation set has 9"):
        evaluate(table(np.zeros((2, 8))), data)
    model = table(np.zeros((2, N)))
    model.items = Vocabulary([*range(100, 108), 999])
    with pytest.raises(ValueError, match="its item 9 is 999, the set's 108"):
        evaluate(model, data)


def test_targets_and_candidates_outside_the_catalogue_are_refused(dataset):
    with pytest.raises(ValueError, match="2 targets are no items of the catalogue.* 10: "):
        Evaluator(dataset([[]] * 2, [[10], [0]], N))
    with pytest.raises(ValueError, match="1 candidates are no items"):
        Evaluator(dataset([[]], [[1]], N, candidates=np.array([[12, 0]])))
    with pytest.raises(ValueError, match="toy test has no users"):
        Evaluator(dataset([], [], N))
    with pytest.raises(ValueError, match="a whole number of at least 1; got 0"):
        Evaluator(dataset([[]], [[1]], N), ks=(0, 10))


def test_a_model_is_traced_once_and_its_new_weights_are_seen(product, dataset):
    rng = np.random.default_rng(0)
    model = product(rng.normal(size=(N, 3)))
    first = Evaluator(dataset([[1, 2]] * 5, [[3]] * 5, N))
    before = first.ranks(model).ranks
    assert model.traces == 1
    # Other users, other widths of history, targets and lists, another evaluator: the same trace.
    evaluate(model, dataset([[1], [2, 3, 4, 5]], [[3, 4, 5], [1]], N), ks=(1, 2))
    assert model.traces == 1
    model.vectors.assign(-model.vectors)
    model.vectors[2].assign(100 * model.vectors[0])
    after = first.ranks(model).ranks
    assert model.traces == 1
    assert after.tolist() == [1] * 5 != before.tolist()


def test_evaluating_does_not_keep_a_model_alive(product, dataset):
    model = product(np.eye(N))
    evaluator = Evaluator(dataset([[1]], [[3]], N))
    evaluator.ranks(model)
    reference = weakref.ref(model)
    del model
    gc.collect()
    assert reference() is None


@pytest.mark.slow
def test_many_models_in_a_process_bring_no_warning_of_retracing(
    table, dataset, caplog, monkeypatch
):
    # TensorFlow falls silent after two warnings in a process, hence a detector that gave none yet.
    from tensorflow.python.eager.polymorphic_function import polymorphic_function as internal

    manager = internal._FrequentTracingDetectorManager()
    monkeypatch.setattr(internal, "_frequent_tracing_detector_manager", manager)
    data = dataset([[1]] * 2, [[3]] * 2, N)
    for _ in range(6):
        Evaluator(data).ranks(table(np.zeros((3, N))))
    assert "retracing" not in caplog.text


def test_functions_are_shared_by_model_not_by_value(product):
    model = product(np.eye(N))
    assert counter_of(model) is counter_of(model)
    assert counter_of(model) is not counter_of(product(np.eye(N)))


def test_models_made_under_a_strategy(product, dataset):
    rng = np.random.default_rng(0)
    vectors = rng.integers(-3, 4, (N, 4)).astype(np.float32)
    data = dataset([[1, 2], [4], [5, 6, 7]], [[3], [1, 2], [9]], N)
    plain = Evaluator(data).ranks(product(vectors), top=4)
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        model = product(vectors)
        inside = Evaluator(data).ranks(model, top=4)
    outside = Evaluator(data).ranks(model, top=4)
    for ranks in (inside, outside):
        assert ranks.ranks.tolist() == plain.ranks.tolist()
        assert ranks.top_items.tolist() == plain.top_items.tolist()


def test_settle_ties_gives_consecutive_ranks():
    counts = np.array([4, 4, 1, 4, 4])
    targets = Histories.from_lists([[1, 2, 3], [4, 5]])
    assert settle_ties(counts, targets).tolist() == [3, 4, 1, 3, 4]


def test_a_keras_model_of_the_package_at_any_length_of_history(dataset, by_sorting):
    import tfrecs

    model = tfrecs.models.SASRec(N, dim=8, num_blocks=1, max_length=4, seed=0)
    history = [[1, 2, 3, 4, 5, 6], [7], [], [8, 1, 1]]
    data = dataset(history, [[7], [2, 5], [1], [9]], N)
    ranks = Evaluator(data).ranks(model)
    alone = [model.score({"history": data.history.padded([u], 4)}).numpy()[0] for u in range(4)]
    expected, _ = _expected(by_sorting, np.array(alone), data, ranks.targets)
    assert ranks.ranks.tolist() == [rank for row in expected for rank in row]
