"""What the tests of stopped and resumed runs share."""

import csv
import signal

import numpy as np

import tfrecs
from tfrecs._keras import tf
from tfrecs.training import EpochProgress

# Dropout and sampled negatives: all that is random in a training.
MODEL = {
    "dim": 8,
    "num_blocks": 1,
    "max_length": 6,
    "dropout": 0.3,
    "loss": tfrecs.losses.SampledSoftmax(4),
}


def variables(run, epoch):
    """Every variable of a checkpoint as TensorFlow itself reads it, optimizer and counters too."""
    reader = tf.train.load_checkpoint(str(run.checkpoints(None).path(epoch) / "weights"))
    names = [n for n in reader.get_variable_to_shape_map() if "OBJECT_GRAPH" not in n]
    return {name: np.asarray(reader.get_tensor(name)).tobytes() for name in sorted(names)}


def history(run):
    """The rows of history.csv, without what depends on the clock."""
    with (run.folder / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [{k: v for k, v in r.items() if "second" not in k} for r in rows]


def signal_at(monkeypatch, epoch, batch, *numbers):
    """Sends this process signals in the middle of an epoch (both from 1)."""
    began, ended = EpochProgress.on_epoch_begin, EpochProgress.on_train_batch_end

    def on_epoch_begin(self, number, logs=None):
        self.now = number + 1
        began(self, number, logs)

    def on_train_batch_end(self, number, logs=None):
        ended(self, number, logs)
        if (self.now, number + 1) == (epoch, batch):
            for each in numbers:
                signal.raise_signal(each)

    monkeypatch.setattr(EpochProgress, "on_epoch_begin", on_epoch_begin)
    monkeypatch.setattr(EpochProgress, "on_train_batch_end", on_train_batch_end)
