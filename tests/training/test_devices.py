"""What a training asks of its devices where the user leaves it open."""

import signal

import pytest
import yaml

from tests.training.resume_checks import signal_at
from tfrecs._keras import tf
from tfrecs.training import Interrupted, Recorder, Run, Wish, devices, job


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.setattr(devices, "has_gpu", lambda: True)


def test_a_cpu_compiles_only_what_it_is_told_to(tmp_path):
    run = Run(tmp_path)
    assert not devices.chosen_jit("auto", run, num_batches=10**6, epochs=100)
    assert devices.chosen_jit(True, run, num_batches=1, epochs=1)
    assert devices.chosen_steps(None) == 1
    assert devices.chosen_steps(50) == 50


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize(
    ("num_batches", "epochs", "compiles"),
    [(149, 100, False), (150, 100, True), (150, 19, False), (600, 5, True), (600, 4, False)],
)
def test_a_gpu_compiles_long_trainings(num_batches, epochs, compiles, tmp_path):
    assert devices.chosen_jit("auto", Run(tmp_path), num_batches, epochs) is compiles
    assert not devices.chosen_jit(False, Run(tmp_path), num_batches, epochs)
    assert devices.chosen_steps(None) == 20


@pytest.mark.parametrize("chosen", [True, False])
def test_a_run_keeps_what_was_chosen_at_its_start(chosen, tmp_path, monkeypatch):
    monkeypatch.setattr(devices, "has_gpu", lambda: not chosen)
    config = {"data": "ml-100k", "model": {}, "jit": chosen}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    assert devices.chosen_jit("auto", Run(tmp_path), num_batches=1_000, epochs=100) is chosen


@pytest.mark.slow
def test_a_run_that_began_on_a_gpu_goes_on_on_a_cpu(train, tmp_path, monkeypatch):
    monkeypatch.setattr(devices, "_STEPS_THAT_PAY", 1)
    with monkeypatch.context() as patch:
        patch.setattr(devices, "has_gpu", lambda: True)
        signal_at(patch, 2, 3, signal.SIGTERM)  # The end of an execution of all three steps.
        with pytest.raises(Interrupted):
            train(tmp_path / "run")
    run = train(tmp_path / "run")
    assert run.finished
    assert run.config["jit"] is True
    assert train(tmp_path / "other").config["jit"] is False


@pytest.mark.parametrize("jit", ["on", None, 1])
def test_other_values_of_jit_are_refused(jit, tmp_path):
    with pytest.raises(ValueError, match='jit must be "auto", True or False, not'):
        devices.chosen_jit(jit, Run(tmp_path), 1, 1)


@pytest.mark.parametrize("tf32", [True, False])
def test_tf32_is_on_or_off_while_a_model_trains(tf32, train, tmp_path, monkeypatch):
    enabled = tf.config.experimental.tensor_float_32_execution_enabled
    before, seen = enabled(), []
    monkeypatch.setattr(job, "fit", lambda *args, **settings: seen.append(enabled()))
    monkeypatch.setattr(job, "_test", lambda *args: seen.append(enabled()))
    run = train(tmp_path / "run", tf32=tf32)
    assert seen == [tf32, tf32]
    assert enabled() is before
    assert run.config["tf32"] is tf32


def test_workers_agree_at_the_first_execution_that_ends_late_enough(tmp_path):
    asked = []
    recorder = Recorder(
        Run(tmp_path),
        None,
        None,
        {},
        agree=lambda wish: asked.append(done) or Wish.GO_ON,
        agree_every=10,
    )
    recorder.steps, recorder.batch, recorder._saved_at = 40, 2, float("inf")
    recorder.on_epoch_begin(0)
    for done in range(6, 41, 4):  # A resumed epoch, four steps an execution.
        recorder.on_train_batch_end(done - 1)
    assert asked == [14, 26, 38]
