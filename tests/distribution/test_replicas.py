"""Replicas in step are one device: every public model, on two devices and on two processes."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tfrecs
from tests.distribution.public_models import EXAMPLES, UNTRAINED
from tests.distribution.training import STEPS, sgd, trained
from tfrecs._keras import tf
from tfrecs.cli.launch import free_addresses, worker_variables

ROOT = Path(__file__).resolve().parents[2]
# Each takes seconds to trace, twice.
QUICK = {"MatrixFactorization, negatives of the batch"}


@pytest.fixture(scope="module")
def alone():
    """What one device learns, by model; computed once."""
    known = {}

    def of(name):
        if name not in known:
            known[name] = trained(name, tf.distribute.OneDeviceStrategy("cpu:0"), sgd)
        return known[name]

    return of


def assert_same(got, want):
    assert len(got) == len(want)
    for ours, theirs in zip(got, want, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)


def test_every_public_model_is_here():
    named = {name.split(",")[0] for name in EXAMPLES}
    assert named == set(tfrecs.models.__all__) - {"Model"} - UNTRAINED


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_replica_gets_nothing_of_some_batch(name):
    """Or the tests below would not know what happens then."""
    example = EXAMPLES[name]
    batches = example.batches(example.make())
    rows = [len(batch["user_id"]) for batch in batches]
    assert min(rows) == 1
    assert len(set(rows)) > 1


@pytest.mark.parametrize(
    "name",
    [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in EXAMPLES],
)
def test_two_devices_equal_one(name, two_devices, alone):
    assert STEPS == 50
    assert_same(trained(name, two_devices, sgd), alone(name))


@pytest.fixture(scope="module")
def workers(tmp_path_factory):
    """What two processes learn together, by model."""
    folder = tmp_path_factory.mktemp("workers")
    addresses = free_addresses(2)
    command = [sys.executable, "-m", "tests.distribution.training", str(folder)]
    processes = [
        subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **worker_variables(index, addresses, 1)}
        )
        for index in range(2)
    ]
    try:
        assert [process.wait(timeout=900) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()

    def of(name):
        with np.load(folder / f"{name}.npz") as data:
            return [data[key] for key in data.files]

    return of


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLES)
def test_two_processes_equal_one(name, workers, alone):
    assert_same(workers(name), alone(name))
