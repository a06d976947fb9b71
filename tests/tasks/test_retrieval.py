"""The retrieval task beside TFRS's, with its faults named."""

import json

import numpy as np
import pytest

from tfrecs._keras import keras, tf, tfrs
from tfrecs.negatives import ItemFrequency, StreamingFrequency
from tfrecs.tasks import Ranking, Retrieval

RNG = np.random.default_rng(0)
QUERIES = RNG.normal(size=(5, 4)).astype(np.float32)
CANDIDATES = RNG.normal(size=(5, 4)).astype(np.float32)
EXTRA = RNG.normal(size=(3, 4)).astype(np.float32)
IDS = np.array([3, 1, 9, 3, 2], np.int32)
WEIGHTS = np.array([1.0, 0.2, 2.0, 0.5, 0.7], np.float32)
CORPUS = RNG.normal(size=(20, 4)).astype(np.float32)


def top_k(**arguments):
    data = tf.data.Dataset.from_tensor_slices((np.arange(1, 21, dtype=np.int32), CORPUS))
    return tfrs.metrics.FactorizedTopK(data.batch(8), **{"ks": [5], **arguments})


def results(task):
    return {metric.name: float(metric.result()) for metric in task.metrics}


CALLS = {
    "plain": ({}, {}),
    "weights": ({}, {"sample_weight": WEIGHTS}),
    "temperature": ({"temperature": 0.2}, {}),
    "probabilities": (
        {"temperature": 2.0},
        {"candidate_sampling_probability": np.array([0.1, 0.5, 0.01, 1e-5, 0.3], np.float32)},
    ),
    "accidental hits": (
        {"remove_accidental_hits": True},
        {"candidate_ids": IDS, "sample_weight": WEIGHTS},
    ),
    "mask": ({}, {"score_mask": (RNG.random((5, 5)) < 0.6) | np.eye(5, dtype=bool)}),
    "hard negatives": ({"num_hard_negatives": 2}, {}),
    "more hard negatives than candidates": ({"num_hard_negatives": 99}, {}),
    "another loss": ({"loss": "hinge"}, {"sample_weight": WEIGHTS}),
}


@pytest.mark.parametrize("extra", [False, True], ids=["in batch", "extra rows"])
@pytest.mark.parametrize("name", CALLS)
def test_the_loss_is_tfrss_over_the_batch_size(name, extra):
    arguments, call = CALLS[name]
    arguments, call = dict(arguments), dict(call)
    theirs, total = dict(arguments), call.get("sample_weight", np.ones(5)).sum()
    if "loss" in arguments:
        arguments["loss"] = keras.losses.CategoricalHinge()
        theirs["loss"] = keras.losses.CategoricalHinge(reduction="sum")
    candidates = CANDIDATES
    if extra:
        candidates = np.concatenate([CANDIDATES, EXTRA])
        if "candidate_ids" in call:
            call["candidate_ids"] = np.concatenate([IDS, [9, 4, 4]]).astype(np.int32)
        if "candidate_sampling_probability" in call:
            call["candidate_sampling_probability"] = np.linspace(0.1, 0.9, 8).astype(np.float32)
        if "score_mask" in call:
            call["score_mask"] = np.concatenate([call["score_mask"], np.eye(5, 3) < 1], axis=1)

    def gradients(task):
        queries, rows = tf.constant(QUERIES), tf.constant(candidates)
        with tf.GradientTape() as tape:
            tape.watch([queries, rows])
            loss = task(queries, rows, **call)
        return [loss, *tape.gradient(loss, [queries, rows])]

    ours, tfrss = gradients(Retrieval(**arguments)), gradients(tfrs.tasks.Retrieval(**theirs))
    for a, b in zip(ours, tfrss, strict=True):
        np.testing.assert_allclose(a * total, b, rtol=1e-4, atol=1e-5)


def test_every_argument_of_tfrs_is_taken_at_its_place():
    metrics = ([keras.metrics.TopKCategoricalAccuracy(1, name="b")], [keras.metrics.Mean("l")])
    task = Retrieval(None, top_k(), *metrics, 0.5, 2, True, "mine")
    value = task(
        QUERIES, CANDIDATES, WEIGHTS, np.full(5, 0.5), IDS, True, True, np.ones((5, 5)) > 0
    )
    assert task.name == "mine"
    assert np.isfinite(value)
    assert isinstance(task, tfrs.tasks.Task)


def test_the_sum_of_tfrs_is_a_reduction_away():
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, reduction="sum")
    ours = Retrieval(loss, loss_metrics=[keras.metrics.Mean("l")])
    theirs = tfrs.tasks.Retrieval()
    want = float(theirs(QUERIES, CANDIDATES, sample_weight=WEIGHTS))
    assert float(ours(QUERIES, CANDIDATES, sample_weight=WEIGHTS)) == pytest.approx(want, rel=1e-5)
    assert results(ours)["l"] == pytest.approx(want, rel=1e-5)


def test_unreduced_losses():
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, reduction="none")
    value = Retrieval(loss)(QUERIES, CANDIDATES, sample_weight=WEIGHTS)
    want = tfrs.tasks.Retrieval(loss)(QUERIES, CANDIDATES, sample_weight=WEIGHTS)
    np.testing.assert_allclose(value, want, rtol=1e-5)


def test_metrics_by_hand():
    """The queries, candidates and expectations of TFRS's own test; the mean in place of the sum."""
    task = Retrieval(
        metrics=tfrs.metrics.FactorizedTopK(
            tf.data.Dataset.from_tensor_slices(np.zeros((20, 3), np.float32)).batch(16), ks=[5]
        ),
        batch_metrics=[keras.metrics.TopKCategoricalAccuracy(1, name="batch")],
        loss_metrics=[keras.metrics.Mean("loss")],
    )
    queries = np.array([[1, 2, 3], [2, 3, 4]], np.float32)
    candidates = np.array([[1, 1, 1], [1, 1, 0]], np.float32)
    # All scores: [[6, 3], [9, 5]].
    each = np.array([np.log(1 + np.exp(-3)), np.log(1 + np.exp(4))])
    corpus = "factorized_top_k/top_5_categorical_accuracy"
    value = task(queries, candidates)
    assert float(value) == pytest.approx(each.mean(), rel=1e-6)
    want = {corpus: 1.0, "batch": 0.5, "loss": each.mean()}
    assert results(task) == pytest.approx(want, rel=1e-6)
    for metric in task.metrics:
        metric.reset_state()
    task(queries, candidates, sample_weight=np.array([0.7, 0.3], np.float32))
    want = {corpus: 1.0, "batch": 0.7, "loss": 0.7 * each[0] + 0.3 * each[1]}
    assert results(task) == pytest.approx(want, rel=1e-6)


def test_metrics_over_several_batches_are_means_over_queries():
    task = Retrieval(loss_metrics=[keras.metrics.Mean("l")])
    values = [float(task(QUERIES[s], CANDIDATES[s])) for s in (slice(0, 4), slice(4, 5))]
    assert results(task)["l"] == pytest.approx((4 * values[0] + values[1]) / 5, rel=1e-5)


def test_metrics_not_computed_read_nan_and_not_0():
    task = Retrieval(
        metrics=top_k(), batch_metrics=[keras.metrics.TopKCategoricalAccuracy(1, name="batch")]
    )
    corpus = "factorized_top_k/top_5_categorical_accuracy"
    task(QUERIES, CANDIDATES, compute_metrics=False)
    assert np.isnan(results(task)[corpus])
    assert not np.isnan(results(task)["batch"])
    task(QUERIES, CANDIDATES, compute_batch_metrics=False)
    assert not np.isnan(results(task)[corpus])
    for metric in task.metrics:
        metric.reset_state()
    assert np.isnan(list(results(task).values())).all()


def test_a_single_metric_assigned_later_is_not_dropped():
    """TFRS's setter turns a single metric into an empty list, without a word."""
    task = Retrieval(metrics=top_k())
    task.factorized_metrics = top_k(ks=[10], name="other")
    assert [metric.name for metric in task.metrics] == ["other/top_10_categorical_accuracy"]
    task(QUERIES, CANDIDATES)
    theirs = top_k(ks=[10], name="other")
    theirs.update_state(QUERIES, CANDIDATES)
    assert list(results(task).values()) == [float(theirs.metrics[0].result())]
    task.factorized_metrics = None
    assert task.metrics == []
    task(QUERIES, CANDIDATES)


def test_several_metrics_are_all_computed():
    task = Retrieval(metrics=[top_k(ks=[1, 20], name="a"), top_k(ks=[10], name="b")])
    task(QUERIES, CANDIDATES)
    got = results(task)
    assert len(got) == 3
    assert got["a/top_20_categorical_accuracy"] >= got["b/top_10_categorical_accuracy"]
    assert not np.isnan(list(got.values())).any()


def test_metrics_of_one_name_are_an_error():
    with pytest.raises(ValueError, match="two metrics are named factorized_top_k"):
        Retrieval(metrics=[top_k(), top_k()])
    with pytest.raises(ValueError, match="two metrics are named x"):
        Retrieval(
            batch_metrics=[keras.metrics.AUC(name="x")], loss_metrics=[keras.metrics.Mean("x")]
        )


def test_extra_negatives_with_ids_do_not_break_the_metrics():
    """TFRS hands all ids to a metric of the queries' own candidates (its pull request 642)."""
    ids = np.concatenate([IDS, [7, 8, 9]]).astype(np.int32)
    candidates = np.concatenate([CANDIDATES, EXTRA])
    task, plain = Retrieval(metrics=top_k()), Retrieval(metrics=top_k())
    with pytest.raises(tf.errors.InvalidArgumentError):
        tfrs.tasks.Retrieval(metrics=top_k())(QUERIES, candidates, candidate_ids=ids)
    task(QUERIES, candidates, candidate_ids=ids)
    plain(QUERIES, CANDIDATES, candidate_ids=IDS)
    assert results(task) == results(plain)


def test_several_heads_have_no_corpus_metric():
    task = Retrieval(metrics=top_k())
    queries = RNG.normal(size=(5, 2, 4)).astype(np.float32)
    want = tfrs.tasks.Retrieval()(queries, CANDIDATES)
    assert float(task(queries, CANDIDATES)) * 5 == pytest.approx(float(want), rel=1e-5)
    assert np.isnan(list(results(task).values())).all()


def test_probabilities_below_1e_6_differ():
    """TFRS clips at 1e-6."""

    def values(log):
        p = np.array([1e-7, 1e-9, 0.1, 0.0, 0.3], np.float32)
        names = "candidate_log_probability" if log else "candidate_sampling_probability"
        task = Retrieval(loss_metrics=[keras.metrics.Mean("l")])
        return float(
            task(QUERIES, CANDIDATES, **{names: np.log(np.maximum(p, 1e-9)) if log else p})
        )

    p = np.array([1e-7, 1e-9, 0.1, 1e-9, 0.3])  # 0 counts as the least positive one.
    logits = QUERIES @ CANDIDATES.T - np.log(p)
    want = np.mean(np.log(np.exp(logits - 50).sum(1)) + 50 - np.diag(logits))
    assert values(log=False) == pytest.approx(want, rel=1e-5)
    assert values(log=True) == pytest.approx(values(log=False), rel=1e-1)
    with pytest.raises(ValueError, match="not both"):
        Retrieval()(
            QUERIES,
            CANDIDATES,
            candidate_sampling_probability=p,
            candidate_log_probability=np.log(p),
        )


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_everything_is_float32_under_mixed_precision(policy):
    """Under mixed_float16 TFRS's accidental hits give NaN and its hard negatives an error."""
    arguments = {"remove_accidental_hits": True, "num_hard_negatives": 3, "temperature": 0.05}
    want = Retrieval(**arguments)(QUERIES, CANDIDATES, candidate_ids=IDS)
    compute = tf.as_dtype(policy.removeprefix("mixed_"))
    metrics = top_k()
    keras.mixed_precision.set_global_policy(policy)
    try:
        task = Retrieval(**arguments, metrics=metrics, learn_temperature=True)
        queries = tf.cast(QUERIES, compute)
        with tf.GradientTape() as tape:
            tape.watch(queries)
            value = task(queries, tf.cast(CANDIDATES, compute), candidate_ids=IDS)
        exact = task(tf.constant(QUERIES), tf.constant(CANDIDATES), candidate_ids=IDS)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert value.dtype == tf.float32
    np.testing.assert_allclose(value, want, rtol=0.1)
    np.testing.assert_allclose(exact, want, rtol=1e-5)
    assert np.isfinite(tf.cast(tape.gradient(value, queries), tf.float32)).all()


@pytest.mark.parametrize(
    "loss",
    [
        None,
        keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1),
        keras.losses.CategoricalHinge(reduction="sum"),
    ],
)
def test_config_round_trip_with_any_loss(loss):
    task = Retrieval(
        loss,
        batch_metrics=[keras.metrics.TopKCategoricalAccuracy(3, name="top_3")],
        loss_metrics=[keras.metrics.Mean("l")],
        temperature=0.3,
        num_hard_negatives=3,
        remove_accidental_hits=True,
        frequency=StreamingFrequency(20),
    )
    config = json.loads(json.dumps(task.get_config()))
    again = Retrieval.from_config(config)
    assert again.get_config() == task.get_config()

    def use(task):
        return task(QUERIES, CANDIDATES, candidate_ids=tf.constant(IDS))

    assert float(use(again)) == pytest.approx(float(use(task)), rel=1e-6)
    assert results(again) == pytest.approx(results(task), rel=1e-6)


def test_a_loss_must_be_a_keras_loss():
    with pytest.raises(TypeError, match=r"keras\.losses\.Loss"):
        Retrieval(lambda y_true, y_pred: y_pred)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"num_hard_negatives": 2.5}, "num_hard_negatives must be an integer"),
        ({"num_hard_negatives": "2"}, "num_hard_negatives must be an integer"),
        ({"metrics": "top_k"}, "takes metrics over a corpus"),
        ({"metrics": [keras.metrics.Mean()]}, "takes metrics over a corpus"),
    ],
)
def test_arguments_of_another_type(wrong, message):
    with pytest.raises(TypeError, match=message):
        Retrieval(**wrong)
    with pytest.raises(ValueError, match="num_hard_negatives must be at least 0"):
        Retrieval(num_hard_negatives=-2)


@pytest.mark.parametrize(
    ("queries", "candidates", "more", "message"),
    [
        (QUERIES[0], CANDIDATES, {}, "rows of a matrix"),
        (QUERIES, CANDIDATES[:, np.newaxis], {}, "rows of a matrix"),
        (QUERIES, CANDIDATES[:, :3], {}, "must have the same length"),
        (QUERIES, CANDIDATES[:4], {}, "its own candidate"),
        (QUERIES, CANDIDATES, {"candidate_ids": IDS[:4]}, "candidate_ids .* for each candidate,"),
        (QUERIES, CANDIDATES, {"candidate_ids": IDS[:, np.newaxis]}, "candidate_ids must have a"),
        (QUERIES, CANDIDATES, {"candidate_sampling_probability": [0.5] * 4}, "probabilities must"),
        (
            QUERIES,
            CANDIDATES,
            {"candidate_ids": IDS, "positive_ids": IDS},
            "positive_ids must have a value for each query, shape",
        ),
        (
            QUERIES,
            CANDIDATES,
            {"score_mask": np.ones([len(QUERIES), 1], bool)},
            "score_mask must have a value for each query and candidate, shape",
        ),
    ],
)
@pytest.mark.parametrize("graph", [False, True], ids=["eager", "graph"])
def test_tensors_that_do_not_fit_each_other(graph, queries, candidates, more, message):
    call = Retrieval(remove_accidental_hits="candidate_ids" in more).call
    call = tf.function(call) if graph else call
    with pytest.raises(ValueError, match=message):
        call(tf.constant(queries), tf.constant(candidates), **more)


class TwoTower(tfrs.Model):
    """A model as TFRS's tutorials write it."""

    def __init__(self, task, dim=8):
        super().__init__()
        self.users = keras.layers.Embedding(40, dim)
        self.items = keras.layers.Embedding(21, dim)
        self.task = task

    def compute_loss(self, inputs, training=False):
        return self.task(
            self.users(inputs["user"]),
            self.items(inputs["item"]),
            candidate_ids=inputs["item"],
            compute_metrics=not training,
            training=training,
        )


def interactions():
    """40 users of two kinds, each kind with half of the items."""
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(40), 10).astype(np.int32)
    items = (1 + users % 2 * 10 + rng.integers(0, 10, users.size)).astype(np.int32)
    order = rng.permutation(users.size)
    data = {"user": users[order], "item": items[order]}
    return tf.data.Dataset.from_tensor_slices(data).batch(64)


@pytest.mark.parametrize(
    "policy", ["float32", pytest.param("mixed_float16", marks=pytest.mark.slow)]
)
def test_fit_of_a_tfrs_model(policy):
    keras.utils.set_random_seed(0)
    metrics = top_k()
    keras.mixed_precision.set_global_policy(policy)
    try:
        model = TwoTower(
            Retrieval(
                metrics=metrics,
                batch_metrics=[keras.metrics.TopKCategoricalAccuracy(10, name="batch")],
                remove_accidental_hits=True,
                frequency=StreamingFrequency(32),
                temperature=1.0,
                learn_temperature=True,
            ),
            dim=4,
        )
        model.compile(keras.optimizers.Adam(0.05))
        logs = model.fit(
            interactions(), epochs=8, validation_data=interactions(), verbose=0
        ).history
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert logs["loss"][-1] < logs["loss"][0]
    assert logs["batch"][-1] > 1.3 * logs["batch"][0]
    corpus = "factorized_top_k/top_5_categorical_accuracy"
    assert np.isnan(logs[corpus]).all()
    assert not np.isnan(logs[f"val_{corpus}"]).any()
    assert int(model.task.frequency._rows_seen) == 8 * 400
    # Users have scores for their own kind's items.
    scores = model.users.embeddings.numpy() @ model.items.embeddings.numpy()[1:].T
    own = np.arange(40)[:, None] % 2 == np.arange(20)[None] // 10
    assert scores[own].mean() > scores[~own].mean() + 1


@pytest.mark.slow
def test_a_model_with_corpus_metrics_is_saved_without_them(tmp_path):
    model = TwoTower(Retrieval(metrics=top_k(), frequency=ItemFrequency(np.ones(20))), dim=4)
    model.compile()
    model.evaluate(interactions(), verbose=0)
    model.save_weights(str(tmp_path / "weights"))
    again = TwoTower(Retrieval(frequency=ItemFrequency(20)), dim=4)
    again.compile()
    again.load_weights(str(tmp_path / "weights")).expect_partial()
    a, b = (m.evaluate(interactions(), verbose=0, return_dict=True)["loss"] for m in (model, again))
    assert a == pytest.approx(b, rel=1e-6)


def test_a_probability_of_0_counts_as_the_least_positive_one():
    queries, candidates = tf.random.normal([3, 4], seed=1), tf.random.normal([3, 4], seed=2)
    task = Retrieval()

    def loss(*probability):
        return float(task(queries, candidates, candidate_sampling_probability=probability))

    assert loss(0.2, 0.0, 0.1) == pytest.approx(loss(0.2, 0.1, 0.1))
    assert loss(0.2, np.nan, 0.1) == pytest.approx(loss(0.2, 0.1, 0.1))
    assert loss(0.2, -1.0, 0.1) == pytest.approx(loss(0.2, 0.1, 0.1))
    assert np.isfinite(loss(0.0, 0.0, 0.0))


def test_a_weight_for_all():
    queries, candidates = tf.random.normal([3, 4], seed=1), tf.random.normal([3, 4], seed=2)
    task = Retrieval(keras.losses.CategoricalCrossentropy(from_logits=True, reduction="sum"))
    want = float(task(queries, candidates, sample_weight=tf.fill([3], 2.0)))
    assert float(task(queries, candidates, sample_weight=tf.constant(2.0))) == pytest.approx(want)


def test_both_tasks_in_a_graph_of_tensorflow_1():
    queries, candidates = np.eye(3, dtype=np.float32), 2 * np.eye(3, dtype=np.float32)
    labels, predictions = np.array([1.0, 0.0], np.float32), np.array([0.7, 0.4], np.float32)
    want = float(Retrieval()(queries, candidates)), float(Ranking()(labels, predictions))
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        losses = (
            Retrieval()(tf.constant(queries), tf.constant(candidates)),
            Ranking()(tf.constant(labels), tf.constant(predictions)),
        )
        session.run(tf.compat.v1.global_variables_initializer())
        np.testing.assert_allclose(session.run(losses), want, rtol=1e-5)
