"""SASRec and BERT4Rec of RecTools 0.19, for `benchmarks.sequential` and `.sequence_models`."""

import numpy as np
import pandas as pd
import pytorch_lightning
import torch
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import BERT4RecModel, SASRecModel

from benchmarks import protocol, sequence_models
from benchmarks.peers.torch_common import BARE, LightningTurns, encode_in_batches
from benchmarks.sequential import Settings
from benchmarks.worker import Worker


class Turns(LightningTurns, pytorch_lightning.Callback):
    """Tells the worker about Lightning's loop."""


def training_log(split: protocol.Split) -> Dataset:
    """Returns the training rows as RecTools's data set; a row's order becomes its times."""
    lengths = [len(row) for row in split.train]
    times = pd.to_datetime(np.concatenate([np.arange(n) for n in lengths]), unit="s")
    users, items = np.repeat(np.arange(len(lengths)), lengths), np.concatenate(split.train)
    names = (Columns.User, Columns.Item, Columns.Weight, Columns.Datetime)
    frame = pd.DataFrame(dict(zip(names, (users, items, 1.0, times), strict=True)))
    return Dataset.construct(frame)


def build(settings: Settings, turns: Turns) -> SASRecModel:
    """Returns the model, which makes its network when it is fitted."""
    return SASRecModel(
        n_blocks=settings.num_blocks,
        n_heads=settings.num_heads,
        n_factors=settings.dim,
        dropout_rate=settings.dropout,
        session_max_len=settings.max_length,
        loss={"full": "softmax", "sampled": "sampled_softmax"}[settings.loss],
        n_negatives=settings.num_negatives,
        lr=settings.learning_rate,
        batch_size=settings.batch_size,
        get_trainer_func=lambda: pytorch_lightning.Trainer(**BARE, callbacks=[turns]),
    )


class Scores:
    """Scores of RecTools's network, while it is fitted, in the split's item ids."""

    def __init__(self, model: SASRecModel, split: protocol.Split, max_length: int):
        self._model, self._split, self._max_length = model, split, max_length

    def _numbers(self) -> np.ndarray:
        """Returns RecTools's number of each item; 0 for one that no training row holds."""
        known = self._model.data_preparator.item_id_map.to_internal
        return known.reindex(np.arange(self._split.num_items + 1), fill_value=0).to_numpy()

    def encode(self, rows: protocol.Histories) -> np.ndarray:
        """Returns states; RecTools leaves unknown items out of a history."""
        numbers, network = self._numbers(), self._model.torch_model

        def states(part: protocol.Histories) -> torch.Tensor:
            known = [numbers[row] for row in part]
            table = protocol.padded([row[row > 0] for row in known], self._max_length)
            embeddings = network.item_model.get_all_embeddings()
            return network.encode_sessions({"x": torch.from_numpy(table)}, embeddings)[:, -1]

        return encode_in_batches(network, states)(rows)

    def vectors(self) -> np.ndarray:
        """Returns item vectors, NaN for items that RecTools does not know."""
        network, numbers = self._model.torch_model, self._numbers()[1:]
        network.eval()
        with torch.inference_mode():
            table = network.item_model.get_all_embeddings().numpy().copy()
        network.train()
        return np.where(numbers[:, None] > 0, table[numbers], np.nan)


def train(settings: Settings, worker: Worker) -> None:
    split = protocol.read(settings.data)
    torch.set_num_threads(settings.threads)
    pytorch_lightning.seed_everything(settings.seed)
    model = build(settings, Turns(worker, lambda batch: int((batch["y"] != 0).sum())))
    scores = Scores(model, split, settings.max_length)
    worker.set_model(split, scores.encode, scores.vectors, settings.evaluate)
    data = training_log(split)
    worker.ready(["rectools", "pytorch-lightning", "torch"], split.num_targets(settings.max_length))
    worker.run(lambda: model.fit(data))


def train_bert4rec(settings: sequence_models.Settings, worker: Worker) -> None:
    """Trains BERT4Rec, to measure its speed; the feed-forward layers are four times as wide."""
    split = protocol.read(settings.data)
    torch.set_num_threads(settings.threads)
    pytorch_lightning.seed_everything(settings.seed)
    turns = Turns(worker, lambda batch: int((batch["y"] != 0).sum()))
    model = BERT4RecModel(
        n_blocks=settings.num_blocks,
        n_heads=settings.num_heads,
        n_factors=settings.dim,
        dropout_rate=settings.dropout,
        session_max_len=settings.max_length,
        mask_prob=settings.mask_probability,
        loss="softmax",
        lr=settings.learning_rate,
        batch_size=settings.batch_size,
        get_trainer_func=lambda: pytorch_lightning.Trainer(**BARE, callbacks=[turns]),
    )
    data = training_log(split)
    targets = round(settings.mask_probability * sum(map(len, split.train)))
    worker.ready(["rectools", "pytorch-lightning", "torch"], targets)
    worker.run(lambda: model.fit(data))
