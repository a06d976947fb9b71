import csv
import functools
import hashlib
import json
import shutil
import signal

import numpy as np
import pytest
import yaml
from rich.console import Console

import tfrecs
from tfrecs._keras import tf
from tfrecs.training import CheckpointError, EpochProgress, Interrupted, Run, RunError

# Dropout and sampled negatives: all that is random in a training.
MODEL = {
    "dim": 8,
    "num_blocks": 1,
    "max_length": 6,
    "dropout": 0.3,
    "loss": tfrecs.losses.SampledSoftmax(4),
}


@pytest.fixture(scope="module")
def train(log_file, quiet):
    return functools.partial(
        tfrecs.train,
        data=log_file,
        model_args=MODEL,
        epochs=4,
        batch_size=8,
        learning_rate=0.02,
        schedule="linear",
        patience=None,
        seed=1,
        console=quiet,
    )


@pytest.fixture(scope="module")
def whole(train, tmp_path_factory):
    """A run that nothing interrupts."""
    return train(tmp_path_factory.mktemp("runs") / "whole")


def variables(run, epoch):
    """Every variable of a checkpoint as TensorFlow itself reads it, optimizer and counters too."""
    reader = tf.train.load_checkpoint(str(run.checkpoints(None).path(epoch) / "weights"))
    names = [n for n in reader.get_variable_to_shape_map() if "OBJECT_GRAPH" not in n]
    return {name: np.asarray(reader.get_tensor(name)).tobytes() for name in sorted(names)}


def interrupt_in(monkeypatch, epoch, batch, stop):
    """Calls `stop` in the middle of an epoch (from 1), as Ctrl-C or a crash would come."""
    began = EpochProgress.on_epoch_begin
    ended = EpochProgress.on_train_batch_end

    def on_epoch_begin(self, number, logs=None):
        self.now = number + 1
        began(self, number, logs)

    def on_train_batch_end(self, number, logs=None):
        ended(self, number, logs)
        if (self.now, number) == (epoch, batch):
            stop()

    monkeypatch.setattr(EpochProgress, "on_epoch_begin", on_epoch_begin)
    monkeypatch.setattr(EpochProgress, "on_train_batch_end", on_train_batch_end)


def ctrl_c():
    """The signal, handled as under a terminal however the tests were started."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


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
    assert set(metrics["baselines"]) == {"popularity", "random"}

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


def test_ctrl_c_leaves_what_is_done_and_resuming_ends_as_if_nothing_had_happened(
    train, whole, tmp_path, monkeypatch
):
    with monkeypatch.context() as patch:
        # The signal itself, between two batches of the third epoch.
        interrupt_in(patch, 3, 1, ctrl_c)
        with pytest.raises(Interrupted) as stop:
            train(tmp_path / "run")
    run = Run(tmp_path / "run")
    assert str(stop.value) == (
        f"Stopped in epoch 3 of 4, 2 epochs kept. Resume with: tfrecs train --resume {run.folder}"
    )
    assert (run.metrics["epochs"], run.metrics["finished"], run.metrics["test"]) == (2, False, {})
    assert run.metrics["validation"]["NDCG@10"] > 0
    assert len((run.folder / "history.csv").read_text().splitlines()) == 3
    assert (run.folder / "training.png").exists()
    run.load_model()

    train(run.folder, resume=True)
    assert variables(run, 4) == variables(whole, 4)
    for now, then in zip(
        run.load_model().get_weights(), whole.load_model().get_weights(), strict=True
    ):
        np.testing.assert_array_equal(now, then)
    for name in ("test", "validation", "baselines", "best_epoch", "epochs", "finished"):
        assert run.metrics[name] == whole.metrics[name]
    keep = ["epoch", "loss", "val_HR@10", "val_NDCG@10", "learning_rate"]
    now, then = ([{k: row[k] for k in keep} for row in rows(r)] for r in (run, whole))
    assert now == then


def rows(run):
    with (run.folder / "history.csv").open() as file:
        return list(csv.DictReader(file))


def test_variables_cover_the_optimizer_and_the_random_state(whole):
    names = " ".join(variables(whole, 4))
    for part in ("optimizer/_iterations", "optimizer/_variables", "counter/step"):
        assert part in names
    # A comparison that cannot fail would prove nothing.
    assert variables(whole, 3) != variables(whole, 4)


def test_a_damaged_newest_checkpoint_is_passed_over_loudly(train, whole, tmp_path, capsys):
    run = Run(shutil.copytree(whole.folder, tmp_path / "run"))
    damaged = run.checkpoints(None).path(4) / "weights.data-00000-of-00001"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    train(run.folder, resume=True, console=Console(soft_wrap=True))
    said = capsys.readouterr().out
    assert "WARNING" in said
    assert "epoch-0004" in said
    assert "after epoch 3" in said
    # The fourth epoch is trained again, and the same.
    assert variables(run, 4) == variables(whole, 4)
    assert run.metrics["test"] == whole.metrics["test"]


def test_a_damaged_best_checkpoint_is_said_and_the_training_goes_on(train, whole, tmp_path, capsys):
    run = Run(shutil.copytree(whole.folder, tmp_path / "run"))
    checkpoints = run.checkpoints(None)
    # As if epoch 1 had been the best one, whose checkpoint is gone.
    shutil.rmtree(checkpoints.path(1), ignore_errors=True)
    content = json.loads((checkpoints.path(4) / "state.json").read_text())
    content["state"]["best"] |= {"best": 0.99, "best_epoch": 1, "wait": 3}
    text = json.dumps(content["state"], sort_keys=True)
    content["sha256"]["state"] = hashlib.sha256(text.encode()).hexdigest()
    (checkpoints.path(4) / "state.json").write_text(json.dumps(content))
    train(run.folder, resume=True, console=Console(soft_wrap=True))
    said = capsys.readouterr().out
    assert "WARNING: the checkpoint of the best epoch cannot be used" in said
    assert "The best epoch is now epoch 4" in said
    assert run.metrics["best_epoch"] == 4
    assert run.metrics["finished"] is True


def test_a_finished_run_is_only_tested_again(train, whole):
    before = variables(whole, 4)
    train(whole.folder, resume=True)
    assert variables(whole, 4) == before
    assert whole.metrics["epochs"] == 4


def test_no_usable_checkpoint_is_an_error(train, whole, tmp_path):
    shutil.copytree(whole.folder, tmp_path / "run")
    for state in (tmp_path / "run" / "checkpoints").glob("*/state.json"):
        state.write_text("")
    with pytest.raises(CheckpointError, match="No usable checkpoint"):
        train(tmp_path / "run", resume=True)


def test_resuming_with_other_settings_is_refused(train, whole):
    with pytest.raises(RunError, match=r"was started with learning_rate 0\.02, not 0\.5"):
        train(whole.folder, resume=True, learning_rate=0.5)
    with pytest.raises(RunError, match=r"was started with model\.dim 8, not 16"):
        train(whole.folder, resume=True, model_args={**MODEL, "dim": 16})


def test_resuming_on_changed_data_is_refused(train, whole, tmp_path):
    shutil.copytree(whole.folder, tmp_path / "run")
    path = tmp_path / "run" / "model.json"
    content = json.loads(path.read_text())
    content["config"]["items"]["ids"].append(999)
    path.write_text(json.dumps(content))
    with pytest.raises(RunError, match="the data have changed"):
        train(tmp_path / "run", resume=True)
    with pytest.raises(RunError, match="the data have changed"):
        Run(tmp_path / "run").load_split()


def test_output_must_be_empty_and_a_run_to_resume_must_be_there(train, whole, tmp_path):
    with pytest.raises(RunError, match="is not empty: go on with it by --resume"):
        train(whole.folder)
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="is not empty: name another"):
        train(tmp_path)
    with pytest.raises(RunError, match="is not empty"):
        train(tmp_path / "file")
    with pytest.raises(RunError, match="no run to resume"):
        train(tmp_path / "nothing", resume=True)


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"learning_rate": 0.0}, {"patience": 0}])
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
    from tfrecs.training.job import _portable

    monkeypatch.chdir(tmp_path)
    (tmp_path / "clicks.csv").write_text("")
    (tmp_path / "ml-100k").mkdir()
    assert _portable("clicks.csv") == str(tmp_path / "clicks.csv")
    # The name of a data set is one also beside a folder of that name; so does `load` see it.
    assert _portable("ml-100k") == "ml-100k"
    assert _portable("./ml-100k") == str(tmp_path / "ml-100k")
    # A file within TFRECS_DATA is named as it was: recipes move with their data.
    assert _portable("elsewhere.txt.gz") == "elsewhere.txt.gz"
