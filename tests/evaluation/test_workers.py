"""What the chief tells the other workers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tfrecs._keras import tf
from tfrecs.cli.launch import free_addresses, worker_variables
from tfrecs.evaluation.workers import from_chief, is_chief, largest, num_workers

SCRIPT = """
import json, sys
from tfrecs.training import make_strategy
from tfrecs.evaluation.workers import ChiefError, from_chief, is_chief, largest, num_workers

strategy = make_strategy("multi-worker")
said = [is_chief(strategy), num_workers(strategy)]
said.append(from_chief(strategy, lambda: {"NDCG@10": 0.1234567890123, "who": said[0]}))
def fail():
    raise ValueError("no data")
try:
    from_chief(strategy, fail)
except (ValueError, ChiefError) as error:
    said.append(f"{type(error).__name__}: {error}")
said.append(from_chief(strategy, lambda: None))
said.append([largest(strategy, number) for number in ([0, 2, 1] if said[0] else [1, 0, 1])])
print(json.dumps(said))
"""


def test_a_process_alone_is_its_own_chief(two_devices):
    for strategy in (tf.distribute.get_strategy(), two_devices):
        assert is_chief(strategy)
        assert num_workers(strategy) == 1
        assert from_chief(strategy, lambda: 3) == 3
        assert largest(strategy, 2) == 2


@pytest.mark.slow
def test_all_workers_hear_the_chief():
    addresses = free_addresses(2)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT],
            env={
                **os.environ,
                "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
                **worker_variables(index, addresses, 1),
            },
            stdout=subprocess.PIPE,
            text=True,
        )
        for index in range(2)
    ]
    chief, other = (json.loads(p.communicate(timeout=120)[0].splitlines()[-1]) for p in processes)
    told = {"NDCG@10": 0.1234567890123, "who": True}
    assert chief == [True, 2, told, "ValueError: no data", None, [1, 2, 1]]
    assert other[:3] == [False, 2, told]
    assert other[3] == "ChiefError: The chief of the workers failed: ValueError: no data"
    assert other[4] is None
    assert other[5] == [1, 2, 1]
