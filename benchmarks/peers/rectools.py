"""SASRec of RecTools 0.19, as a worker of `benchmarks.sequential`."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytorch_lightning
import torch
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import SASRecModel

from benchmarks import protocol
from benchmarks.peers.torch_common import LightningTurns, encode_in_batches
from benchmarks.worker import Settings, Worker, parse_settings


class Turns(LightningTurns, pytorch_lightning.Callback):
    """Tells the worker about Lightning's loop."""


def training_log(split: protocol.Split) -> Dataset:
    """The training rows as RecTools's data set; a row's order becomes its times."""
    lengths = [len(row) for row in split.train]
    frame = pd.DataFrame(
        {
            Columns.User: np.repeat(np.arange(len(lengths)), lengths),
            Columns.Item: np.concatenate(split.train),
            Columns.Weight: 1.0,
            Columns.Datetime: pd.to_datetime(
                np.concatenate([np.arange(n) for n in lengths]), unit="s"
            ),
        }
    )
    return Dataset.construct(frame)


def build(settings: Settings, turns: Turns) -> SASRecModel:
    """The model, which makes its network when it is fitted."""
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
        get_trainer_func=lambda: pytorch_lightning.Trainer(
            max_epochs=-1,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[turns],
        ),
    )


class Scores:
    """Scores with RecTools's network, in the split's item ids.

    Args:
        model: The model, fitting.
        split: The split.
        max_length: Items of a history that the model reads.
    """

    def __init__(self, model: SASRecModel, split: protocol.Split, max_length: int):
        self._model, self._split, self._max_length = model, split, max_length

    def _numbers(self) -> np.ndarray:
        """RecTools's number of each item of the split; 0 for one that no training row holds."""
        known = self._model.data_preparator.item_id_map.to_internal
        return known.reindex(np.arange(self._split.num_items + 1), fill_value=0).to_numpy()

    def encode(self, rows: protocol.Histories) -> np.ndarray:
        """States; items unknown to RecTools are left out of a history, as it does itself."""
        numbers, network = self._numbers(), self._model.torch_model

        def states(part: protocol.Histories) -> torch.Tensor:
            known = [numbers[row] for row in part]
            table = protocol.padded([row[row > 0] for row in known], self._max_length)
            embeddings = network.item_model.get_all_embeddings()
            return network.encode_sessions({"x": torch.from_numpy(table)}, embeddings)[:, -1]

        return encode_in_batches(network, states)(rows)

    def vectors(self) -> np.ndarray:
        """Item vectors; NaN for items that RecTools does not know."""
        network = self._model.torch_model
        network.eval()
        with torch.inference_mode():
            table = network.item_model.get_all_embeddings().numpy().copy()
        network.train()
        numbers = self._numbers()[1:]
        return np.where(numbers[:, None] > 0, table[numbers], np.nan)


def main() -> None:
    """Trains until the parent says stop."""
    settings = parse_settings()
    split = protocol.leave_last_out(protocol.read_rows(settings.data))
    worker = Worker(split, evaluate=settings.evaluate)
    torch.set_num_threads(settings.threads)
    pytorch_lightning.seed_everything(settings.seed)
    model = build(settings, Turns(worker, lambda batch: int((batch["y"] != 0).sum())))
    scores = Scores(model, split, settings.max_length)
    worker.set_model(scores.encode, scores.vectors)
    data = training_log(split)
    worker.ready(["rectools", "pytorch-lightning", "torch"], split.num_targets(settings.max_length))
    worker.run(lambda: model.fit(data))


if __name__ == "__main__":
    main()
