"""The price of distribution: SASRec by one process, by two on the same cores, on two devices.

One process has two threads. Two workers have a thread each (MultiWorkerMirroredStrategy, gradients
exchanged over the loopback interface), two logical devices share one process (MirroredStrategy).
"""

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import machine
from benchmarks.harness import Command, Limits, Outcome, Process, Record, compare, conclude
from benchmarks.report import NONE, count, fill, spread, table
from benchmarks.worker import TENSORFLOW, Worker, WorkerSettings

STRATEGIES = {
    "one process, two threads": "none",
    "two workers, a thread each": "multi-worker",
    "one process, two logical devices": "mirrored",
}
MODEL = {"dim": 64, "num_blocks": 2, "num_heads": 2, "max_length": 200, "dropout": 0.2, "seed": 0}
TRAIN, BATCH_SIZE, TURNS = "benchmarks.distribution:train", 128, 3


@dataclass(frozen=True)
class Settings(WorkerSettings):
    strategy: str
    data: str  # A log that tfrecs reads.
    steps: int | None  # Steps of a turn; an epoch if None.


def train(settings: Settings, worker: Worker) -> None:
    import tfrecs
    from tfrecs._keras import tf

    if settings.strategy == "mirrored":
        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
        )
    strategy = tfrecs.training.make_strategy(settings.strategy)
    split = tfrecs.data.leave_last_out(tfrecs.data.read(settings.data))
    with strategy.scope():
        model = tfrecs.models.SASRec(split.items, **MODEL)
        model.compile(tfrecs.optimizers.Adam(1e-3))
    sequences = model.examples(split.train)
    batches = sequences.batch(BATCH_SIZE, seed=0)
    steps = min(len(batches), settings.steps or len(batches))
    targets = sequences.num_targets * steps / len(batches)
    worker.ready(["tfrecs", *TENSORFLOW], targets)

    def fit() -> None:
        while True:
            worker.begin_epoch()
            history = model.fit(batches.take(steps), verbose=0).history
            worker.end_epoch(targets, steps, loss=history["loss"][-1])

    worker.run(fit)


def start(record: Record, log: Path) -> Process:
    from tfrecs.cli.launch import free_addresses, worker_variables

    variables: list[dict[str, str]] = [{}]
    if record.settings.strategy == "multi-worker":
        addresses = free_addresses(2)
        variables = [worker_variables(index, addresses, 1) for index in range(2)]
    common = {**machine.CPU_ONLY, "TF_CPP_MIN_LOG_LEVEL": "3"}
    return Process(record, sys.executable, log, *(common | more for more in variables))


def section(options: argparse.Namespace, outcome: Outcome) -> str:
    rows = [
        {
            "": record.label,
            "targets/s": count(record.rate),
            "slowest, fastest turn": spread(record, ", "),
            "of one process": f"**{record.rate / outcome.records[0].rate:.2f}**",
            "loss of the last turn": f"{record.epochs[-1]['loss']:.4f}" if record.epochs else NONE,
        }
        for record in outcome.records
    ]
    turns = f"{options.turns} turns of {'an epoch' if not options.steps else 'a few steps'} each"
    given = {"command": options.command, "batch": BATCH_SIZE, "turns": turns}
    return fill("distribution", **given, table=table(rows), ending=outcome.ending)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = Command("distribution", __doc__)
    parser.set_defaults(threads=2)
    add = parser.add_argument
    add("--data", type=Path, help="a log that tfrecs reads (ml-1m-sequences.txt.gz in TFRECS_DATA)")
    add("--turns", type=int, default=TURNS, help="turns that count (%(default)s)")
    add("--quick", action="store_true", help="two turns of a few steps, to see it run")
    options = parser.read(arguments)
    name = "ml-1m-sequences.txt.gz"
    data = str(options.data or parser.folder(None, name) / name)
    options.steps, options.turns = (5, 2) if options.quick else (None, options.turns)
    records = [
        Record(strategy, label, TRAIN, Settings(strategy, data, options.steps))
        for label, strategy in STRATEGIES.items()
    ]
    options.limits = Limits(math.inf, turn=0, timed_turns=options.turns + 1)
    outcome = compare(options, {"all": records}, start=start)
    conclude("distribution", options, outcome, section(options, outcome))


if __name__ == "__main__":
    main()
