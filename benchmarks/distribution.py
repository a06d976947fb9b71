"""The price of distribution: SASRec on MovieLens-1M by one process, and by two on the same cores.

`python -m benchmarks.distribution` trains the same model with the same global batch by one process
with two threads, by two worker processes with a thread each (MultiWorkerMirroredStrategy, gradients
exchanged over the loopback interface), and by one process with two logical devices
(MirroredStrategy), in alternating turns of an epoch, and writes its section of RESULTS.md; about 5
minutes on 2 cores. The folder of the data is named by `TFRECS_DATA`. The aim: two workers at least
0.8 times as fast as one process.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import CPU_ONLY, OtherLoad, pin
from benchmarks.results import RESULTS, environment, write_section
from benchmarks.turns import ROOT

AIM = 0.8
ALONE, WORKERS, MIRRORED = (
    "one process, two threads",
    "two workers, a thread each",
    "one process, two logical devices",
)
STRATEGIES = {ALONE: "none", WORKERS: "multi-worker", MIRRORED: "mirrored"}
MODEL = {"dim": 64, "num_blocks": 2, "num_heads": 2, "max_length": 200, "dropout": 0.2, "seed": 0}
BATCH_SIZE = 128
TURNS = 3


def work(settings: dict[str, Any]) -> None:
    """A process of a trainer: an epoch for each line on standard input, an answer for each."""
    import tfrecs
    from tfrecs._keras import tf

    if settings["strategy"] == "mirrored":
        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
        )
    strategy = tfrecs.training.make_strategy(settings["strategy"])
    split = tfrecs.data.leave_last_out(tfrecs.data.read(settings["data"]))
    with strategy.scope():
        model = tfrecs.models.SASRec(split.items, **settings["model"])
        model.compile(tfrecs.optimizers.Adam(1e-3))
    sequences = model.examples(split.train)
    batches = sequences.batch(settings["batch_size"], seed=0)
    steps = min(len(batches), settings["steps"] or len(batches))
    # The targets of a whole epoch, or, of a short one, its share.
    targets = sequences.num_targets * steps / len(batches)
    print(json.dumps({"targets": targets, "steps": steps}), flush=True)
    for _ in sys.stdin:
        started = time.perf_counter()
        history = model.fit(batches.take(steps), verbose=0).history
        seconds = time.perf_counter() - started
        print(json.dumps({"seconds": seconds, "loss": history["loss"][-1]}), flush=True)


class Trainer:
    """The processes of one way to train.

    Args:
        name: One of `STRATEGIES`.
        options: What to train.
        folder: Where the processes' standard errors go.
    """

    def __init__(self, name: str, options: argparse.Namespace, folder: Path) -> None:
        from tfrecs.cli.launch import free_addresses, worker_variables

        self.name = name
        self.rates: list[float] = []
        self.losses: list[float] = []
        settings = {
            "strategy": STRATEGIES[name],
            "data": str(options.data),
            "model": MODEL,
            "batch_size": BATCH_SIZE,
            "steps": options.steps,
        }
        variables: list[dict[str, str]] = [{}]
        if name == WORKERS:
            addresses = free_addresses(2)
            variables = [worker_variables(index, addresses, 1) for index in range(2)]
        self._processes = []
        command = [sys.executable, "-m", "benchmarks.distribution", "--work", json.dumps(settings)]
        for index, more in enumerate(variables):
            log = folder / f"{STRATEGIES[name]}-{index}.log"
            with log.open("w") as errors:
                process = subprocess.Popen(
                    command,
                    cwd=ROOT,
                    env={**os.environ, **CPU_ONLY, "TF_CPP_MIN_LOG_LEVEL": "3", **more},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    text=True,
                )
            self._processes.append((process, log))

    def ready(self) -> None:
        """Waits until all processes can train."""
        self.targets = self._answers()[0]["targets"]

    def turn(self) -> None:
        """Trains an epoch, as long as the slowest process needs."""
        for process, _ in self._processes:
            assert process.stdin is not None
            process.stdin.write("train\n")
            process.stdin.flush()
        answers = self._answers()
        self.rates.append(self.targets / max(answer["seconds"] for answer in answers))
        self.losses.append(answers[0]["loss"])

    def end(self) -> None:
        """Ends the processes."""
        for process, _ in self._processes:
            process.kill()
            process.wait()

    def _answers(self) -> list[dict[str, Any]]:
        answers = []
        for process, log in self._processes:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(f"{self.name} died: see {log}")
            answers.append(json.loads(line))
        return answers

    @property
    def rate(self) -> float:
        """The median targets a second of the turns after the first, which compiles."""
        return statistics.median(self.rates[1:])


def section(trainers: Sequence[Trainer], options: argparse.Namespace, load: float) -> str:
    """The section of RESULTS.md."""
    first = trainers[0].rate
    lines = ["| | targets/s | slowest, fastest turn | of one process | loss of the last turn |"]
    lines.append("|---|---|---|---|---|")
    for trainer in trainers:
        warm = trainer.rates[1:]
        lines.append(
            f"| {trainer.name} | {trainer.rate:,.0f} | {min(warm):,.0f}, {max(warm):,.0f} | "
            f"**{trainer.rate / first:.2f}** | {trainer.losses[-1]:.4f} |"
        )
    flags = " --quick" if options.quick else ""
    flags += f" --turns {options.turns}" if options.turns != TURNS else ""
    turns = f"{options.turns} turns of {'an epoch' if not options.steps else 'a few steps'} each"
    return (
        "## Distribution: SASRec on MovieLens-1M by two workers on two cores\n\n"
        f"`python -m benchmarks.distribution{flags}`: dim 64, 2 "
        f"blocks, histories of 200, full softmax, Adam, a global batch of {BATCH_SIZE} histories; "
        f"{turns}, alternating, after one that compiles. Aim: two workers at least {AIM} times as "
        "fast as one process. Dropout differs between replicas, and so do losses, a little.\n\n"
        + "\n".join(lines)
        + f"\n\nOther processes took {load:.0%} of the processors. {environment()}"
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Measures and writes the section."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    data = Path(os.environ.get("TFRECS_DATA", "."), "ml-1m-sequences.txt.gz")
    parser.add_argument("--data", type=Path, default=data, help="A log that tfrecs reads.")
    parser.add_argument("--turns", type=int, default=TURNS, help="Turns that count.")
    parser.add_argument("--quick", action="store_true", help="A few steps a turn, to see it run.")
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--work", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.work:
        work(options.work)
        return
    options.steps = 5 if options.quick else None
    options.turns = min(options.turns, 2) if options.quick else options.turns
    pin(2)
    folder = Path(os.environ.get("TMPDIR", "/tmp"), f"tfrecs-distribution-{os.getpid()}")
    folder.mkdir(parents=True)
    load = OtherLoad()
    trainers: list[Trainer] = []
    try:
        for name in STRATEGIES:
            trainers.append(trainer := Trainer(name, options, folder))
            trainer.ready()
            print(f"{name}: ready", flush=True)
        for turn in range(options.turns + 1):
            for trainer in trainers:
                trainer.turn()
                kind = "" if turn else " (compiles)"
                print(f"{trainer.name}: {trainer.rates[-1]:,.0f} targets/s{kind}", flush=True)
    finally:
        for trainer in trainers:
            trainer.end()
    text = section(trainers, options, load.share())
    print(text)
    write_section("distribution", text, options.output)


if __name__ == "__main__":
    main()
