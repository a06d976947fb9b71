"""Runs that are killed without notice, or told to stop, in processes of their own."""

import hashlib
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.training.resume_checks import history, variables
from tfrecs.training import Run

pytestmark = pytest.mark.slow

# A signal comes at a given moment, so that it hits the same one on any machine: after a batch, or
# in a save before a file is flushed, put into its place or removed. The clock that tells when to
# save counts batches.
SCRIPT = """
import os, pathlib, shutil, signal, sys, time, types
# As under a terminal: what runs in the background of a script inherits that Ctrl-C is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
from tfrecs.cli import main
from tfrecs.training import EpochProgress, checkpoints, recorder

number, at, *argv = sys.argv[1:]
moments = batches = 0

def moment(function):
    def counted(*args, **kwargs):
        global moments, batches
        moments += 1
        batches += function is batch_end
        if moments == int(at):
            os.kill(os.getpid(), int(number))
        return function(*args, **kwargs)
    return counted

batch_end = EpochProgress.on_train_batch_end
EpochProgress.on_train_batch_end = moment(batch_end)
checkpoints._flush = moment(checkpoints._flush)
checkpoints.shutil = types.SimpleNamespace(rmtree=moment(shutil.rmtree))
pathlib.Path.rename = moment(pathlib.Path.rename)
recorder.time = types.SimpleNamespace(perf_counter=time.perf_counter, monotonic=lambda: batches)
sys.exit(main(argv))
"""

ROOT = Path(__file__).resolve().parents[2]
EPOCHS = 9


def tfrecs(*argv, number=0, at=0):
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, str(int(number)), str(at), *map(str, argv)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def command(log_file, output):
    model = "--model sasrec --model.dim 8 --model.max_length 6 --model.dropout 0.3"
    loss = "--model.loss sampled_softmax --model.loss.num_negatives 4"
    job = f"--epochs {EPOCHS} --batch_size 4 --learning_rate 0.02 --schedule linear --seed 1"
    often = "--checkpoint_minutes 0.03"  # Every second batch, of about 6 an epoch.
    settings = f"{model} {loss} {job} {often}".split()
    return ["train", "--data", log_file, "--output", output, *settings]


def sha256(folder):
    """Of the last weights and all that trains them, and of the best weights."""
    run = Run(folder)
    digest = hashlib.sha256(repr(variables(run, EPOCHS)).encode())
    for weights in run.load_model().get_weights():
        digest.update(weights.tobytes())
    return digest.hexdigest()


@pytest.fixture(scope="module")
def whole(log_file, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    done = tfrecs(*command(log_file, folder))
    assert done.returncode == 0, done.stderr
    return folder


def test_ten_kills_and_the_same_weights(whole, log_file, tmp_path):
    rng, folder = random.Random(5), tmp_path / "run"
    where, while_saving = [], 0
    for _ in range(10):
        at = rng.randint(1, 32)
        killed = tfrecs(*command(log_file, folder), number=signal.SIGKILL, at=at)
        assert killed.returncode == -signal.SIGKILL, killed.stdout + killed.stderr
        where.append(Run(folder).checkpoints(None).positions()[-1:])
        while_saving += bool(list(folder.glob("checkpoints/.*-tmp")))
    print("newest checkpoints after each kill:", where, "killed while saving:", while_saving)
    # The kills were spread over the training, and some hit a save.
    assert len({tuple(p) for p in where}) > 5
    assert where[-1][0].epoch < EPOCHS
    assert while_saving > 2
    done = tfrecs(*command(log_file, folder))
    assert done.returncode == 0, done.stderr
    assert f"resuming {folder}" in done.stdout
    assert sha256(folder) == sha256(whole)
    assert history(Run(folder)) == history(Run(whole))
    assert not list(folder.glob("checkpoints/.*"))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_told_to_stop_and_the_same_command_again(whole, log_file, tmp_path, number, code):
    folder = tmp_path / "run"
    stopped = tfrecs(*command(log_file, folder), number=number, at=40)
    assert stopped.returncode == code
    assert "Traceback" not in stopped.stderr
    # TensorFlow may log there too, as this script imports it aloud.
    notice, last = (x for x in stopped.stderr.splitlines() if x.startswith("tfrecs: "))
    assert notice.startswith("tfrecs: stopping once this step is saved")
    assert last.startswith("tfrecs: Stopped in epoch 2 of 9, after batch ")
    assert last.endswith(
        f"Go on with it by the same command, or by: tfrecs train --resume {folder}"
    )
    argv = command(log_file, folder) if number == signal.SIGINT else ["train", "--resume", folder]
    resumed = tfrecs(*argv)
    assert resumed.returncode == 0, resumed.stderr
    assert sha256(folder) == sha256(whole)
