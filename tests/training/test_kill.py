"""A process that is killed without notice, in a process of its own."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tfrecs._keras import tf

pytestmark = pytest.mark.slow

# The signal comes at a given call of a function, so that it hits the same moment on any machine.
SCRIPT = """
import os, signal, sys
# As under a terminal: what runs in the background of a script inherits that Ctrl-C is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
import tfrecs.training.checkpoints as checkpoints
from tfrecs.cli import main
from tfrecs.training import EpochProgress

kind, number, at, *argv = sys.argv[1:]
calls = 0

def counting(function):
    def counted(*args, **kwargs):
        global calls
        calls += 1
        if calls == int(at):
            os.kill(os.getpid(), int(number))
        return function(*args, **kwargs)
    return counted

if kind == "batch":
    EpochProgress.on_train_batch_end = counting(EpochProgress.on_train_batch_end)
elif kind == "flush":
    checkpoints._flush = counting(checkpoints._flush)
sys.exit(main(argv))
"""

ROOT = Path(__file__).resolve().parents[2]


def tfrecs(*argv, kind="none", number=0, at=0):
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, kind, str(int(number)), str(at), *map(str, argv)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def command(log_file, output):
    model = "--model sasrec --model.dim 8 --model.max_length 6 --model.dropout 0.3"
    loss = "--model.loss sampled_softmax --model.loss.num_negatives 4"
    job = "--epochs 4 --batch_size 8 --learning_rate 0.02 --schedule linear --seed 1"
    return ["train", "--data", log_file, "--output", output, *f"{model} {loss} {job}".split()]


def variables(folder):
    reader = tf.train.load_checkpoint(str(folder / "checkpoints" / "epoch-0004" / "weights"))
    names = [n for n in reader.get_variable_to_shape_map() if "OBJECT_GRAPH" not in n]
    return {name: np.asarray(reader.get_tensor(name)).tobytes() for name in names}


@pytest.fixture(scope="module")
def whole(log_file, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    done = tfrecs(*command(log_file, folder))
    assert done.returncode == 0, done.stderr
    return folder


# 3 batches an epoch; a save flushes 4 files of an epoch and the folder.
@pytest.mark.parametrize(("kind", "at"), [("batch", 2), ("batch", 8), ("flush", 13)])
def test_killed_and_resumed_ends_with_the_same_weights(whole, log_file, tmp_path, kind, at):
    killed = tfrecs(*command(log_file, tmp_path / "run"), kind=kind, number=signal.SIGKILL, at=at)
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "run" / "checkpoints" / "epoch-0004").exists()
    resumed = tfrecs("train", "--resume", tmp_path / "run")
    assert resumed.returncode == 0, resumed.stderr
    assert variables(tmp_path / "run") == variables(whole)


def test_ctrl_c_then_the_same_command_with_resume(whole, log_file, tmp_path):
    stopped = tfrecs(*command(log_file, tmp_path / "run"), kind="batch", number=signal.SIGINT, at=8)
    assert stopped.returncode == 130
    assert "Traceback" not in stopped.stderr
    assert stopped.stderr.splitlines()[-1] == (
        "tfrecs: Stopped in epoch 3 of 4, 2 epochs kept. "
        f"Resume with: tfrecs train --resume {tmp_path / 'run'}"
    )
    resumed = tfrecs(*command(log_file, tmp_path / "run"), "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert variables(tmp_path / "run") == variables(whole)
