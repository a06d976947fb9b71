"""Run folders on bad days: odd names, two at once, edited and swapped files, killed workers."""

import os
import shutil
import subprocess
import sys
import tempfile

import pytest
import yaml

import tfrecs
from tests.training.resume_checks import history, variables
from tfrecs.training import CheckpointError, Run, RunError
from tfrecs.training import job as job_module
from tfrecs.training.strategies import _remove_leftovers


@pytest.fixture
def copy(whole, tmp_path):
    shutil.copytree(whole.folder, tmp_path / "copy")
    return Run(tmp_path / "copy")


@pytest.mark.parametrize(
    "name",
    [
        "run [1]",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("a*b?c", "back\\slash", "{x,y}", "[!a]")
        ),
    ],
)
def test_a_path_that_reads_as_a_pattern(name, train, whole, tmp_path):
    run = train(tmp_path / name / "run")
    model = run.load_model()
    report = tfrecs.evaluate(model, run.load_split().test, baselines=False)
    assert report.metrics["HR@10"] == pytest.approx(run.metrics["test"]["HR@10"])
    assert history(run) == history(whole)


@pytest.mark.slow
def test_a_run_in_such_a_folder_is_resumed(train, whole, tmp_path):
    folder = tmp_path / "[run]"
    shutil.copytree(whole.folder, folder)
    shutil.rmtree(Run(folder).checkpoints(None).path(4))
    (folder / "metrics.json").unlink()
    run = train(folder)
    # The checkpoint itself is read by a plain path, which the test's own reader needs too.
    shutil.copytree(folder, tmp_path / "plain")
    assert variables(Run(tmp_path / "plain"), 4) == variables(whole, 4)
    assert run.finished


@pytest.mark.slow
def test_of_two_that_start_at_once_one_is_refused(train, tmp_path, monkeypatch):
    """The second one begins while the first reads its data: before, it saw an empty folder."""
    folder, errors = tmp_path / "run", []
    load = job_module.load_source

    def slow(*args, **options):
        monkeypatch.setattr(job_module, "load_source", load)
        with pytest.raises(RunError) as caught:
            train(folder, seed=2)
        errors.append(str(caught.value))
        return load(*args, **options)

    monkeypatch.setattr(job_module, "load_source", slow)
    run = train(folder)
    assert errors == [f"Another process is training in {folder}."]
    assert run.config["seed"] == 1
    assert run.finished


def test_a_job_that_cannot_begin_leaves_no_folder(train, tmp_path):
    with pytest.raises(RunError):
        train(tmp_path / "new" / "run", epochs=0)
    assert not (tmp_path / "new").exists()
    (tmp_path / "old").mkdir()
    with pytest.raises(RunError):
        train(tmp_path / "old", epochs=0)
    assert (tmp_path / "old").exists()


def test_a_renamed_checkpoint_is_refused(copy):
    checkpoints = copy.checkpoints(None)
    last, before = checkpoints.positions()[-1], checkpoints.positions()[-2]
    shutil.rmtree(checkpoints.path(*last))
    checkpoints.path(*before).rename(checkpoints.path(*last))
    with pytest.raises(CheckpointError, match="holds epoch-0003: a folder was renamed or copied"):
        checkpoints.state(*last)


def test_swapped_checkpoints_are_refused(copy):
    checkpoints = copy.checkpoints(None)
    *_, first, second = (checkpoints.path(*p) for p in checkpoints.positions())
    first.rename(copy.folder / "aside")
    second.rename(first)
    (copy.folder / "aside").rename(second)
    with pytest.raises(CheckpointError, match="a folder was renamed or copied"):
        copy.load_model()


@pytest.mark.parametrize("setting", ["seed", "learning_rate", "recommend_known"])
def test_an_edited_config_is_refused(copy, setting):
    config = copy.config
    config[setting] = 7 if setting != "recommend_known" else True
    (copy.folder / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(CheckpointError, match="other settings or another model than config.yaml"):
        copy.load_model()


def test_an_edited_model_is_refused(copy):
    path = copy.folder / "model.json"
    path.write_text(path.read_text().replace('"dropout": 0.3', '"dropout": 0.4'))
    with pytest.raises(CheckpointError, match="other settings or another model than config.yaml"):
        copy.load_model()


@pytest.mark.slow
def test_the_checkpoint_of_another_run_is_refused(copy, train, tmp_path):
    other = train(tmp_path / "other", seed=3)
    shutil.rmtree(copy.folder / "checkpoints")
    shutil.copytree(other.folder / "checkpoints", copy.folder / "checkpoints")
    with pytest.raises(CheckpointError, match="or it is of another run"):
        copy.load_model()


def test_moved_data_and_other_pauses_are_no_edits(copy, log_file, tmp_path):
    moved = shutil.copy(log_file, tmp_path / "moved.csv")
    config = {**copy.config, "data": str(moved), "checkpoint_minutes": 3.0}
    (copy.folder / "config.yaml").write_text(yaml.safe_dump(config))
    assert copy.load_model().num_items == 12


def test_a_finished_run_on_a_disk_that_cannot_be_written(train, copy, monkeypatch):
    def refuse(*args, **options):
        raise OSError(30, "Read-only file system")

    for module in ("history", "runs", "recorder"):
        monkeypatch.setattr(f"tfrecs.training.{module}.write_atomically", refuse, raising=False)
    monkeypatch.setattr("tfrecs.training.fitting.plot_history", refuse)
    before = copy.metrics
    assert train(copy.folder).metrics == before


def test_copies_of_killed_workers_are_removed(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    names = {f"tfrecs-worker-{ended.pid}-a": False, f"tfrecs-worker-{os.getpid()}-b": True}
    names |= {"tfrecs-worker-x-c": True, "other": True}
    for name in names:
        (tmp_path / name / "checkpoints").mkdir(parents=True)
    _remove_leftovers()
    assert {name: (tmp_path / name).exists() for name in names} == names


def test_a_lock_is_of_the_folder_that_is_there(tmp_path):
    """The folder may be removed, by the process that made it, before another has its lock."""
    run = Run(tmp_path / "run")
    with run.locked():
        (run.folder / "file").touch()
        with pytest.raises(RunError, match="Another process is training in"), run.locked():
            pass
    assert (run.folder / "file").exists()
    with run.locked():
        pass
