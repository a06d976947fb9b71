"""Every public layer, loss and model with a small example, for `test_conformance.py`.

Something public that is missing here fails the suite.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

import tfrecs
from tests.conformance import features
from tests.public_models import MODELS
from tfrecs._keras import keras, tf

RNG = np.random.default_rng(0)
VECTORS = RNG.normal(size=(4, 5, 8)).astype(np.float32)
HISTORY = np.array([[0, 0, 4, 7, 2], [1, 2, 3, 4, 5], [0, 0, 0, 0, 9], [0, 3, 1, 8, 6]], np.int32)
TARGET = np.array([[0, 0, 7, 2, 1], [2, 3, 4, 5, 6], [0, 0, 0, 0, 8], [0, 1, 8, 6, 7]], np.int32)
MASK = np.asarray(tfrecs.layers.causal_mask(tf.constant(HISTORY > 0)))
TARGETS = np.array([3, 1, 9, 3], np.int32)
USERS = np.array([1, 2, 7, 4], np.int32)
TIMES = np.cumsum(10 ** np.arange(20).reshape(4, 5) % 10**6, axis=1)
EVENTS = tfrecs.data.Schema(
    {"device": tfrecs.data.Categorical(tfrecs.data.Vocabulary(["phone", "desktop"]))}
)
QUERIES = RNG.normal(size=(4, 8)).astype(np.float32)
ITEMS = RNG.normal(size=(9, 8)).astype(np.float32)
GRADES = np.array([[1, 0, 2, 0, -1], [0, 1, 0, -1, -1], [3, 1, 0, 0, 2], [0, 0, 0, 0, 0]], np.int32)

# Public names that are no layers: bases, plain values, and functions with tests of their own.
NO_CASE = {
    "layers": {"causal_mask", "padding_mask", "unit_vectors"},
    "negatives": {"HardNegativeMining", "Negatives", "Sample", "all_gather"},
    "losses": {
        "DotProductScores",
        "ListLoss",
        "Loss",
        "SampledLoss",
        "Scores",
        "global_sum",
        "weighted_logsumexp",
    },
    "tasks": set(),
    "models": {"Model"},
}


@dataclasses.dataclass(frozen=True)
class Case:
    """One object of a public class, and one way to use it.

    Args:
        make: Builds it; every time with the same initial weights and random draws.
        inputs: Arrays it is used with, a batch along the first axis of each.
        call: Uses it: takes the object and the inputs, gives tensors.
        fixed: Which inputs have no batch axis.
        float32: Whether results are float32 under every precision policy.
        adapted: Whether `make` calls `adapt`: what that learns is in the weights, not the config.
        growth: Largest scale of inputs whose results are still float32 numbers.
    """

    make: Callable[[], Any]
    inputs: tuple[np.ndarray, ...]
    call: Callable[..., Any] = lambda instance, *inputs: instance(*inputs)
    fixed: tuple[int, ...] = ()
    float32: bool = False
    adapted: bool = False
    growth: float = 1e18

    def tensors(self) -> list[tf.Tensor]:
        """The inputs as tensors."""
        return [tf.constant(x) for x in self.inputs]


def _loss_case(make: Callable[[], Any], adapted: bool = False, growth: float = 1e18) -> Case:
    def call(loss, targets, users, queries, items):
        scores = tfrecs.losses.DotProductScores(
            queries, len(ITEMS), lambda ids: tf.gather(items, ids - 1), lambda: items, users
        )
        return loss(targets, scores)

    inputs = (TARGETS, USERS, QUERIES, ITEMS)
    return Case(make, inputs, call, fixed=(3,), float32=True, adapted=adapted, growth=growth)


def known_items():
    users, items = [1, 1, 2, 2, 2, 4], [3, 8, 1, 2, 5, 9]
    return tfrecs.negatives.KnownItems.from_interactions(users, items, num_users=4, num_items=9)


def _frequency():
    return tfrecs.negatives.ItemFrequency([4, 0, 2, 1, 1, 1, 1, 1, 9])


def by_popularity(shared, **more):
    counts = [4, 0, 2, 1, 1, 1, 1, 1, 9]
    return tfrecs.negatives.Popularity(6, counts, shared=shared, seed=1, **more)


def _mined():
    sampler = tfrecs.negatives.Mined(6, 4, 9, num_mined=3, seed=1, known=known_items())
    sampler.assign([1, 4], [[2, 5, 0], [1, 2, 3]])
    return sampler


def _numbers(sample):
    allowed = [] if sample.allowed is None else [tf.cast(sample.allowed, tf.int32)]
    return [*sample[:3], *allowed]


def _draw(negatives, targets, users):
    return _numbers(negatives(targets, 9, user_ids=users))


def _sampler_case(make: Callable[[], Any]) -> Case:
    return Case(make, (TARGETS, USERS), _draw, float32=True, adapted=True)


def _hardest(negatives, targets, users, queries, items):
    def scores(ids):
        if ids.shape.rank == 1:
            return tf.matmul(queries, tf.gather(items, ids - 1), transpose_b=True)
        return tf.linalg.matvec(tf.gather(items, ids - 1), queries)

    sample = negatives(targets, 9, user_ids=users, scores=scores)
    return _numbers(sample)


def _adapted(layer):
    layer.adapt(VECTORS.reshape(-1, 8))
    return layer


def _numeric_case(make: Callable[[], Any]) -> Case:
    return Case(lambda: _adapted(make()), (VECTORS,), adapted=True)


def _bags(layer, item, history, weights):
    return layer({"item": item, "history": history}, weights={"history": weights})


def _sif():
    layer = layers.TextEmbedding(9, 8, "sif", seed=1)
    layer.adapt(HISTORY)
    return layer


def _timed(block, vectors, mask, times):
    return block(vectors, mask, times=(times, times))


def _events():
    schema = EVENTS.with_columns(price=tfrecs.data.Numeric("standard"))
    layer = tfrecs.layers.EventEmbedding(schema, 8, 4, seed=1)
    layer.adapt({"price": VECTORS[..., 0].ravel(), "device": TARGET.ravel()})
    return layer


def _of_events(layer, devices, prices):
    return layer({"device": devices, "price": prices})


def _loss_of_events(model, history, target, times):
    batch = {"user_id": history[:, 0], "history": history, "target": target}
    batch |= {"history.device": target % 4, "history_time": times, "request_time": times[:, -1]}
    return model.compute_loss(batch)


def _masked(layer, vectors, mask):
    return layer(vectors, mask=mask)


def _learning(frequency, ids):
    frequency.update(ids)
    return frequency(ids)


def _retrieval(task, queries, candidates, ids, others):
    return task(queries, candidates, candidate_ids=ids, positive_ids=others)


def _multi(task, clicked, rating, click_score, rating_score):
    labels = {"click": clicked, "rating": rating}
    scores = {"click": click_score, "rating": rating_score}
    return task(labels, scores, {"rating": tf.cast(clicked, tf.float32)})


def _multi_task():
    heads = {
        "click": tfrecs.tasks.Ranking(keras.losses.BinaryCrossentropy(from_logits=True)),
        "rating": tfrecs.tasks.Ranking(keras.losses.MeanSquaredError()),
    }
    return tfrecs.tasks.MultiTask(heads, "uncertainty")


def _weighted(weighting, first, second):
    return weighting({"a": tf.reduce_mean(first), "b": tf.reduce_mean(second)})


def _list_case(make: Callable[[], Any]) -> Case:
    # A Keras loss holds no weights to check: the task around it does, and its config has the loss.
    return Case(lambda: tfrecs.tasks.Ranking(make()), (GRADES, VECTORS[..., 0]), float32=True)


def _score(model, history):
    return model.score({"user_id": history[:, 0], "history": history})


def _loss(model, history, target):
    return model.compute_loss({"user_id": history[:, 0], "history": history, "target": target})


def _user_items(model, users):
    return model.score({"user_id": users})


def _user_item_loss(model, users, items):
    return model.compute_loss({"user_id": users, "item_id": items}, training=True)


def _factors(name: str, **arguments):
    given = {"items": 9, "users": 6, "dim": 8, "regularization": 0.1, "seed": 1, **arguments}
    return getattr(tfrecs.models, name)(**given)


def _pretrained():
    gmf, mlp = _factors("GeneralizedMF"), _factors("MLP")
    return tfrecs.models.NeuralMF.from_pretrained(gmf, mlp, seed=1)


def _sasrec(**arguments):
    arguments = {"items": 9, "dim": 8, "max_length": 5, "num_heads": 2, "seed": 1, **arguments}
    return tfrecs.models.SASRec(**arguments)


def _of_models() -> dict[str, Case]:
    """Scores and losses of the public models that read sequences or pairs."""
    inputs = {
        "sequences": (((HISTORY,), _score), ((HISTORY, TARGET), _loss)),
        "pairs": (((USERS,), _user_items), ((USERS, TARGETS), _user_item_loss)),
    }
    cases = {}
    for name, entry in MODELS.items():
        if entry.conforming is None:
            continue
        (queries, score), (examples, loss) = inputs[entry.reads]
        cases[f"models.{name}"] = Case(entry.conforming, queries, score, float32=True)
        cases[f"models.{name}, loss"] = Case(entry.conforming, examples, loss, float32=True)
    return cases


layers, losses = tfrecs.layers, tfrecs.losses
GlorotUniform = keras.initializers.GlorotUniform
CASES: dict[str, Case] = {
    "layers.Dropout": Case(
        lambda: layers.Dropout(0.4, seed=1),
        (VECTORS,),
        lambda layer, x: layer(x, training=True),
        growth=1e10,
    ),
    "layers.Cross": Case(
        lambda: layers.Cross(
            3, 0.5, preactivation="tanh", kernel_initializer=GlorotUniform(seed=1)
        ),
        (VECTORS, VECTORS[::-1].copy()),
    ),
    "layers.CrossMixture": Case(
        lambda: layers.CrossMixture(3, 4, kernel_initializer=GlorotUniform(seed=1)),
        (VECTORS, VECTORS[::-1].copy()),
    ),
    "layers.CrossNetwork": Case(
        lambda: layers.CrossNetwork(2, deep_units=[6], dropout=0.1, seed=1),
        (VECTORS,),
        growth=1e10,
    ),
    "layers.CrossNetwork, experts": Case(
        lambda: layers.CrossNetwork(2, 4, 2, deep_units=[6], structure="stacked", seed=1),
        (VECTORS,),
        growth=1e10,
    ),
    "layers.PiecewiseLinearEncoding": _numeric_case(lambda: layers.PiecewiseLinearEncoding(4)),
    "layers.PiecewiseLinearEmbedding": _numeric_case(
        lambda: layers.PiecewiseLinearEmbedding(4, 4, seed=1)
    ),
    "layers.Squashing": _numeric_case(lambda: layers.Squashing()),
    "layers.Standardization": _numeric_case(layers.Standardization),
    "layers.Discretization": _numeric_case(lambda: layers.Discretization(4, 4, seed=1)),
    "layers.PeriodicEncoding": _numeric_case(lambda: layers.PeriodicEncoding(4, seed=1)),
    "layers.StepCounter": Case(
        lambda: layers.StepCounter(seed=3), (VECTORS,), lambda layer, x: layer.next_seed()
    ),
    "layers.ItemEmbedding": Case(lambda: layers.ItemEmbedding(9, 8, seed=1), (HISTORY,)),
    "layers.StackedEmbedding": Case(
        lambda: layers.StackedEmbedding([9] * 5, [8, 4, 8, 2, 2], hashed=[1], seed=1), (HISTORY,)
    ),
    "layers.StackedEmbedding, bags": Case(
        lambda: layers.StackedEmbedding({"item": 9, "history": 9}, 8, seed=1),
        (TARGETS, HISTORY, np.abs(VECTORS[..., 0])),
        _bags,
    ),
    "layers.StackedEmbedding, TPU": Case(
        lambda: layers.StackedEmbedding([9] * 5, 8, hashed=[1], seed=1, tpu="Adam"), (HISTORY,)
    ),
    "layers.TextEmbedding": Case(lambda: layers.TextEmbedding(8, 8, seed=1), (HISTORY,)),
    "layers.TextEmbedding, sif": Case(_sif, (HISTORY,), adapted=True),
    "layers.PretrainedEmbedding": Case(
        lambda: layers.PretrainedEmbedding(ITEMS, 4, seed=1), (HISTORY,), adapted=True
    ),
    "layers.HistoryPooling": Case(layers.HistoryPooling, (VECTORS, HISTORY > 0), _masked),
    "layers.HistoryPooling, recency": Case(
        lambda: layers.HistoryPooling("recency"), (VECTORS, HISTORY > 0), _masked
    ),
    "layers.HistoryPooling, attention": Case(
        lambda: layers.HistoryPooling("attention", num_heads=2, seed=1),
        (VECTORS, HISTORY > 0),
        _masked,
    ),
    "layers.LongShortHistory": Case(
        lambda: layers.LongShortHistory(2, seed=1), (VECTORS, HISTORY > 0), _masked
    ),
    "layers.LongShortHistory, concat": Case(
        lambda: layers.LongShortHistory(2, "recency", "attention", fusion="concat", seed=1),
        (VECTORS, HISTORY > 0),
        _masked,
    ),
    "layers.FeatureEncoder": Case(
        features.encoder, features.item_columns(), features.encode, adapted=True
    ),
    "layers.FeatureEncoder, texts, vectors and histories": Case(
        features.wide_encoder, features.WIDE_COLUMNS, features.encode, adapted=True
    ),
    "layers.FeatureLookup": Case(
        lambda: layers.FeatureLookup(features.item_table()),
        (features.ITEM_IDS,),
        features.lookup,
        adapted=True,
        float32=True,
    ),
    "layers.Tower": Case(features.tower, (features.ITEM_IDS,), adapted=True),
    "layers.LayerNormalization": Case(layers.LayerNormalization, (VECTORS,)),
    "layers.MMoE": Case(
        lambda: layers.MMoE(2, 3, [6, 5], kernel_initializer=GlorotUniform(seed=1)), (QUERIES,)
    ),
    "layers.AttentionScores": Case(
        lambda: layers.AttentionScores(2, "relative", 3),
        (VECTORS.reshape(4, 5, 2, 4).swapaxes(1, 2),) * 2,
        float32=True,
    ),
    "layers.SelfAttention": Case(
        lambda: layers.SelfAttention(2, 0.1, seed=1),
        (VECTORS, VECTORS[::-1].copy(), MASK),
        growth=1e10,  # A gradient is a product of four inputs, and weights may round to below 1.
    ),
    "layers.CausalFilter": Case(lambda: layers.CausalFilter(3), (VECTORS,)),
    "layers.LiGRBlock": Case(
        lambda: layers.LiGRBlock(2, 12, 0.1, "relative", filter_size=2, seed=1), (VECTORS, MASK)
    ),
    "layers.HSTUBlock": Case(lambda: layers.HSTUBlock(2, 0.1, seed=1), (VECTORS, MASK)),
    "layers.RelativePositionBias": Case(
        lambda: layers.RelativePositionBias(2, 3),
        (VECTORS,),
        lambda layer, vectors: layer(tf.shape(vectors)[1], 5) + 0 * vectors[:, :1, :1, tf.newaxis],
        float32=True,
    ),
    "layers.TimeIntervalBias": Case(
        lambda: layers.TimeIntervalBias(2),
        (TIMES,),
        lambda layer, times: layer(times[:, -2:], times),
        float32=True,
    ),
    "layers.SASRecBlock, times": Case(
        lambda: layers.SASRecBlock(2, time_intervals=True, seed=1), (VECTORS, MASK, TIMES), _timed
    ),
    "layers.LiGRBlock, times": Case(
        lambda: layers.LiGRBlock(2, time_intervals=True, seed=1), (VECTORS, MASK, TIMES), _timed
    ),
    "layers.HSTUBlock, times": Case(
        lambda: layers.HSTUBlock(2, time_intervals=True, seed=1), (VECTORS, MASK, TIMES), _timed
    ),
    "layers.EventEmbedding": Case(_events, (TARGET, VECTORS[..., 0]), _of_events, adapted=True),
    "models.SASRec, events": Case(
        lambda: _sasrec(event_schema=EVENTS, time_intervals=True, request_time=True),
        (HISTORY, TARGET, TIMES),
        _loss_of_events,
        float32=True,
    ),
    "layers.FeaturedItemEmbedding": Case(
        lambda: layers.FeaturedItemEmbedding(9, 8, features.item_table(), seed=1),
        (HISTORY,),
        adapted=True,
    ),
    "layers.QuantizedItemEmbedding": Case(
        lambda: layers.QuantizedItemEmbedding(9, 8, 2, num_centroids=5, seed=1), (HISTORY,)
    ),
    "layers.HistoryConvolution": Case(
        lambda: layers.HistoryConvolution(3, horizontal_filters=2, vertical_filters=2, seed=1),
        (VECTORS,),
    ),
    "layers.SASRecBlock": Case(lambda: layers.SASRecBlock(2, 12, 0.1, seed=1), (VECTORS, MASK)),
    "layers.SASRecBlock, pre": Case(
        lambda: layers.SASRecBlock(norm="pre", seed=1), (VECTORS, MASK)
    ),
    "negatives.Uniform": Case(
        lambda: tfrecs.negatives.Uniform(6, seed=1),
        (TARGETS,),
        lambda negatives, targets: negatives(targets, num_items=9)[:3],
    ),
    "negatives.Uniform, without known items": _sampler_case(
        lambda: tfrecs.negatives.Uniform(6, False, seed=1, known=known_items())
    ),
    "negatives.Popularity": _sampler_case(lambda: by_popularity(True, known=known_items())),
    "negatives.Popularity, without known items": _sampler_case(
        lambda: by_popularity(False, known=known_items())
    ),
    "negatives.SameValue": _sampler_case(
        lambda: tfrecs.negatives.SameValue(6, [1, 1, 1, 2, 2, 0, 3, 2, 2], 1, known_items())
    ),
    "negatives.Mined": _sampler_case(_mined),
    "negatives.InBatch": _sampler_case(
        lambda: tfrecs.negatives.InBatch(6, _frequency(), seed=1, known=known_items())
    ),
    "negatives.CrossBatch": _sampler_case(
        lambda: tfrecs.negatives.CrossBatch(
            6, tfrecs.negatives.StreamingFrequency(16), known=known_items()
        )
    ),
    "negatives.Mixed": _sampler_case(
        lambda: tfrecs.negatives.Mixed([tfrecs.negatives.Uniform(6, seed=1), by_popularity(True)])
    ),
    "negatives.Mixed, a target's own": _sampler_case(
        lambda: tfrecs.negatives.Mixed([by_popularity(False, known=known_items()), _mined()])
    ),
    "negatives.Hardest": Case(
        lambda: tfrecs.negatives.Hardest(3, tfrecs.negatives.Uniform(6, seed=1), 1),
        (TARGETS, USERS, QUERIES, ITEMS),
        _hardest,
        fixed=(3,),
        float32=True,
    ),
    "negatives.KnownItems": Case(
        known_items,
        (USERS, HISTORY),
        lambda known, users, ids: tf.cast(known.contains(users, ids), tf.int32),
        adapted=True,
    ),
    "negatives.ItemFrequency": Case(
        _frequency,
        (HISTORY,),
        float32=True,
        adapted=True,
    ),
    "negatives.StreamingFrequency": Case(
        lambda: tfrecs.negatives.StreamingFrequency(7, num_hashes=2),
        (TARGETS,),
        _learning,
        float32=True,
    ),
    "losses.FullSoftmax": _loss_case(lambda: losses.FullSoftmax(0.1)),
    "losses.SampledSoftmax": _loss_case(lambda: losses.SampledSoftmax(6, seed=1)),
    "losses.SampledSoftmax, corrected logQ": _loss_case(
        lambda: losses.SampledSoftmax(negatives=by_popularity(False), logq="corrected"),
        adapted=True,
    ),
    "losses.BucketedSoftmax": _loss_case(lambda: losses.BucketedSoftmax(3, 3, 4, seed=1)),
    "losses.BucketedSoftmax, random directions": _loss_case(
        lambda: losses.BucketedSoftmax(3, 3, 4, mix=False, seed=1)
    ),
    "losses.BinaryCrossEntropy": _loss_case(lambda: losses.BinaryCrossEntropy(2, seed=1)),
    "losses.GBCE": _loss_case(lambda: losses.GBCE(3, seed=1)),
    "losses.FullSoftmax, probability ratios": _loss_case(
        lambda: losses.FullSoftmax(popularity=_frequency()), adapted=True
    ),
    "losses.SampledSoftmax, probability ratios": _loss_case(
        lambda: losses.SampledSoftmax(
            negatives=by_popularity(True, known=known_items()), popularity=_frequency()
        ),
        adapted=True,
    ),
    "losses.SampledSoftmax, negatives of the batch": _loss_case(
        lambda: losses.SampledSoftmax(
            negatives=tfrecs.negatives.Mixed(
                [
                    tfrecs.negatives.InBatch(
                        frequency=tfrecs.negatives.StreamingFrequency(16), known=known_items()
                    ),
                    by_popularity(True),
                ]
            )
        ),
        adapted=True,
    ),
    "losses.BinaryCrossEntropy, corrected": _loss_case(
        lambda: losses.BinaryCrossEntropy(
            negatives=_mined(), logq=True, popularity=_frequency(), negative_weight=0.5
        ),
        adapted=True,
    ),
    # The square of a score of 1e36 is no float32 number.
    "losses.SquaredError": _loss_case(lambda: losses.SquaredError(3, seed=1), growth=1e4),
    "losses.WholeDataSquaredError": _loss_case(
        lambda: losses.WholeDataSquaredError(0.2, _frequency(), known=known_items()),
        adapted=True,
        growth=1e4,
    ),
    "losses.BPR": _loss_case(lambda: losses.BPR(3, seed=1)),
    "losses.BPR, hard negatives": _loss_case(
        lambda: losses.BPR(
            negatives=tfrecs.negatives.Hardest(2, tfrecs.negatives.Uniform(6, seed=1))
        )
    ),
    "losses.Margin": _loss_case(lambda: losses.Margin(3, 0.5, seed=1)),
    "losses.BPRMax": _loss_case(lambda: losses.BPRMax(3, elu=0.5, seed=1), growth=1e9),
    "losses.NotToRecommend": _loss_case(lambda: losses.NotToRecommend(3, seed=1)),
    "losses.WARP": _loss_case(lambda: losses.WARP(5, seed=1)),
    "losses.WARP, known items": _loss_case(
        lambda: losses.WARP(
            negatives=tfrecs.negatives.Uniform(6, False, seed=1, known=known_items())
        ),
        adapted=True,
    ),
    "losses.PairwiseLogistic": _list_case(losses.PairwiseLogistic),
    "losses.PairwiseHinge": _list_case(lambda: losses.PairwiseHinge(0.5)),
    "losses.ListNet": _list_case(losses.ListNet),
    "losses.ListNet, proportional": _list_case(lambda: losses.ListNet("proportional")),
    "losses.ListMLE": _list_case(losses.ListMLE),
    "losses.UncertaintyWeighting": Case(
        lambda: losses.UncertaintyWeighting(["a", "b"]),
        (QUERIES[:, 0], QUERIES[:, 1]),
        _weighted,
        float32=True,
    ),
    "tasks.Retrieval": Case(
        lambda: tfrecs.tasks.Retrieval(
            temperature=0.5,
            learn_temperature=True,
            remove_accidental_hits=True,
            frequency=tfrecs.negatives.StreamingFrequency(16),
            batch_metrics=[keras.metrics.TopKCategoricalAccuracy(2)],
            loss_metrics=[keras.metrics.Mean("batch_loss")],
        ),
        (QUERIES, QUERIES[::-1].copy(), TARGETS, HISTORY),
        _retrieval,
        float32=True,
    ),
    "tasks.Retrieval, hard negatives": Case(
        lambda: tfrecs.tasks.Retrieval(
            keras.losses.CategoricalHinge(),
            num_hard_negatives=3,
            frequency=tfrecs.negatives.StreamingFrequency(16),
        ),
        (QUERIES, QUERIES[::-1].copy(), TARGETS, HISTORY),
        _retrieval,
        float32=True,
    ),
    "tasks.Ranking": Case(
        lambda: tfrecs.tasks.Ranking(
            keras.losses.MeanSquaredError(), metrics=[keras.metrics.MeanAbsoluteError()]
        ),
        (TARGETS, QUERIES[:, 0], np.abs(QUERIES[:, 1])),
        float32=True,
        growth=1e10,
    ),
    "tasks.MultiTask": Case(
        _multi_task, (TARGETS % 2, TARGETS, QUERIES[:, 0], QUERIES[:, 1]), _multi, float32=True
    ),
    "models.TwoTower": Case(
        features.two_tower,
        (features.USER_IDS, HISTORY),
        features.two_tower_score,
        float32=True,
        adapted=True,
    ),
    "models.TwoTower, loss": Case(
        features.two_tower,
        (features.USER_IDS, HISTORY, TARGETS),
        features.two_tower_loss,
        float32=True,
        adapted=True,
    ),
    "models.TwoTower, negatives of the batch": Case(
        lambda: features.two_tower(
            loss=losses.SampledSoftmax(
                negatives=tfrecs.negatives.Mixed(
                    [
                        tfrecs.negatives.InBatch(frequency=tfrecs.negatives.StreamingFrequency(20)),
                        tfrecs.negatives.Uniform(3, seed=1),
                    ]
                )
            )
        ),
        (features.USER_IDS, HISTORY, TARGETS),
        features.two_tower_loss,
        float32=True,
        adapted=True,
    ),
    "models.DeepCross": Case(
        features.deep_cross,
        (features.USER_IDS, features.ITEM_IDS, features.HOURS),
        features.deep_cross_call,
        float32=True,
        adapted=True,
    ),
    "models.DeepCross, loss": Case(
        features.deep_cross,
        (features.USER_IDS, features.ITEM_IDS, features.HOURS, features.CLICKED),
        features.deep_cross_loss,
        float32=True,
        adapted=True,
    ),
    "models.DeepCross, heads": Case(
        features.several_heads,
        (features.USER_IDS, features.ITEM_IDS, features.HOURS),
        features.deep_cross_call,
        float32=True,
        adapted=True,
    ),
    "models.DeepCross, heads with experts, loss": Case(
        lambda: features.several_heads(task_experts=2),
        (features.USER_IDS, features.ITEM_IDS, features.HOURS, features.CLICKED, features.STARS),
        features.several_heads_loss,
        float32=True,
        adapted=True,
        growth=1e10,
    ),
    "models.RetrieveThenRank": Case(
        features.both,
        (features.USER_IDS, HISTORY),
        features.two_tower_score,
        float32=True,
        adapted=True,
    ),
    **_of_models(),
    "models.NeuralMF, pretrained": Case(
        _pretrained, (USERS,), _user_items, float32=True, adapted=True
    ),
    "models.SASRec, Lorentzian": Case(
        lambda: _sasrec(similarity="lorentz", temperature=1.0),
        (HISTORY,),
        _score,
        float32=True,
    ),
    "models.SASRec, quantised": Case(
        lambda: _sasrec(code_length=2, num_centroids=4, item_bias=True),
        (HISTORY, TARGET),
        _loss,
        float32=True,
    ),
    "models.SASRec, cosine and untied": Case(
        # A cosine over .07 would magnify what bfloat16 rounds.
        lambda: _sasrec(similarity="cosine", temperature=0.5, tied=False),
        (HISTORY,),
        _score,
        float32=True,
    ),
}
