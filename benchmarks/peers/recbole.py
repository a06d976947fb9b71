"""RecBole 1.2.1: SASRec for `benchmarks.sequential`, DCN-V2 for `benchmarks.ranking`."""

import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.data.interaction import Interaction
from recbole.utils import get_model, get_trainer, init_seed

from benchmarks import protocol, ranking, sequence_models, sequential
from benchmarks.peers.torch_common import encode_in_batches
from benchmarks.ranking import CATEGORY_NAMES, NUMBER_NAMES
from benchmarks.worker import MeteredBatches, Worker

NAME = "log"
# Which rows an evaluation has: here none is asked for.
FULL, LABELED = {"group_by": "user", "mode": "full"}, {"group_by": None, "mode": "labeled"}


def num_targets(batch: Interaction) -> int:
    """Returns what the loss of a batch is the mean of: its samples, or their masked items."""
    masked = [batch[name] for name in batch.columns if name.startswith("Pos_")]
    return int((masked[0] > 0).sum()) if masked else len(batch)


def train(
    model: str,
    settings: Any,
    worker: Worker,
    log: Iterable[str],
    config: dict[str, Any],
    change: Callable[[Any], None] = lambda dataset: None,
) -> tuple[Any, Any, Callable[..., None]]:
    """Prepares RecBole's loop over a log, whose lines become RecBole's own file.

    Returns:
        The data set, which `change` may change first, the model, and what trains.
    """
    common = {
        "train_neg_sample_args": None,
        "learning_rate": settings.learning_rate,
        "train_batch_size": settings.batch_size,
        "epochs": 10**6,
        "seed": settings.seed,
        "use_gpu": False,
        "show_progress": False,
    }
    torch.set_num_threads(settings.threads)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # RecBole writes a log into the working directory.
        os.mkdir(NAME)
        Path(NAME, f"{NAME}.inter").write_text("\n".join(log) + "\n", encoding="utf-8")
        folders = {"data_path": folder, "checkpoint_dir": f"{folder}/saved"}
        given = Config(model=model, dataset=NAME, config_dict={**common, **folders, **config})
        init_seed(settings.seed, reproducibility=True)
        dataset = create_dataset(given)
        change(dataset)
        batches, _, _ = data_preparation(given, dataset)
        network = get_model(model)(given, batches.dataset)
        trainer = get_trainer(given["MODEL_TYPE"], model)(given, network)

    def fit(targets: int = batches.sample_size, **details: Any) -> None:
        worker.ready(["recbole", "torch"], targets, **details)
        metered = MeteredBatches(batches, worker, num_targets)
        worker.run(lambda: trainer.fit(metered, saved=False, verbose=False))

    return dataset, network, fit


def sequences(
    settings: Any, split: protocol.Split, config: dict[str, Any]
) -> tuple[list[str], dict[str, Any]]:
    """Returns the lines of the whole log, and the config of a sequence model over it."""
    # Times are a user's ordinals: RecBole reads them as float32, where seconds since 1970 would
    # lose their order.
    log = ["user_id:token\titem_id:token\ttimestamp:float"]
    for user, (row, last) in enumerate(zip(split.test_histories(), split.test, strict=True)):
        log += [f"{user}\t{item}\t{time}" for time, item in enumerate([*row, last])]
    common = {
        "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
        "MAX_ITEM_LIST_LENGTH": settings.max_length,
        "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", **FULL},
        "loss_type": "CE",
    }
    return log, common | config


def train_sequence_model(settings: sequence_models.Settings, worker: Worker) -> None:
    """Trains GRU4Rec, BERT4Rec or Caser, to measure its speed."""
    split = protocol.read(settings.data)
    configs = {
        "GRU4Rec": {
            "embedding_size": settings.dim,
            "hidden_size": settings.hidden_dim,
            "dropout_prob": settings.dropout,
        },
        "Caser": {"embedding_size": settings.dim, "dropout_prob": settings.dropout, "nh": 8},
        "BERT4Rec": {
            "hidden_size": settings.dim,
            "inner_size": settings.hidden_dim,
            "n_layers": settings.num_blocks,
            "n_heads": settings.num_heads,
            "hidden_dropout_prob": settings.dropout,
            "attn_dropout_prob": settings.dropout,
            "mask_ratio": settings.mask_probability,
            "ft_ratio": settings.prefixes,
        },
    }
    given = sequences(settings, split, configs[settings.model])
    *_, fit = train(settings.model, settings, worker, *given)
    fit()


def train_sasrec(settings: sequential.Settings, worker: Worker) -> None:
    """Trains SASRec on the whole log, which RecBole splits itself."""
    if settings.loss != "full":
        raise ValueError("RecBole's SASRec has no sampled softmax: ask for loss 'full'")
    split = protocol.read(settings.data)
    config = {
        "hidden_size": settings.dim,
        "inner_size": settings.dim,
        "n_layers": settings.num_blocks,
        "n_heads": settings.num_heads,
        "hidden_act": "relu",
        "hidden_dropout_prob": settings.dropout,
        "attn_dropout_prob": settings.dropout,
    }
    dataset, model, fit = train("SASRec", settings, worker, *sequences(settings, split, config))
    tokens = [str(item) for item in range(1, split.num_items + 1)]
    numbers = np.concatenate([[0], dataset.token2id("item_id", tokens)])

    def states(rows: protocol.Histories) -> torch.Tensor:
        # RecBole pads on the right.
        table = np.zeros((len(rows), settings.max_length), np.int64)
        lengths = [min(len(row), settings.max_length) for row in rows]
        for line, row, length in zip(table, rows, lengths, strict=True):
            line[:length] = numbers[row[-length:]]
        return model(torch.from_numpy(table), torch.tensor(lengths))

    def vectors() -> np.ndarray:
        return model.item_embedding.weight.detach().numpy()[numbers[1:]]

    worker.set_model(split, encode_in_batches(model, states), vectors, settings.evaluate)
    fit()


def interaction(columns: dict[str, np.ndarray]) -> Interaction:
    """Returns all rows as RecBole has them: a number beside the place of its column's embedding."""
    tensors = {}
    for name, values in columns.items():
        if name in CATEGORY_NAMES:
            values = values.astype(np.int64)
        elif name != "label":
            values = np.stack([values, np.ones_like(values)], axis=-1)
        tensors[name] = torch.from_numpy(values)
    return Interaction(tensors)


def train_dcn(settings: ranking.Settings, worker: Worker) -> None:
    numbers, table = NUMBER_NAMES[: settings.numbers], settings.table()
    columns = {name: table[name] for name in (*CATEGORY_NAMES, *numbers, "label")}
    # RecBole learns the columns from the file's first rows, and gets all rows from memory.
    kinds = {name: "token" if name in CATEGORY_NAMES else "float" for name in columns}
    log = ["\t".join(f"{name}:{kind}" for name, kind in kinds.items())]
    log += ["\t".join(str(columns[name][row]) for name in kinds) for row in range(1000)]

    def fill(dataset: Any) -> None:
        # Whole vocabularies: its own would hold the values that occur alone. It counts its padding
        # as one of them.
        sizes = ranking.vocabulary_sizes(settings.ids).tolist()
        for name, size in zip(CATEGORY_NAMES, sizes, strict=True):
            dataset.field2id_token[name] = np.arange(size + 1)
        everything = interaction(columns)
        dataset._dataframe_to_interaction = lambda frame: everything

    config = {
        # RecBole wants users and items to be named.
        "USER_ID_FIELD": CATEGORY_NAMES[0],
        "ITEM_ID_FIELD": CATEGORY_NAMES[1],
        "LABEL_FIELD": "label",
        "load_col": {"inter": [*CATEGORY_NAMES, *numbers, "label"]},
        "numerical_features": list(numbers),
        "normalize_all": False,  # Numbers are standardised already.
        "eval_args": {"split": {"RS": [1.0, 0.0, 0.0]}, "order": "RO", **LABELED},
        "metrics": ["AUC", "LogLoss"],
        "valid_metric": "AUC",
        "mixed": False,
        "structure": "parallel",
        "cross_layer_num": settings.cross_layers,
        "embedding_size": settings.dim,
        "mlp_hidden_size": list(settings.deep_units),
        "reg_weight": 0,
        "dropout_prob": 0.0,
    }
    _, model, fit = train("DCNV2", settings, worker, log, config, fill)
    fit(settings.rows, width=model.in_feature_num)
