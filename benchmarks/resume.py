"""Proof that a run which is killed ends as one that is not: SASRec on MovieLens-100K.

It trains twice: once undisturbed, and once by the same command again and again, killed at random
moments. It fails unless the sums of all last state and of the best weights are equal.
"""

import hashlib
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.harness import Command
from benchmarks.report import fill, publish, table
from tfrecs._keras import tf
from tfrecs.training import Run

JOB = "--model sasrec --data ml-100k --patience null"
# Often, so that most kills come within an epoch, and some within a save.
OFTEN = "--checkpoint_minutes 0.01"


def train(folder: Path, epochs: int, seconds: float | None = None) -> bool:
    """Runs `tfrecs train`, and returns whether it ended by itself.

    It is killed so many seconds after its first step; None lets it end.
    """
    settings = [*JOB.split(), *OFTEN.split(), "--epochs", str(epochs), "--output", str(folder)]
    command = [sys.executable, "-m", "tfrecs", "train", *settings]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        if seconds is not None:
            before = _places(folder)
            while process.poll() is None and _places(folder) == before:
                time.sleep(0.05)
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                return False
        if process.wait():
            raise SystemExit(f"tfrecs train failed in {folder}.")
    return True


def _places(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("checkpoints/*"))


def sha256(folder: Path, epochs: int) -> tuple[str, str]:
    """Returns the sums of all variables of the last checkpoint, and of the best weights."""
    last, best = hashlib.sha256(), hashlib.sha256()
    reader = tf.train.load_checkpoint(str(folder / "checkpoints" / f"epoch-{epochs:04d}/weights"))
    for name in sorted(reader.get_variable_to_shape_map()):
        if "OBJECT_GRAPH" not in name:
            last.update(name.encode() + reader.get_tensor(name).tobytes())
    for weights in Run(folder).load_model().get_weights():
        best.update(weights.tobytes())
    return last.hexdigest(), best.hexdigest()


def main() -> None:
    parser = Command("resume", __doc__, output=False)
    add = parser.add_argument
    add("--kills", type=int, default=10, help="(%(default)s)")
    add("--epochs", type=int, default=12, help="(%(default)s)")
    add("--seed", type=int, default=0, help="of the moments of the kills (%(default)s)")
    add("--output", type=Path, default=Path("runs/resume"), help="where runs are kept")
    options = parser.read(None, "kills", "epochs", "seed")
    whole, killed = options.output / "whole", options.output / "killed"
    for folder in (whole, killed):
        shutil.rmtree(folder, ignore_errors=True)
    train(whole, options.epochs)
    longest = 2 * Run(whole).metrics["train_seconds"] / options.kills
    rng, rows = random.Random(options.seed), []
    for number in range(1, options.kills + 1):
        if train(killed, options.epochs, rng.uniform(0, longest)):
            raise SystemExit(f"The run ended before kill {number}: ask for more --epochs.")
        saving = "yes" if any(name.startswith(".") for name in _places(killed)) else ""
        newest = Run(killed).checkpoints(None).positions()[-1:]
        where = f"{newest[0].epoch} epochs, {newest[0].batch} batches" if newest else "nothing"
        row = {"kill": number, "newest checkpoint then": where, "in the middle of a save": saving}
        rows.append(row)
        print(row, flush=True)
    train(killed, options.epochs)
    sums = [sha256(folder, options.epochs) for folder in (whole, killed)]
    if sums[0] != sums[1]:
        raise SystemExit(f"The weights differ: {sums}")
    given = {"job": f"{JOB} {OFTEN}", "last": sums[0][0], "best": sums[0][1]}
    publish("resume", fill("resume", command=options.command, **given, table=table(rows)))


if __name__ == "__main__":
    main()
