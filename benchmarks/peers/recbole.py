"""SASRec of RecBole 1.2.1, as a worker of `benchmarks.sequential`."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
import torch
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.utils import get_model, get_trainer, init_seed

from benchmarks import protocol
from benchmarks.peers.torch_common import encode_in_batches
from benchmarks.worker import MeteredBatches, Settings, Worker, parse_settings

NAME = "log"


def write_log(split: protocol.Split, folder: Path) -> None:
    """Writes the whole log, which RecBole splits itself.

    Times are a user's ordinals: RecBole reads them as float32, where seconds since 1970 would lose
    their order.
    """
    (folder / NAME).mkdir()
    with open(folder / NAME / f"{NAME}.inter", "w", encoding="utf-8") as lines:
        lines.write("user_id:token\titem_id:token\ttimestamp:float\n")
        for user, (row, last) in enumerate(zip(split.test_histories(), split.test, strict=True)):
            lines.writelines(f"{user}\t{item}\t{time}\n" for time, item in enumerate([*row, last]))


def configure(settings: Settings, folder: Path) -> Config:
    """RecBole's configuration."""
    return Config(
        model="SASRec",
        dataset=NAME,
        config_dict={
            "data_path": str(folder),
            "checkpoint_dir": str(folder / "saved"),
            "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
            "MAX_ITEM_LIST_LENGTH": settings.max_length,
            "eval_args": {
                "split": {"LS": "valid_and_test"},
                "order": "TO",
                "group_by": "user",
                "mode": "full",
            },
            "train_neg_sample_args": None,
            "loss_type": "CE",
            "hidden_size": settings.dim,
            "inner_size": settings.dim,
            "n_layers": settings.num_blocks,
            "n_heads": settings.num_heads,
            "hidden_act": "relu",
            "hidden_dropout_prob": settings.dropout,
            "attn_dropout_prob": settings.dropout,
            "learning_rate": settings.learning_rate,
            "train_batch_size": settings.batch_size,
            "epochs": 10**6,
            "seed": settings.seed,
            "use_gpu": False,
            "show_progress": False,
        },
    )


def main() -> None:
    """Trains until the parent says stop."""
    settings = parse_settings()
    if settings.loss != "full":
        raise ValueError("RecBole's SASRec has no sampled softmax: ask for loss 'full'")
    split = protocol.leave_last_out(protocol.read_rows(settings.data))
    worker = Worker(split, evaluate=settings.evaluate)
    torch.set_num_threads(settings.threads)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # RecBole writes a log into the working directory.
        write_log(split, Path(folder))
        config = configure(settings, Path(folder))
        init_seed(settings.seed, reproducibility=True)
        dataset = create_dataset(config)
        train, _, _ = data_preparation(config, dataset)
        model = get_model("SASRec")(config, train.dataset)
        trainer = get_trainer(config["MODEL_TYPE"], "SASRec")(config, model)
    tokens = [str(item) for item in range(1, split.num_items + 1)]
    numbers = np.concatenate([[0], dataset.token2id("item_id", tokens)])

    def states(rows: protocol.Histories) -> torch.Tensor:
        # RecBole pads on the right.
        table = np.zeros((len(rows), settings.max_length), np.int64)
        lengths = [min(len(row), settings.max_length) for row in rows]
        for line, row, length in zip(table, rows, lengths, strict=True):
            line[:length] = numbers[row[-length:]]
        return model(torch.from_numpy(table), torch.tensor(lengths))

    worker.set_model(
        encode_in_batches(model, states),
        lambda: model.item_embedding.weight.detach().numpy()[numbers[1:]],
    )
    batches = MeteredBatches(train, worker, len)
    worker.ready(["recbole", "torch"], train.sample_size)
    worker.run(lambda: trainer.fit(batches, saved=False, verbose=False))


if __name__ == "__main__":
    main()
