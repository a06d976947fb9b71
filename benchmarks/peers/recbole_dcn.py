"""DCN-V2 of RecBole 1.2.1, as a worker of `benchmarks.ranking`."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
import torch
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.data.interaction import Interaction
from recbole.utils import get_model, get_trainer, init_seed

from benchmarks.ranking_data import CATEGORY_NAMES, NUMBER_NAMES, make_table, vocabulary_sizes
from benchmarks.ranking_plan import RankingSettings
from benchmarks.worker import MeteredBatches, Worker, parse_settings

NAME = "rows"
# RecBole wants users and items to be named.
USER, ITEM = CATEGORY_NAMES[:2]


def configure(settings: RankingSettings, numbers: tuple[str, ...], folder: Path) -> Config:
    """RecBole's configuration."""
    return Config(
        model="DCNV2",
        dataset=NAME,
        config_dict={
            "data_path": str(folder),
            "checkpoint_dir": str(folder / "saved"),
            "USER_ID_FIELD": USER,
            "ITEM_ID_FIELD": ITEM,
            "LABEL_FIELD": "label",
            "load_col": {"inter": [*CATEGORY_NAMES, *numbers, "label"]},
            "numerical_features": list(numbers),
            # Numbers are standardised already.
            "normalize_all": False,
            "eval_args": {
                "split": {"RS": [1.0, 0.0, 0.0]},
                "order": "RO",
                "group_by": None,
                "mode": "labeled",
            },
            "train_neg_sample_args": None,
            "metrics": ["AUC", "LogLoss"],
            "valid_metric": "AUC",
            "mixed": False,
            "structure": "parallel",
            "cross_layer_num": settings.cross_layers,
            "embedding_size": settings.dim,
            "mlp_hidden_size": list(settings.deep_units),
            "reg_weight": 0,
            "dropout_prob": 0.0,
            "learning_rate": settings.learning_rate,
            "train_batch_size": settings.batch_size,
            "epochs": 10**6,
            "seed": settings.seed,
            "use_gpu": False,
            "show_progress": False,
        },
    )


def write_log(path: Path, columns: dict[str, np.ndarray], rows: int) -> None:
    """Writes the first rows as RecBole's own file, for it to learn the columns from."""
    kinds = {
        name: "token" if name in CATEGORY_NAMES else "float" for name in columns if name != "label"
    }
    kinds["label"] = "float"
    lines = ["\t".join(f"{name}:{kind}" for name, kind in kinds.items())]
    lines += ["\t".join(str(columns[name][row]) for name in kinds) for row in range(rows)]
    path.parent.mkdir()
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def interaction(columns: dict[str, np.ndarray]) -> Interaction:
    """All rows in RecBole's form: a number is a value and the place of its column's embedding."""
    tensors = {}
    for name, values in columns.items():
        if name in CATEGORY_NAMES:
            values = values.astype(np.int64)
        elif name != "label":
            values = np.stack([values, np.ones_like(values)], axis=-1)
        tensors[name] = torch.from_numpy(values)
    return Interaction(tensors)


def main() -> None:
    """Trains until the parent says stop."""
    settings = parse_settings(RankingSettings)
    worker = Worker(None, evaluate=False)
    torch.set_num_threads(settings.threads)
    numbers = NUMBER_NAMES[: settings.numbers]
    table = make_table(settings.rows, settings.ids, settings.seed).columns()
    columns = {name: table[name] for name in (*CATEGORY_NAMES, *numbers, "label")}
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # RecBole writes a log into the working directory.
        write_log(Path(folder) / NAME / f"{NAME}.inter", columns, 1000)
        config = configure(settings, numbers, Path(folder))
        init_seed(settings.seed, reproducibility=True)
        dataset = create_dataset(config)
        # All rows and whole vocabularies: its own would hold the values that occur alone. It
        # counts its padding as one of them.
        sizes = vocabulary_sizes(settings.ids).tolist()
        for name, size in zip(CATEGORY_NAMES, sizes, strict=True):
            dataset.field2id_token[name] = np.arange(size + 1)
        everything = interaction(columns)
        dataset._dataframe_to_interaction = lambda frame: everything
        train, _, _ = data_preparation(config, dataset)
        model = get_model("DCNV2")(config, train.dataset)
        trainer = get_trainer(config["MODEL_TYPE"], "DCNV2")(config, model)
    batches = MeteredBatches(train, worker, len)
    worker.ready(["recbole", "torch"], settings.rows, width=model.in_feature_num)
    worker.run(lambda: trainer.fit(batches, saved=False, verbose=False))


if __name__ == "__main__":
    main()
