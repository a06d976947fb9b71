import csv
import json

import numpy as np
import pytest
import yaml

import tfrecs
from tfrecs._keras import tf
from tfrecs.training import Run, RunError


def test_the_run_folder_holds_what_the_documentation_says(whole, log_file):
    assert sorted(path.name for path in whole.folder.iterdir()) == [
        "checkpoints",
        "config.yaml",
        "history.csv",
        "metrics.json",
        "model.json",
        "tensorboard",
        "training.png",
    ]
    metrics = json.loads((whole.folder / "metrics.json").read_text())
    assert list(metrics)[:9] == [
        "model",
        "data",
        "protocol",
        "validation",
        "test",
        "baselines",
        "train_seconds",
        "epochs",
        "best_epoch",
    ]
    assert metrics["model"] == "SASRec"
    assert metrics["data"] == log_file.name
    assert metrics["protocol"] == "leave-last-out"
    assert (metrics["num_users"], metrics["num_items"], metrics["epochs"]) == (24, 12, 4)
    assert metrics["finished"] is True
    assert metrics["versions"]["tensorflow"] == tf.__version__
    for part in (metrics["test"], metrics["validation"], *metrics["baselines"].values()):
        assert {"HR@10", "NDCG@10", "HR@20", "NDCG@20"} <= set(part)
    assert set(metrics["baselines"]) == {"popularity", "random", "popularity_7_days"}
    assert set(metrics["trained_on_future"]) == {"validation", "test"}

    with (whole.folder / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3, 4]
    ndcg = [float(row["val_NDCG@10"]) for row in rows]
    assert metrics["best_epoch"] == 1 + int(np.argmax(ndcg))
    assert metrics["validation"]["NDCG@10"] == pytest.approx(max(ndcg), abs=1e-6)
    # Linear decay from 0.02 over 4 epochs of 3 batches: the rate of each epoch's last batch.
    rates = [float(row["learning_rate"]) for row in rows]
    assert rates == pytest.approx([0.02 * (1 - step / 12) for step in (2, 5, 8, 11)], rel=1e-6)

    assert list((whole.folder / "tensorboard" / "train").glob("events.*"))
    assert (whole.folder / "training.png").read_bytes().startswith(b"\x89PNG")


def test_config_says_every_setting(whole, log_file):
    config = yaml.safe_load((whole.folder / "config.yaml").read_text())
    assert config["data"] == str(log_file.resolve())
    assert config["model"]["init_args"]["dim"] == 8
    assert config["model"]["init_args"]["loss"]["init_args"]["num_negatives"] == 4
    assert config["optimizer"]["class_path"] == "tfrecs.optimizers.Adam"
    names = ["epochs", "batch_size", "learning_rate", "schedule", "patience", "seed", "windows"]
    assert [config[name] for name in names] == [4, 8, 0.02, "linear", None, 1, "all"]


def test_the_best_model_comes_back(whole):
    split = whole.load_split()
    report = tfrecs.evaluate(whole.load_model(), split.test, baselines=False)
    assert report.metrics["NDCG@10"] == pytest.approx(whole.metrics["test"]["NDCG@10"])


@pytest.mark.parametrize(
    "wrong", [{"epochs": 0}, {"learning_rate": 0.0}, {"patience": 0}, {"checkpoint_minutes": 0}]
)
def test_settings_are_checked_before_anything_is_written(train, tmp_path, wrong):
    with pytest.raises(RunError, match=next(iter(wrong))):
        train(tmp_path / "run", **wrong)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("text", ["", "data: [", "epochs: 3\n"])
def test_a_config_that_is_none_is_named(tmp_path, text):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(RunError, match=r"config\.yaml"):
        _ = Run(tmp_path).config


def test_data_is_named_so_that_the_run_can_be_repeated_from_any_folder(tmp_path, monkeypatch):
    from tfrecs.training.checks import portable

    monkeypatch.chdir(tmp_path)
    (tmp_path / "clicks.csv").write_text("")
    (tmp_path / "ml-100k").mkdir()
    assert portable("clicks.csv") == str(tmp_path / "clicks.csv")
    # The name of a data set is one also beside a folder of that name; so does `load` see it.
    assert portable("ml-100k") == "ml-100k"
    assert portable("./ml-100k") == str(tmp_path / "ml-100k")
    # A file within TFRECS_DATA is named as it was: recipes move with their data.
    assert portable("elsewhere.txt.gz") == "elsewhere.txt.gz"
