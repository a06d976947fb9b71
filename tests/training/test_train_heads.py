"""A run of a model with several heads, from the command line to its evaluation."""

import json

import numpy as np
import pytest
import yaml

import tfrecs
from tfrecs.cli import main
from tfrecs.data import Label, Schema
from tfrecs.tasks import MultiTask, Ranking
from tfrecs.training import Run

CONTEXT = {"columns": {"seconds": {"kind": "Label", "optional": True}}}
TASK = {
    "class_path": "tfrecs.tasks.MultiTask",
    "init_args": {
        "heads": {
            "clicked": {
                "class_path": "tfrecs.tasks.Ranking",
                "init_args": {
                    "loss": {
                        "class_path": "tensorflow.keras.losses.BinaryCrossentropy",
                        "init_args": {"from_logits": True},
                    }
                },
            },
            "seconds": {
                "class_path": "tfrecs.tasks.Ranking",
                "init_args": {
                    "loss": {"class_path": "tensorflow.keras.losses.MeanSquaredError"},
                },
            },
        },
        "weights": "uncertainty",
    },
}


@pytest.fixture(scope="module")
def log_file(tmp_path_factory):
    """Users click items of their own parity; only what is clicked is watched, for a while."""
    rng = np.random.default_rng(0)
    lines = ["user_id,item_id,timestamp,clicked,seconds"]
    for time in range(1500):
        user, item = rng.integers(1, 21), rng.integers(1, 13)
        clicked = int(user % 2 == item % 2)
        lines.append(f"{user},{item},{time},{clicked},{100 + 5 * item if clicked else ''}")
    path = tmp_path_factory.mktemp("data") / "clicks.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def run(log_file, tmp_path_factory):
    """`tfrecs train --config ..` of two heads."""
    folder = tmp_path_factory.mktemp("runs")
    arguments = {"dim": 8, "cross_layers": 1, "deep_units": [16], "task": TASK, "task_experts": 2}
    settings = {
        "data": str(log_file),
        "split_args": {
            "label": "clicked",
            "positive_from": 1.0,
            "negative_to": None,
            "context": CONTEXT,
        },
        "model": {"class_path": "tfrecs.models.DeepCross", "init_args": arguments},
        "batch_size": 32,
        "epochs": 12,
        "learning_rate": 0.03,
    }
    (folder / "settings.yaml").write_text(yaml.safe_dump(settings))
    argv = ["--config", str(folder / "settings.yaml"), "--output", str(folder / "first")]
    assert main(["train", *argv]) == 0
    return Run(folder / "first")


def test_metrics_by_head(run):
    metrics = run.metrics
    names = ["clicked/AUC", "clicked/LogLoss", "seconds/RMSE", "seconds/MAE"]
    assert list(metrics["test"]) == names
    assert metrics["test"]["clicked/AUC"] > 0.9
    means = metrics["baselines"]["mean"]
    assert metrics["test"]["seconds/RMSE"] < 0.7 * means["seconds/RMSE"]
    best = metrics["best_epoch"]
    line = (run.folder / "history.csv").read_text().splitlines()
    header, values = line[0].split(","), line[best].split(",")
    reached = float(values[header.index("val_clicked/AUC")])
    assert reached == pytest.approx(metrics["validation"]["clicked/AUC"], rel=1e-4)


@pytest.mark.slow
def test_the_run_can_be_loaded_and_repeated(run, tmp_path, quiet):
    model, split = run.load_model(), run.load_split()
    report = tfrecs.evaluation.evaluate_rows(model, split.test)
    assert report.metrics == pytest.approx(run.metrics["test"], rel=1e-4)
    # What config.yaml says is what the command line takes.
    task = run.config["model"]["init_args"]["task"]["init_args"]
    assert task["heads"]["clicked"]["class_path"] == "tfrecs.tasks.Ranking"
    argv = ["--config", str(run.folder / "config.yaml"), "--output", str(tmp_path / "again")]
    assert main(["train", *argv, "--epochs", "1"]) == 0
    again = Run(tmp_path / "again")
    assert again.config["model"] == run.config["model"]
    assert again.config["split_args"] == run.config["split_args"]
    losses = [
        (r.folder / "history.csv").read_text().splitlines()[1].split(",")[1] for r in (run, again)
    ]
    assert losses[0] == losses[1]
    json.dumps(again.metrics)


@pytest.mark.slow
def test_the_best_epoch_of_a_number_is_that_of_its_least_error(log_file, tmp_path, quiet):
    run = tfrecs.train(
        tmp_path / "run",
        log_file,
        tfrecs.models.DeepCross,
        model_args={
            "dim": 4,
            "deep_units": [8],
            "task": MultiTask({"seconds": Ranking(tfrecs._keras.keras.losses.MeanSquaredError())}),
        },
        split_args={
            "label": "clicked",
            "positive_from": 1.0,
            "negative_to": None,
            "context": Schema({"seconds": Label(optional=True)}),
        },
        batch_size=64,
        epochs=4,
        learning_rate=0.05,
        console=quiet,
    )
    lines = [line.split(",") for line in (run.folder / "history.csv").read_text().splitlines()]
    errors = [float(line[lines[0].index("val_seconds/RMSE")]) for line in lines[1:]]
    assert run.metrics["best_epoch"] == 1 + int(np.argmin(errors))
    assert run.config["split_args"]["context"]["columns"]["seconds"]["optional"] is True
