"""`tfrecs launch`: the worker processes of one training on this machine."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import IO, Any

from jsonargparse import ArgumentParser

from tfrecs.cli.errors import UserError
from tfrecs.cli.parsing import new_parser, parse

DESCRIPTION = """Trains with several worker processes on this machine, joined through TF_CONFIG.

After -- comes a `tfrecs train` command; --strategy multi-worker is added to it. The workers share
each batch, and the first writes the run folder. The lines that a worker prints begin with its
number. When a worker dies, the others are ended, and its exit code is returned."""

EXAMPLE = """\
tfrecs launch --workers 2 -- train --model sasrec --data ml-100k --output runs/first
tfrecs launch --workers 2 -- train --resume runs/first"""

# Seconds that workers get to end. Told to stop, they save first; after a worker's death, the others
# would wait for it in vain.
_GRACE_TOLD = 60.0
_GRACE_DEAD = 10.0
_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG

# The command of a worker, without its arguments.
PROGRAM = [sys.executable, "-m", "tfrecs"]


def make_parser() -> ArgumentParser:
    """Returns the parser of `tfrecs launch`, without what comes after --."""
    parser = new_parser("launch", DESCRIPTION, EXAMPLE)
    parser.add_argument("--workers", type=int, default=2, help="How many processes.")
    parser.add_argument(
        "--threads",
        type=int | None,
        help="Processor cores that a worker uses; the default shares them all among the workers.",
    )
    return parser


def run(argv: Sequence[str]) -> int:
    """Runs `tfrecs launch`; returns 0, or the exit code of the first worker that failed."""
    words = list(argv)
    split = words.index("--") if "--" in words else len(words)
    settings = parse(make_parser(), words[:split])
    command = _multi_worker(words[split + 1 :])
    if settings.workers < 1:
        raise UserError(f"--workers must be at least 1, not {settings.workers}")
    if settings.threads is not None and settings.threads < 1:
        raise UserError(f"--threads must be at least 1, not {settings.threads}")
    threads = settings.threads or max(1, _cores() // settings.workers)
    addresses = free_addresses(settings.workers)
    workers: list[_Worker] = []
    with _forwarded(workers) as told:
        try:
            for index in range(settings.workers):
                workers.append(_Worker(index, worker_variables(index, addresses, threads), command))
            return _wait(workers, told)
        finally:
            for worker in workers:
                worker.end()


def _multi_worker(command: list[str]) -> list[str]:
    """Returns the command with the strategy that joins the workers."""
    if not command or command[0] != "train":
        raise UserError("launch needs a train command after --: tfrecs launch -- train ...")
    for position, word in enumerate(command):
        option, equals, value = word.partition("=")
        if option == "--strategy":
            value = value if equals else "".join(command[position + 1 : position + 2])
            if value != "multi-worker":
                raise UserError(f"launch trains by --strategy multi-worker, not {value!r}")
            return command
    return [*command, "--strategy", "multi-worker"]


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def free_addresses(count: int) -> list[str]:
    """Returns distinct unused addresses of the loopback interface, `host:port`."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]


def worker_variables(index: int, addresses: Sequence[str], threads: int) -> dict[str, str]:
    """Returns the environment variables of worker `index` of those at `addresses`."""
    cluster = {"worker": list(addresses)}
    return {
        "TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}}),
        "TF_NUM_INTRAOP_THREADS": str(threads),
        "TF_NUM_INTEROP_THREADS": str(threads),
        "OMP_NUM_THREADS": str(threads),
    }


class _Worker:
    """A worker's process, whose output is passed on line by line."""

    def __init__(self, index: int, variables: dict[str, str], command: Sequence[str]) -> None:
        self.index = index
        self.process = subprocess.Popen(
            [*PROGRAM, *command],
            env={**os.environ, **variables, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            # In a new session, so that Ctrl-C reaches only the launcher, which passes it on once.
            start_new_session=True,
            preexec_fn=_death_signal(),
        )
        self._readers = [
            threading.Thread(target=_pass_on, args=(f"[worker {index}] ", *streams), daemon=True)
            for streams in ((self.process.stdout, sys.stdout), (self.process.stderr, sys.stderr))
        ]
        for reader in self._readers:
            reader.start()

    @property
    def code(self) -> int | None:
        """The exit code, as a shell has it; None while the process runs."""
        code = self.process.poll()
        return code if code is None or code >= 0 else 128 - code

    def send(self, number: int) -> None:
        """Sends a signal, if the process still runs."""
        if self.process.poll() is None:
            self.process.send_signal(number)

    def end(self) -> None:
        """Kills the process if it still runs, and passes on the rest of its output."""
        self.send(signal.SIGKILL)
        self.process.wait()
        for reader in self._readers:
            # A child of the worker may hold the pipe open.
            reader.join(timeout=5)


def _death_signal() -> Any:
    """Returns a function by which Linux ends a worker whose launcher was killed; None elsewhere."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl
    return functools.partial(prctl, _DEATH_SIGNAL, signal.SIGTERM)


def _pass_on(prefix: str, source: IO[str], target: IO[str]) -> None:
    for line in source:
        # One write a line, because several threads write.
        target.write(prefix + line if line.endswith("\n") else f"{prefix}{line}\n")
        target.flush()


@contextlib.contextmanager
def _forwarded(workers: list[_Worker]) -> Iterator[list[int]]:
    """Passes SIGINT and SIGTERM on to the workers; the second one kills them."""
    told: list[int] = []

    def forward(number: int, frame: Any) -> None:
        told.append(number)
        for worker in workers:
            worker.send(number if len(told) == 1 else signal.SIGKILL)

    before = {number: signal.signal(number, forward) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait(workers: list[_Worker], told: list[int]) -> int:
    """Waits for the workers to end; when one fails, all are stopped."""
    deadline: float | None = None
    code = 0
    while any(worker.code is None for worker in workers):
        failed = [worker for worker in workers if worker.code]
        if failed and not code:
            code = failed[0].code or 0
            if failed[0].process.returncode < 0 and not told:
                # It could say nothing itself, and the others will not name the cause.
                name = signal.Signals(-failed[0].process.returncode).name
                print(
                    f"tfrecs: worker {failed[0].index} was killed ({name}), so all are ended.",
                    file=sys.stderr,
                )
            for worker in workers:
                worker.send(signal.SIGTERM)
            deadline = time.monotonic() + _GRACE_DEAD
        elif told and deadline is None:
            deadline = time.monotonic() + _GRACE_TOLD
        if deadline is not None and time.monotonic() > deadline:
            for worker in workers:
                worker.send(signal.SIGKILL)
        time.sleep(0.1)
    return code or next((worker.code for worker in workers if worker.code), 0)
