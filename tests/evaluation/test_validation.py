import numpy as np
import pytest

from tfrecs._keras import keras, tf
from tfrecs.evaluation import Evaluator, Validation

N, USERS = 12, 20


class Factors(keras.Model):
    """A tiny Keras model with the contract of evaluation and no help from the package's base."""

    items = None
    num_items = N
    max_history = None
    is_product = True

    def __init__(self):
        super().__init__()
        self.users = keras.layers.Embedding(USERS + 1, 4)
        self.vectors = keras.layers.Embedding(N + 1, 4)

    def call(self, features):
        users, items = self.users(features["user_id"]), self.vectors(features["item_id"])
        return tf.reduce_sum(users * items, axis=-1)

    def query_vectors(self, features):
        return self.users(features["user_id"])

    def item_vectors(self, items=None):
        return self.vectors(tf.range(1, N + 1) if items is None else items)

    def score(self, features, items=None):
        return tf.linalg.matvec(self.item_vectors(items), self.query_vectors(features))


@pytest.fixture(scope="module")
def data(dataset):
    return dataset([[1 + u % 3] for u in range(USERS)], [[4 + u % 9] for u in range(USERS)], N)


@pytest.fixture
def batches(data):
    # The model is shown the targets themselves, so that the metrics rise.
    users = np.repeat(data.user_ids, N)
    items = np.tile(np.arange(1, N + 1, dtype=np.int32), USERS)
    labels = (items == np.repeat(data.targets.values, N)).astype(np.float32)
    features = {"user_id": users, "item_id": items}
    return tf.data.Dataset.from_tensor_slices((features, labels)).batch(60)


def _fit(batches, callbacks, epochs):
    keras.utils.set_random_seed(1)
    model = Factors()
    model.compile(keras.optimizers.Adam(0.05), "mse")
    history = model.fit(batches, epochs=epochs, callbacks=callbacks, verbose=0).history
    return model, history


class Watch(keras.callbacks.Callback):
    """A later callback that writes down the logs it is shown."""

    def __init__(self):
        super().__init__()
        self.shown = []

    def on_epoch_end(self, epoch, logs=None):
        self.shown.append(dict(logs))


def test_metrics_are_in_the_logs_for_everyone(data, batches):
    watch = Watch()
    validation = Validation(data, ks=(3, 10))
    model, history = _fit(batches, [validation, watch], epochs=8)
    names = ["val_HR@3", "val_NDCG@3", "val_HR@10", "val_NDCG@10"]
    assert set(history) == {"loss", *names}
    assert [set(logs) for logs in watch.shown] == [{"loss", *names}] * 8
    assert history["val_NDCG@3"][-1] > history["val_NDCG@3"][0]
    final = Evaluator(data, ks=(3, 10)).metrics(model)
    assert {"val_" + name: value for name, value in final.items()} == pytest.approx(
        {name: history[name][-1] for name in names}
    )


def test_epochs_between_repeat_the_latest_value(data, batches, monkeypatch):
    ran = []
    metrics = Evaluator.metrics
    monkeypatch.setattr(Evaluator, "metrics", lambda self, *a: ran.append(0) or metrics(self, *a))
    validation = Validation(data, every=3, prefix="corpus_", metrics=("MRR",))
    _, history = _fit(batches, [validation], epochs=8)
    values = history["corpus_MRR@10"]
    assert len(ran) == 4  # Epochs 1, 3, 6 and the last one, 8.
    assert values[0] == values[1]
    assert values[2] == values[3] == values[4]
    assert values[5] == values[6]
    assert len(set(values)) == 4


def test_early_stopping_and_best_weights_on_ndcg(data, batches):
    validation = Validation(data)
    stopping = keras.callbacks.EarlyStopping(
        "val_NDCG@10", mode="max", patience=2, restore_best_weights=True
    )

    class Spoil(keras.callbacks.Callback):
        """From the fourth epoch on the model is broken before it is validated."""

        def on_epoch_end(self, epoch, logs=None):
            if epoch >= 3:
                vectors = self.model.vectors.embeddings
                vectors.assign(-vectors)

    model, history = _fit(batches, [Spoil(), validation, stopping], epochs=30)
    values = history["val_NDCG@10"]
    assert len(values) < 30
    best = Evaluator(data).metrics(model)["NDCG@10"]
    assert best == pytest.approx(max(values))


@pytest.mark.slow
def test_a_second_training_starts_anew(data, batches):
    validation = Validation(data, every=5)
    _fit(batches, [validation], epochs=3)
    _, history = _fit(batches, [validation], epochs=4)
    _, alone = _fit(batches, [Validation(data, every=5)], epochs=4)
    assert history["val_HR@10"] == alone["val_HR@10"]
    assert history["val_NDCG@10"] == pytest.approx(alone["val_NDCG@10"])


@pytest.mark.slow
def test_fit_under_a_strategy(data, batches):
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        model = Factors()
        model.compile(keras.optimizers.Adam(0.05), "mse")
    history = model.fit(batches, epochs=2, callbacks=[Validation(data)], verbose=0).history
    assert history["val_HR@10"][-1] == Evaluator(data).metrics(model, ("HR",))["HR@10"]


def test_wrong_arguments_are_refused(data):
    with pytest.raises(ValueError, match="every must be at least 1, not 0"):
        Validation(data, every=0)
    with pytest.raises(ValueError, match="'AUC' is no ranking metric; there are HR, NDCG"):
        Validation(data, metrics=("AUC",))
