"""The launcher of worker processes, mostly with workers that only act as told."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tfrecs.cli import launch, main
from tfrecs.training import Run

ROOT = Path(__file__).resolve().parents[1]
# A worker that does what the arguments after `train` say: one for each worker.
WORKER = """
import json, os, signal, sys, time
task = json.loads(os.environ["TF_CONFIG"])
index = task["task"]["index"]
print(json.dumps([task, os.environ["TF_NUM_INTRAOP_THREADS"], sys.argv[1:]]))
print("to stderr", file=sys.stderr, flush=True)
act = sys.argv[2].split(",")[index]
if act == "sleep":
    time.sleep(60)
elif act == "save":
    def save(number, frame):
        print("saved", flush=True)
        sys.exit(7)
    signal.signal(signal.SIGTERM, save)
    signal.signal(signal.SIGINT, save)
    print("pid", os.getpid(), flush=True)
    time.sleep(60)
elif act == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(60)
elif act == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
else:
    sys.exit(int(act))
"""


@pytest.fixture
def workers(monkeypatch):
    monkeypatch.setattr(launch, "PROGRAM", [sys.executable, "-c", WORKER])


def said(capfd, index):
    out, err = capfd.readouterr()
    prefix = f"[worker {index}] "
    lines = [line.removeprefix(prefix) for line in out.splitlines() if line.startswith(prefix)]
    assert f"{prefix}to stderr" in err.splitlines()
    return lines


def test_workers_know_each_other_and_their_lines_are_passed_on(workers, capfd):
    assert main(["launch", "--workers", "2", "--threads", "3", "--", "train", "0,0"]) == 0
    config, threads, argv = json.loads(said(capfd, 1)[0])
    assert config["task"] == {"type": "worker", "index": 1}
    addresses = config["cluster"]["worker"]
    assert len(set(addresses)) == 2
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+", address) for address in addresses)
    assert threads == "3"
    assert argv == ["train", "0,0", "--strategy", "multi-worker"]


@pytest.mark.parametrize(
    ("acts", "code"),
    [("3,sleep", 3), ("sleep,4", 4), ("killed,sleep", 137), ("0,5", 5)],
)
def test_when_one_dies_all_end_with_its_code(workers, acts, code, capfd):
    started = time.monotonic()
    assert main(["launch", "--", "train", acts]) == code
    assert time.monotonic() - started < 10
    # Who is killed can say nothing itself.
    says = [x for x in capfd.readouterr().err.splitlines() if x.startswith("tfrecs: ")]
    killed = "tfrecs: worker 0 was killed (SIGKILL), so all are ended."
    assert says == ([killed] if "killed" in acts else [])


def test_who_does_not_end_is_killed(workers, monkeypatch):
    monkeypatch.setattr(launch, "_GRACE_DEAD", 0.5)
    assert main(["launch", "--", "train", "9,stubborn"]) == 9


def launched(acts):
    """The launcher in a process of its own, once its workers run; and their pids."""
    code = (
        "import sys\nfrom tfrecs.cli import launch, main\n"
        f"launch.PROGRAM = [sys.executable, '-c', {WORKER!r}]\n"
        f"sys.exit(main(['launch', '--', 'train', {acts!r}]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    pids, lines = [], []
    while len(pids) < 2:
        lines.append(process.stdout.readline())
        assert lines[-1], "the launcher ended"
        pids += [int(found[1]) for found in [re.search(r"\] pid (\d+)", lines[-1])] if found]
    return process, pids


def gone(pid):
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        # What has ended and nobody waits for, in a container without a proper first process.
        if Path(f"/proc/{pid}/stat").exists() and " Z " in Path(f"/proc/{pid}/stat").read_text():
            return True
        time.sleep(0.1)
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_reach_the_workers_once(number):
    process, pids = launched("save,save")
    process.send_signal(number)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 7
    assert sorted(line for line in out.splitlines() if line.endswith("saved")) == [
        "[worker 0] saved",
        "[worker 1] saved",
    ]
    assert all(map(gone, pids))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux has a signal for this")
def test_no_orphans_where_the_launcher_is_killed():
    process, pids = launched("save,save")
    process.kill()
    process.wait()
    assert all(map(gone, pids))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("launch", "launch needs a train command after --"),
        ("launch -- evaluate runs/first", "launch needs a train command"),
        ("launch --workers 0 -- train", "--workers must be at least 1, not 0"),
        ("launch --threads 0 -- train", "--threads must be at least 1, not 0"),
        ("launch --worker 2 -- train", "no option --worker: did you mean --workers?"),
        ("launch -- train --strategy mirrored", "not 'mirrored'"),
        ("launch -- train --strategy=none", "not 'none'"),
    ],
)
def test_mistakes_are_one_line(line, message, capsys):
    assert main(line.split()) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


MODEL = "--model.dim 8 --model.num_blocks 1 --model.max_length 6 --model.dropout 0 --seed 1"
JOB = "--epochs 3 --batch_size 8 --learning_rate 0.02"


def tfrecs(*argv):
    return subprocess.run(
        [sys.executable, "-m", "tfrecs", *map(str, argv)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.mark.slow
def test_two_workers_leave_the_run_of_one_process(log_file, tmp_path):
    """Its folder, its validation and its test; then the run goes on, and is evaluated."""
    command = ["train", "--data", log_file, *MODEL.split(), *JOB.split()]
    alone = tfrecs(*command, "--output", tmp_path / "one")
    assert alone.returncode == 0, alone.stderr
    both = tfrecs("launch", "--workers", 2, "--", *command, "--output", tmp_path / "two")
    assert both.returncode == 0, both.stderr
    # What the chief shows is what a single process shows; the other worker is silent.
    assert "[worker 1]" not in both.stdout
    assert [line.split()[0] for line in both.stdout.splitlines()][:1] == ["[worker"]
    runs = [json.loads((tmp_path / run / "metrics.json").read_text()) for run in ("one", "two")]
    for part in ("validation", "test"):
        assert runs[1][part] == pytest.approx(runs[0][part], abs=1e-6)
    assert runs[1]["best_epoch"] == runs[0]["best_epoch"]
    names = [sorted(path.name for path in (tmp_path / run).iterdir()) for run in ("one", "two")]
    assert names[0] == names[1]

    again = tfrecs("launch", "--", "train", "--resume", tmp_path / "two")
    assert again.returncode == 0, again.stderr
    evaluated = tfrecs("evaluate", tmp_path / "two", "--json", tmp_path / "report.json")
    assert evaluated.returncode == 0, evaluated.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["metrics"]["NDCG@10"] == pytest.approx(runs[1]["test"]["NDCG@10"])


@pytest.mark.slow
def test_told_to_stop_both_workers_save_and_the_same_command_goes_on(log_file, tmp_path):
    job = ["train", "--data", log_file, *MODEL.split(), *JOB.split(), "--batch_size", "1"]
    whole = tfrecs("launch", "--", *job, "--output", tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr

    command = ["launch", "--", *job, "--output", tmp_path / "run"]
    process = subprocess.Popen(
        [sys.executable, "-m", "tfrecs", *map(str, command)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stdout:
        if "epoch 1/" in line:
            break
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 143, errors
    # Whichever worker says it, it names the run and not the other's scratch folder.
    assert errors.count(f"tfrecs train --resume {tmp_path / 'run'}\n") == 2
    again = tfrecs(*command)
    assert again.returncode == 0, again.stderr
    assert "resuming" in again.stdout
    ends = [Run(tmp_path / name).load_model().get_weights() for name in ("whole", "run")]
    for one, other in zip(*ends, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_a_mistake_ends_both_workers(tmp_path):
    done = tfrecs("launch", "--", "train", "--data", "nowhere.csv", "--output", tmp_path / "run")
    assert done.returncode == 2
    assert "No file nowhere.csv" in done.stderr
    assert not (tmp_path / "run").exists()
