"""Runs that are stopped, damaged or changed, and the same call again."""

import hashlib
import json
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from tests.training.resume_checks import MODEL, history, signal_at, variables
from tfrecs.optimizers import SGD
from tfrecs.training import CheckpointError, Interrupted, Run, RunError

EVERY_BATCH = 1e-9


@pytest.fixture
def aloud():
    return Console(soft_wrap=True, highlight=False)


@pytest.mark.slow
@pytest.mark.usefixtures("as_in_a_terminal")
def test_ctrl_c_saves_and_the_same_call_ends_as_if_nothing_had_happened(
    train, whole, aloud, tmp_path, monkeypatch, capsys
):
    with monkeypatch.context() as patch:
        signal_at(patch, 3, 2, signal.SIGINT)
        with pytest.raises(Interrupted) as stop:
            train(tmp_path / "run")
    run = Run(tmp_path / "run")
    assert str(stop.value) == (
        "Stopped in epoch 3 of 4, after batch 2 of 3. Go on with it by the same command, or by: "
        f"tfrecs train --resume {run.folder}"
    )
    assert stop.value.exit_code == 130
    assert (run.metrics["epochs"], run.metrics["finished"], run.metrics["test"]) == (2, False, {})
    assert run.metrics["validation"]["NDCG@10"] > 0
    assert len(history(run)) == 2
    assert (run.folder / "training.png").exists()
    run.load_model()
    seconds = run.metrics["train_seconds"]

    train(run.folder, console=aloud)
    said = capsys.readouterr().out
    assert f"resuming {run.folder} in epoch 3 of 4, after batch 2 of 3\n" in said
    assert variables(run, 4) == variables(whole, 4)
    for now, then in zip(
        run.load_model().get_weights(), whole.load_model().get_weights(), strict=True
    ):
        np.testing.assert_array_equal(now, then)
    for name in ("test", "validation", "baselines", "best_epoch", "epochs", "finished"):
        assert run.metrics[name] == whole.metrics[name]
    assert history(run) == history(whole)
    assert run.metrics["train_seconds"] > seconds


@pytest.mark.slow
@pytest.mark.usefixtures("as_in_a_terminal")
def test_a_second_ctrl_c_stops_at_once(train, whole, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        signal_at(patch, 2, 2, signal.SIGINT, signal.SIGINT)
        with pytest.raises(Interrupted, match=r"^Stopped at once, kept as it was after epoch 1 of"):
            train(tmp_path / "run", checkpoint_minutes=None)
    run = Run(tmp_path / "run")
    assert run.checkpoints(None).positions() == [(0, 0), (1, 0)]
    train(run.folder)
    assert variables(run, 4) == variables(whole, 4)


@pytest.mark.slow
def test_sigterm_saves_and_a_damaged_newest_checkpoint_is_passed_over_loudly(
    train, whole, aloud, tmp_path, monkeypatch, capsys
):
    with monkeypatch.context() as patch:
        signal_at(patch, 4, 2, signal.SIGTERM)
        with pytest.raises(Interrupted, match="in epoch 4 of 4, after batch 2") as stop:
            train(tmp_path / "run", checkpoint_minutes=EVERY_BATCH)
    assert stop.value.exit_code == 143
    run = Run(tmp_path / "run")
    best = run.checkpoints(None).state(3, 2)["best"]["best_epoch"]
    assert run.checkpoints(None).positions() == [(best, 0), (3, 1), (3, 2)]
    damaged = run.checkpoints(None).path(3, 2) / "weights.data-00000-of-00001"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    # How often is saved makes no difference to what comes out, and may be changed.
    train(run.folder, console=aloud, checkpoint_minutes=None)
    said = capsys.readouterr().out
    assert "WARNING: passing over a checkpoint that cannot be used" in said
    assert "epoch-0003-batch-000002" in said
    assert "resuming" in said
    assert "in epoch 4 of 4, after batch 1 of 3" in said
    assert variables(run, 4) == variables(whole, 4)
    assert history(run) == history(whole)
    assert run.metrics["test"] == whole.metrics["test"]


@pytest.mark.slow
def test_a_signal_at_the_end_of_an_epoch_stops_after_it(train, whole, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        signal_at(patch, 1, 3, signal.SIGTERM)
        with pytest.raises(Interrupted, match=r"^Stopped after epoch 1 of 4\. "):
            train(tmp_path / "run")
    with monkeypatch.context() as patch:
        signal_at(patch, 4, 3, signal.SIGTERM)
        with pytest.raises(Interrupted, match=r"^Stopped after epoch 4 of 4\. "):
            train(tmp_path / "run")
    run = Run(tmp_path / "run")
    assert not run.finished
    assert len(list((run.folder / "tensorboard" / "train").glob("events.*"))) == 2
    train(run.folder)
    assert run.finished
    assert history(run) == history(whole)
    assert run.metrics["test"] == whole.metrics["test"]


@pytest.mark.slow
def test_several_steps_an_execution_give_the_same_run(train, whole, tmp_path, monkeypatch):
    """An epoch has 3 batches: two executions, of 2 steps and of 1."""
    with monkeypatch.context() as patch:
        signal_at(patch, 2, 2, signal.SIGTERM)
        with pytest.raises(Interrupted, match="in epoch 2 of 4, after batch 2"):
            train(tmp_path / "run", steps_per_execution=2)
    run = train(tmp_path / "run", steps_per_execution=5)
    assert variables(run, 4) == variables(whole, 4)
    assert history(run) == history(whole)
    assert run.metrics["test"] == whole.metrics["test"]


@pytest.mark.slow
@pytest.mark.parametrize("how", ["jit", "precision", "strategy"])
def test_it_goes_on_the_same_however_it_is_computed(how, train, tmp_path, monkeypatch, request):
    values = {"jit": True, "precision": "mixed_float16"}
    value = values[how] if how in values else request.getfixturevalue("two_devices")
    whole = train(tmp_path / "whole", **{how: value})
    with monkeypatch.context() as patch:
        signal_at(patch, 2, 2, signal.SIGTERM)
        with pytest.raises(Interrupted, match="in epoch 2 of 4, after batch 2"):
            train(tmp_path / "run", **{how: value})
    run = train(tmp_path / "run", **{how: value})
    assert variables(run, 4) == variables(whole, 4)
    assert run.metrics["test"] == whole.metrics["test"]


def test_variables_cover_the_optimizer_and_the_random_state(whole):
    names = " ".join(variables(whole, 4))
    for part in ("optimizer/_iterations", "optimizer/_variables", "counter/step"):
        assert part in names
    # A comparison that cannot fail would prove nothing.
    before = whole.checkpoints(None).epochs()[-2]
    assert variables(whole, before) != variables(whole, 4)


def copied(whole, folder):
    return Run(shutil.copytree(whole.folder, folder))


def with_state(run, epoch, **changes):
    """Writes another state into a checkpoint, undamaged."""
    path = run.checkpoints(None).path(epoch) / "state.json"
    content = json.loads(path.read_text())
    content["state"] |= changes
    about = {name: content[name] for name in ("position", "run", "state")}
    text = json.dumps(about, sort_keys=True)
    content["sha256"]["state"] = hashlib.sha256(text.encode()).hexdigest()
    path.write_text(json.dumps(content))


@pytest.mark.slow
def test_a_damaged_best_checkpoint_is_said_and_the_training_goes_on(
    train, whole, aloud, tmp_path, capsys
):
    run = copied(whole, tmp_path / "run")
    checkpoints = run.checkpoints(None)
    # As if epoch 1 had been the best one, whose checkpoint is gone.
    shutil.rmtree(checkpoints.path(1), ignore_errors=True)
    best = {"best": 0.99, "best_epoch": 1, "wait": 3}
    with_state(run, 4, best=best)
    train(run.folder, console=aloud)
    said = capsys.readouterr().out
    assert "WARNING: the checkpoint of the best epoch cannot be used" in said
    assert "The best epoch is now epoch 4" in said
    assert variables(run, 4) == variables(whole, 4)


@pytest.mark.slow
def test_within_an_epoch_the_best_one_may_be_lost_too(train, aloud, tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        signal_at(patch, 2, 1, signal.SIGTERM)
        with pytest.raises(Interrupted):
            train(tmp_path / "run", epochs=2)
    run = Run(tmp_path / "run")
    shutil.rmtree(run.checkpoints(None).path(1))
    train(run.folder, epochs=2, console=aloud)
    said = capsys.readouterr().out
    assert said.count("WARNING: the checkpoint of the best epoch cannot be used") == 2
    assert "The best epoch is now epoch 2" in said
    assert run.metrics["best_epoch"] == 2


@pytest.mark.slow
def test_a_finished_run_is_only_tested_again(train, whole, aloud, capsys):
    before = variables(whole, 4), (whole.folder / "metrics.json").read_bytes()
    for resume in (False, True):
        train(whole.folder, console=aloud, resume=resume)
        said = capsys.readouterr().out
        assert f"{whole.folder} is finished: it is only tested again. To train again, " in said
        assert "resuming" not in said
        assert "SASRec" in said
    assert (variables(whole, 4), (whole.folder / "metrics.json").read_bytes()) == before


@pytest.mark.slow
def test_no_usable_checkpoint_is_an_error(train, whole, tmp_path):
    run = copied(whole, tmp_path / "run")
    for state in run.checkpoints(None).folder.glob("*/state.json"):
        state.write_text("")
    with pytest.raises(CheckpointError, match=r"No usable checkpoint .*epoch-0004.*epoch-000"):
        train(run.folder)
    with pytest.raises(CheckpointError, match=r"epoch-0004.*`tfrecs train --resume .*` goes on"):
        run.load_model()
    shutil.rmtree(run.checkpoints(None).folder)
    # What else is there shows that there were some.
    for name in (None, "history.csv", "metrics.json"):
        if name:
            (run.folder / name).rename(run.folder / f"no-{name}")
        if (run.folder / "metrics.json").exists():
            with pytest.raises(CheckpointError, match="There is no checkpoint left in .*checkpoi"):
                run.load_model()
            with pytest.raises(CheckpointError, match="No usable checkpoint"):
                train(run.folder)


@pytest.mark.slow
def test_a_damaged_metrics_json_is_written_anew(train, whole, tmp_path):
    run = copied(whole, tmp_path / "run")
    path = run.folder / "metrics.json"
    path.write_text(path.read_text()[:50])
    with pytest.raises(RunError, match=r"metrics.json cannot be read: .*Remove it: `tfrecs train "):
        train(run.folder)
    path.unlink()
    train(run.folder)
    assert run.metrics["test"] == whole.metrics["test"]


def test_other_settings_are_refused_by_name(train, whole, tmp_path):
    with pytest.raises(RunError, match=r"started with learning_rate 0\.02, not 0\.5\. It is fin"):
        train(whole.folder, learning_rate=0.5)
    run = copied(whole, tmp_path / "run")
    run.write_metrics(run.metrics | {"finished": False})
    with pytest.raises(RunError, match=r"with model\.dim 8, not 16\. Go on with it by `tfrecs tra"):
        train(run.folder, model_args={**MODEL, "dim": 16})
    with pytest.raises(RunError, match=r"with optimizer\.class_path .*Adam, not .*SGD"):
        train(run.folder, optimizer=SGD)


def test_changed_data_are_refused(train, whole, log_file, tmp_path):
    run = copied(whole, tmp_path / "run")
    text = log_file.read_text()
    lines = text.splitlines()
    # The same users and items; the first user's first two items change places.
    first, second = (line.split(",") for line in lines[1:3])
    first[1], second[1] = second[1], first[1]
    try:
        log_file.write_text("\n".join([lines[0], ",".join(first), ",".join(second), *lines[3:]]))
        with pytest.raises(RunError, match="does not hold what .* was trained on: the data"):
            train(run.folder)
        log_file.write_text(text + "1,999,77\n")
        with pytest.raises(RunError, match=r"The items of .* the data have changed"):
            train(run.folder)
        with pytest.raises(RunError, match="the data have changed"):
            run.load_split()
    finally:
        log_file.write_text(text)


def test_a_folder_that_is_something_else_is_refused(train, tmp_path):
    (tmp_path / "file").write_text("")
    for output in (tmp_path, tmp_path / "file"):
        with pytest.raises(RunError, match="name another output folder"):
            train(output)
    (tmp_path / "empty").mkdir()
    for output in (tmp_path / "nothing", tmp_path / "empty"):
        with pytest.raises(RunError, match="There is no run to resume"):
            train(output, resume=True)


def test_what_a_process_that_was_killed_at_once_leaves_is_no_hindrance(tmp_path):
    run = Run(tmp_path / "run")
    assert run.is_free
    run.folder.mkdir()
    for name in ("model.json", ".config.yaml-tmp"):
        (run.folder / name).write_text("{")
    assert run.is_free
    (run.folder / "notes.txt").write_text("")
    assert not run.is_free
    assert not Run(Path(__file__)).is_free


def test_two_processes_do_not_train_in_one_folder(train, whole):
    with whole.locked(), pytest.raises(RunError, match="Another process is training in"):
        train(whole.folder)
    with whole.locked():
        pass
