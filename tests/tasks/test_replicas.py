"""A step on two devices is the step on one with the whole batch."""

import numpy as np
import pytest

from tfrecs._keras import keras, tf, tfrs
from tfrecs.losses import DotProductScores, ListNet, SampledSoftmax
from tfrecs.negatives import Hardest, InBatch, ItemFrequency, Mixed, StreamingFrequency, Uniform
from tfrecs.tasks import MultiTask, Ranking, Retrieval

RNG = np.random.default_rng(0)
USERS = RNG.integers(0, 12, 8).astype(np.int32)
ITEMS = RNG.integers(1, 10, 8).astype(np.int32)
WEIGHTS = RNG.random(8).astype(np.float32)
POSITIVES = RNG.integers(0, 10, (8, 3)).astype(np.int32)


def table(rows, seed):
    return keras.layers.Embedding(
        rows, 4, embeddings_initializer=keras.initializers.RandomNormal(stddev=1.0, seed=seed)
    )


class TwoTower(tfrs.Model):
    def __init__(self, task):
        super().__init__()
        self.users, self.items, self.task = table(12, 1), table(10, 2), task

    def compute_loss(self, inputs, training=False):
        return self.task(
            self.users(inputs["user"]),
            self.items(inputs["item"]),
            sample_weight=inputs["weight"],
            candidate_ids=inputs["item"],
            positive_ids=inputs["positives"],
            training=training,
        )


class Sampled(TwoTower):
    """The same towers with a loss over items by their ids."""

    def compute_loss(self, inputs, training=False):
        scores = DotProductScores(
            self.users(inputs["user"]),
            9,
            self.items,
            lambda: self.items(tf.range(1, 10)),
            positive_ids=inputs["positives"],
        )
        return self.task(inputs["item"], scores, inputs["weight"], training=training)


class Rank(tfrs.Model):
    def __init__(self, task):
        super().__init__()
        self.users, self.items, self.task = table(12, 1), table(10, 2), task

    def compute_loss(self, inputs, training=False):
        scores = tf.einsum(
            "bd,bkd->bk", self.users(inputs["user"]), self.items(inputs["positives"])
        )
        # -1 at padding; with an all-padding list in the batch.
        labels = tf.where(inputs["positives"] > 0, inputs["positives"] % 3, -1)
        if isinstance(self.task, MultiTask):
            target = tf.cast(inputs["item"], tf.float32)
            return self.task(
                {"order": labels, "value": target},
                {"order": scores, "value": scores[:, 0]},
                inputs["weight"],
            )
        return self.task(labels, scores, inputs["weight"])


def retrieval(**arguments):
    return lambda: TwoTower(Retrieval(**arguments_of(arguments)))


def arguments_of(arguments):
    return {name: make() if callable(make) else make for name, make in arguments.items()}


MODELS = {
    "retrieval": retrieval(),
    "logQ, hits and hard negatives": retrieval(
        temperature=0.5,
        learn_temperature=True,
        remove_accidental_hits=True,
        num_hard_negatives=3,
        frequency=lambda: StreamingFrequency(16),
    ),
    "mixed negatives": lambda: Sampled(
        SampledSoftmax(
            negatives=Mixed(
                [
                    InBatch(frequency=ItemFrequency([1, 2, 3, 4, 5, 6, 7, 8, 9])),
                    Uniform(5, seed=1),
                ]
            )
        )
    ),
    "the hardest of the batch": lambda: Sampled(
        SampledSoftmax(negatives=Hardest(3, InBatch(frequency=StreamingFrequency(16))))
    ),
    "a Keras loss": retrieval(loss=lambda: keras.losses.CategoricalHinge()),
    "the sum": retrieval(
        loss=lambda: keras.losses.CategoricalCrossentropy(from_logits=True, reduction="sum")
    ),
    "lists": lambda: Rank(Ranking(ListNet())),
    "several heads": lambda: Rank(
        MultiTask(
            {"order": Ranking(ListNet()), "value": Ranking(keras.losses.MeanSquaredError())},
            "uncertainty",
        )
    ),
}


def parts(batch, sizes):
    return [
        {name: x[start:stop] for name, x in batch.items()}
        for start, stop in ((0, sizes[0]), (sizes[0], sum(sizes)))
    ]


# Each is traced for one device and for two, in seconds.
QUICK = [
    ("logQ, hits and hard negatives", (5, 3)),
    ("mixed negatives", (5, 3)),
    ("the sum", (5, 3)),
    ("several heads", (6, 0)),
]
SLOW = [
    *((name, (5, 3)) for name in MODELS if (name, (5, 3)) not in QUICK),
    ("retrieval", (4, 4)),
    ("logQ, hits and hard negatives", (6, 0)),
]


@pytest.mark.parametrize(
    ("name", "sizes"), [*QUICK, *(pytest.param(*case, marks=pytest.mark.slow) for case in SLOW)]
)
def test_two_devices_equal_one(name, sizes, two_devices):
    batch = {"user": USERS, "item": ITEMS, "weight": WEIGHTS, "positives": POSITIVES}
    batch = {key: x[: sum(sizes)] for key, x in batch.items()}
    out = []
    for strategy, shares in (
        (tf.distribute.OneDeviceStrategy("cpu:0"), [batch]),
        (two_devices, parts(batch, sizes)),
    ):
        with strategy.scope():
            model = MODELS[name]()
            optimizer = keras.optimizers.SGD(0.1)

        def step(inputs, model=model, optimizer=optimizer):
            # The batch size is unknown, as in `fit`: where it is static and 0, TensorFlow's own
            # optimizer of graphs (ReplaceMulWithBroadcastByTile) divides by it.
            inputs = {
                key: tf.compat.v1.placeholder_with_default(x, [None, *x.shape[1:]])
                for key, x in inputs.items()
            }
            with tf.GradientTape() as tape:
                loss = model.compute_loss(inputs, training=True)
            variables = model.trainable_variables
            gradients = [tf.convert_to_tensor(g) for g in tape.gradient(loss, variables)]
            optimizer.apply_gradients(zip(gradients, variables, strict=True))
            return loss

        @tf.function
        def run(inputs, step=step, strategy=strategy):
            losses = strategy.run(step, (inputs,))
            return strategy.reduce(tf.distribute.ReduceOp.SUM, losses, axis=None)

        values = {
            key: strategy.experimental_distribute_values_from_function(
                lambda c, key=key, shares=shares: tf.constant(
                    shares[c.replica_id_in_sync_group][key]
                )
            )
            for key in batch
        }
        losses = [float(run(values)) for _ in range(3)]
        out.append([losses, *[w.numpy() for w in model.weights]])
    for one, two in zip(*out, strict=True):
        np.testing.assert_allclose(two, one, rtol=1e-5, atol=1e-6)
    assert out[0][0][2] < out[0][0][0]


def test_a_score_mask_concerns_the_replicas_own_candidates(two_devices):
    rng = np.random.default_rng(1)
    queries, candidates = rng.normal(size=(2, 6, 4)).astype(np.float32)
    masks = [rng.random((4, 4)) < 0.5, rng.random((2, 2)) < 0.5]
    whole = np.ones((6, 6), bool)
    whole[:4, :4], whole[4:, 4:] = masks
    want = Retrieval()(queries, candidates, score_mask=whole)
    with two_devices.scope():
        task = Retrieval()

    @tf.function
    def run(*arguments):
        losses = two_devices.run(lambda q, c, m: task(q, c, score_mask=m), arguments)
        return two_devices.reduce(tf.distribute.ReduceOp.SUM, losses, axis=None)

    shares = ([queries[:4], queries[4:]], [candidates[:4], candidates[4:]], masks)
    values = [
        two_devices.experimental_distribute_values_from_function(
            lambda c, s=share: tf.constant(s[c.replica_id_in_sync_group])
        )
        for share in shares
    ]
    assert float(run(*values)) == pytest.approx(float(want), rel=1e-6)


@pytest.mark.slow
def test_fit_with_batches_that_divide_unevenly(two_devices):
    """Also the metrics of the loss are those of the whole batch."""
    data = {
        "user": np.tile(USERS, 2)[:13],
        "item": np.tile(ITEMS, 2)[:13],
        "weight": np.tile(WEIGHTS, 2)[:13],
        "positives": np.tile(POSITIVES, (2, 1))[:13],
    }
    out = []
    for strategy in (tf.distribute.OneDeviceStrategy("cpu:0"), two_devices):
        with strategy.scope():
            task = Retrieval(
                batch_metrics=[keras.metrics.MeanSquaredError(name="batch")],
                loss_metrics=[keras.metrics.Mean("mean")],
                remove_accidental_hits=True,
                frequency=StreamingFrequency(16),
            )
            model = TwoTower(task)
            model.compile(keras.optimizers.SGD(0.1))
        dataset = tf.data.Dataset.from_tensor_slices(data).batch(6)
        logs = model.fit(dataset, epochs=2, verbose=0).history
        out.append([logs["mean"], *model.get_weights()])
    for one, two in zip(*out, strict=True):
        np.testing.assert_allclose(two, one, rtol=1e-5, atol=1e-6)
