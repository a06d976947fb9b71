"""The parent's half of the conversation with workers: starts them, lets them train in turns."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import statistics
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.worker import WorkerSettings

ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Record:
    """What a trainer is and what it did.

    Attributes:
        name: Its name, as `--only` takes it.
        label: Its name in tables.
        module: The worker's module.
        settings: What it trains.
        turns: Targets, steps, seconds and processor seconds of each turn.
        epochs: The worker's epoch events.
        ready: Its ready event.
        done: Its last event.
        failure: What went wrong, if anything.
    """

    name: str
    label: str
    module: str
    settings: WorkerSettings
    turns: list[dict[str, float]] = field(default_factory=list)
    epochs: list[dict[str, Any]] = field(default_factory=list)
    ready: dict[str, Any] = field(default_factory=dict)
    done: dict[str, Any] = field(default_factory=dict)
    failure: str | None = None

    @property
    def rates(self) -> list[float]:
        """Targets a second of each warm turn: all but the first, which compiles."""
        return [turn["targets"] / turn["seconds"] for turn in self.turns[1:]]

    @property
    def rate(self) -> float:
        """The median targets a second of the warm turns; NaN if there are none."""
        return statistics.median(self.rates) if self.rates else float("nan")

    @property
    def seconds(self) -> float:
        """Seconds trained, warm or not."""
        return sum(turn["seconds"] for turn in self.turns)

    @property
    def seconds_per_epoch(self) -> float:
        """Targets of an epoch over targets a second."""
        return self.ready["targets_per_epoch"] / self.rate if self.rates else float("nan")

    @property
    def best(self) -> dict[str, Any] | None:
        """The epoch of the best validation NDCG@10, None before the first evaluation."""
        judged = [epoch for epoch in self.epochs if "validation" in epoch]
        return max(judged, key=lambda epoch: epoch["validation"]["NDCG@10"], default=None)

    def seconds_to(self, ndcg: float) -> float | None:
        """Seconds of training until validation NDCG@10 first reached a value."""
        for epoch in self.epochs:
            if epoch.get("validation", {}).get("NDCG@10", -1) >= ndcg:
                return epoch["seconds"]
        return None


@dataclass(frozen=True)
class Limits:
    """When a trainer has trained enough.

    Attributes:
        seconds: Most seconds of training.
        turn: Seconds of a turn.
        timed_turns: Turns, the first one cold, of a trainer that is only timed: one whose quality
            is not measured, or that could not finish an epoch in `seconds`.
        patience: Epochs without a better validation NDCG@10.
    """

    seconds: float = 120.0
    turn: float = 10.0
    timed_turns: int = 4
    patience: int = 3

    def reached(self, record: Record) -> bool:
        """Whether the trainer has had enough, which takes one warm turn at least."""
        if not record.rates:
            return False
        if record.seconds >= self.seconds:
            return True
        if len(record.turns) < self.timed_turns:
            return False
        if not record.settings.evaluate or record.seconds_per_epoch > self.seconds:
            return True
        best = record.best
        return best is not None and record.epochs[-1]["epoch"] - best["epoch"] >= self.patience


class Process:
    """A worker's process.

    Args:
        record: What it trains; its events are kept there.
        python: The interpreter to run.
        log: Where its standard error goes.
        environment: Variables to add.
    """

    def __init__(self, record: Record, python: str, log: Path, environment: dict[str, str]):
        self.record, self._log = record, log
        with open(log, "w", encoding="utf-8") as errors:
            self._process = subprocess.Popen(
                record.settings.command(record.module, python),
                cwd=ROOT,
                env={**os.environ, **environment},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    @property
    def failure(self) -> str | None:
        """What went wrong, if anything, and where to read on."""
        why = self.record.failure
        return why and f"{why} (all of it in {self._log})"

    def wait_ready(self) -> None:
        """Waits until training can start."""
        self._listen("ready")

    def train(self, seconds: float) -> None:
        """Gives a turn and waits for its end."""
        self._order({"train": seconds})
        self._listen("turn")

    def stop(self) -> None:
        """Ends the training and the process."""
        if not self.record.failure:
            self._order({"stop": True})
            self._listen("done")
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.communicate(timeout=60)
        self.kill()

    def kill(self) -> None:
        """Ends the process, whatever it does."""
        self._process.kill()
        self._process.wait()

    def _order(self, order: dict[str, Any]) -> None:
        with contextlib.suppress(BrokenPipeError):  # A worker that died: listening says so.
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()

    def _listen(self, until: str) -> None:
        """Keeps events up to one of that kind."""
        for line in self._process.stdout:
            message = json.loads(line)
            event = message.pop("event")
            if event in ("turn", "epoch"):
                getattr(self.record, event + "s").append(message)
            else:
                setattr(self.record, event, message)
            if event == until:
                return
        said = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        errors = [line for line in said if re.match(r"\s*[\w.]*(Error|Exception)\b", line)]
        self.record.failure = "".join((errors or said)[-1:]).strip() or "it died without a word"


def alternate(
    records: list[Record],
    start: Callable[[Record], Process],
    limits: Limits,
    say: Callable[[str], None] = print,
) -> None:
    """Trains all in turns, one at a time, until each has reached its limit.

    Args:
        records: The trainers.
        start: Starts a worker.
        limits: When each has trained enough.
        say: Told of what happens.
    """
    processes = []
    try:
        for record in records:  # One after the other: starting takes memory and both cores.
            processes.append(process := start(record))
            process.wait_ready()
            say(f"{record.name}: {process.failure or 'ready'}")
        active = [process for process in processes if not process.record.failure]
        while active:
            for process in list(active):
                record = process.record
                process.train(limits.turn)
                if not record.failure:
                    say(_progress(record))
                if record.failure or limits.reached(record):
                    process.stop()
                    active.remove(process)
                    if record.failure:
                        say(f"{record.name}: {process.failure}")
    finally:
        for process in processes:
            process.kill()


def _progress(record: Record) -> str:
    turn = record.turns[-1]
    text = (
        f"{record.name}: {record.seconds:.0f} s, {turn['targets'] / turn['seconds']:,.0f} targets/s"
    )
    if record.epochs:
        text += f", epoch {record.epochs[-1]['epoch']}"
    if record.best:
        text += f", best validation NDCG@10 {record.best['validation']['NDCG@10']:.4f}"
    return text


def as_json(record: Record) -> dict[str, Any]:
    """Everything about a record, for a file."""
    return dataclasses.asdict(record)
