"""Where a job runs: strategies, precision, XLA."""

import contextlib
import json
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import tfrecs
from tests.distribution.public_models import EXAMPLES, frame
from tfrecs._keras import keras, tf
from tfrecs.cli import main
from tfrecs.training import Run, RunError, make_strategy
from tfrecs.training.strategies import own_record, placed

COMMANDS = {name: example.flags for name, example in EXAMPLES.items() if example.flags}
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")


@pytest.fixture(scope="module")
def rated(tmp_path_factory):
    """The log of all models as a file."""
    path = tmp_path_factory.mktemp("data") / "rated.csv"
    frame().to_csv(path, index=False)
    return path


def train(rated, folder, name, *flags, batch_size=16):
    argv = [*COMMANDS[name].split(), "--data", str(rated), "--output", str(folder)]
    return main(["train", *argv, "--epochs", "1", "--batch_size", str(batch_size), *flags])


@pytest.mark.parametrize(
    "name",
    # One of histories and one of rows: the others take seconds each.
    [
        name if name in ("SASRec", "DeepCross") else pytest.param(name, marks=pytest.mark.slow)
        for name in COMMANDS
    ],
)
def test_the_command_line_trains_every_model(name, rated, tmp_path):
    assert train(rated, tmp_path / "run", name) == 0
    run = Run(tmp_path / "run")
    assert run.metrics["model"] == EXAMPLES[name].model.__name__
    assert run.metrics["finished"]
    settings = {key: run.config[key] for key in ("strategy", "precision", "jit")}
    assert settings == {"strategy": "none", "precision": "float32", "jit": False}


@pytest.mark.slow
def test_deterministic_operations(rated, tmp_path):
    """Each run is a process, where they stay on; two runs of models that draw something."""
    for name in ("SASRec", "TwoTower"):
        weights = []
        for number in range(2):
            run = Run(tmp_path / f"{name}-{number}")
            command = [*COMMANDS[name].split(), "--data", str(rated), "--output", str(run.folder)]
            program = f"""
                from tfrecs.cli import main
                from tensorflow.python.framework import config
                from tfrecs._keras import tf
                assert main({["train", *command, "--epochs", "1", "--deterministic"]!r}) == 0
                assert config.is_op_determinism_enabled()
            """
            subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True)
            assert run.config["deterministic"] is True
            weights.append(run.load_model().get_weights())
        for first, second in zip(*weights, strict=True):
            np.testing.assert_array_equal(first, second)


def test_deterministic_is_a_setting(rated, tmp_path, monkeypatch, capsys):
    calls = []
    monkeypatch.setattr(
        tf.config.experimental, "enable_op_determinism", lambda: calls.append("called")
    )
    assert train(rated, tmp_path / "run", "MatrixFactorization", "--deterministic") == 0
    assert calls == ["called"]
    assert train(rated, tmp_path / "run", "MatrixFactorization") == 2
    assert "was started with deterministic True, not False" in capsys.readouterr().err


def test_runs_of_older_versions_do_not_say_how_the_device_computes(rated, tmp_path, monkeypatch):
    assert train(rated, tmp_path / "run", "MatrixFactorization") == 0
    run = Run(tmp_path / "run")
    config, identity = dict(run.config), run._identity()
    del config["deterministic"], config["tf32"], config["steps_per_execution"]
    monkeypatch.setattr(Run, "config", config)
    # The checkpoints of an older run have the hash of that config.
    monkeypatch.setattr(Run, "_identity", lambda _: identity)
    assert train(rated, tmp_path / "run", "MatrixFactorization") == 0


@pytest.mark.slow
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", COMMANDS)
def test_every_model_trains_by_xla_in_every_precision(name, precision, rated, tmp_path):
    flags = ["--jit", "--precision", precision]
    assert train(rated, tmp_path / "run", name, *flags) == 0
    assert keras.mixed_precision.global_policy().name == "float32"
    run = Run(tmp_path / "run")
    assert (run.config["jit"], run.config["precision"]) == (True, precision)
    assert run.config["optimizer"]["class_path"] == "tfrecs.optimizers.Adam"
    losses = (run.folder / "history.csv").read_text().splitlines()[1].split(",")
    assert np.isfinite(float(losses[1]))
    # Weights are float32, and an export or another evaluation computes in float32.
    assert all(w.dtype != np.float16 for w in run.load_model().get_weights())
    # A run goes on as it began.
    assert main(["train", "--resume", str(run.folder)]) == 0


@pytest.mark.slow
def test_a_run_with_half_precision_goes_on(log_file, tmp_path, quiet):
    model = {"dim": 8, "num_blocks": 1, "max_length": 6}
    job = {"data": log_file, "model_args": model, "batch_size": 8, "console": quiet}
    run = tfrecs.train(tmp_path / "run", epochs=1, precision="mixed_float16", **job)
    assert run.config["precision"] == "mixed_float16"
    assert run.config["optimizer"]["class_path"] == "tfrecs.optimizers.Adam"
    with pytest.raises(RunError, match="precision mixed_float16, not float32"):
        tfrecs.train(run.folder, epochs=1, resume=True, **job)
    tfrecs.train(run.folder, epochs=1, resume=True, precision="mixed_float16", **job)


def test_the_policy_is_as_before_also_after_an_error():
    before = keras.mixed_precision.global_policy().name
    with contextlib.suppress(KeyError), placed(make_strategy("none"), "mixed_bfloat16"):
        assert keras.mixed_precision.global_policy().name == "mixed_bfloat16"
        raise KeyError
    assert keras.mixed_precision.global_policy().name == before
    with (
        pytest.raises(RunError, match="mixed_float16, not 'half'"),
        placed(make_strategy("none"), "half"),
    ):
        pass


@pytest.mark.slow
def test_a_mirrored_job_is_that_of_one_device(log_file, tmp_path, quiet, two_devices):
    model = {"dim": 8, "num_blocks": 1, "max_length": 6, "dropout": 0.0}
    job = {"data": log_file, "model_args": model, "epochs": 3, "batch_size": 8, "console": quiet}
    one = tfrecs.train(tmp_path / "one", **job)
    two = tfrecs.train(tmp_path / "two", strategy=two_devices, **job)
    assert two.config["strategy"] == "mirrored"
    assert two.metrics["test"] == pytest.approx(one.metrics["test"], abs=1e-6)
    assert two.metrics["best_epoch"] == one.metrics["best_epoch"]
    for ours, theirs in zip(
        two.load_model().get_weights(), one.load_model().get_weights(), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)
    # A finished run is tested again, from its checkpoint.
    tfrecs.train(two.folder, strategy=two_devices, resume=True, **job)


@pytest.mark.slow
def test_a_mirrored_job_of_rows(rated, tmp_path, quiet, two_devices):
    arguments = {"dim": 4, "cross_layers": 1, "deep_units": [8], "dropout": 0.0}
    job = {"model_args": arguments, "epochs": 2, "batch_size": 16, "console": quiet}
    one, two = (
        tfrecs.train(tmp_path / name, rated, tfrecs.models.DeepCross, strategy=strategy, **job)
        for name, strategy in (("one", "none"), ("two", two_devices))
    )
    assert two.metrics["test"] == pytest.approx(one.metrics["test"], abs=1e-5)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("", "multi-worker needs the environment variable TF_CONFIG"),
        ("{}", "TF_CONFIG names no cluster"),
        ("nonsense", "TF_CONFIG names no cluster"),
        ('{"cluster": {"ps": ["a:1"]}, "task": {"type": "ps", "index": 0}}', "must be a chief"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}', "must be"),
    ],
)
def test_a_cluster_is_checked(config, message, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(RunError, match=message):
        make_strategy("multi-worker")


def test_wrong_names():
    with pytest.raises(
        RunError, match="strategy must be none, mirrored or multi-worker, not 'tpu'"
    ):
        make_strategy("tpu")


def test_a_multi_worker_strategy_comes_first(monkeypatch):
    tf.zeros(())
    cluster = {"worker": ["127.0.0.1:1", "127.0.0.1:2"]}
    task = {"type": "worker", "index": 0}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": task}))
    with pytest.raises(RunError, match="must be made before anything else"):
        make_strategy("multi-worker")


def test_the_chief_writes_the_run_itself(tmp_path):
    run = Run(tmp_path)
    assert own_record(run, make_strategy("none"), True) is run
