"""Replicas in step are one device: every public model, on two devices and on two processes."""

import functools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.distribution.public_models import EXAMPLES, Example
from tests.distribution.training import CASES, OPTIMIZERS, STEPS, trained
from tfrecs._keras import tf
from tfrecs.cli.launch import free_addresses, worker_variables
from tfrecs.optimizers import Adam

ROOT = Path(__file__).resolve().parents[2]
# Each takes seconds to trace, twice.
QUICK = {("MatrixFactorization, negatives of the batch", "SGD")}


@pytest.fixture(scope="module")
def alone():
    """What one device learns, by model and optimizer; computed once."""
    one = tf.distribute.OneDeviceStrategy("cpu:0")

    @functools.cache
    def of(name, optimizer):
        return trained(EXAMPLES[name], OPTIMIZERS[optimizer], one)

    return of


def assert_same(got, want):
    assert len(got) == len(want)
    for ours, theirs in zip(got, want, strict=True):
        # Rounding; of all models BERT4Rec's grows most, to 3e-6.
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_replica_gets_nothing_of_some_batch(name):
    """Or the tests below would not know what happens then."""
    example = EXAMPLES[name]
    model = example.make()
    assert model.get_config().get("dropout", 0) == 0  # Replicas drop different values.
    batches = example.batches(model)
    rows = [len(batch["user_id"]) for batch in batches]
    assert min(rows) == 1
    assert len(set(rows)) > 1


@pytest.mark.parametrize(
    ("name", "optimizer"),
    [case if case in QUICK else pytest.param(*case, marks=pytest.mark.slow) for case in CASES],
)
def test_two_devices_equal_one(name, optimizer, two_devices, alone):
    assert STEPS == 50
    got = trained(EXAMPLES[name], OPTIMIZERS[optimizer], two_devices)
    assert_same(got, alone(name, optimizer))


class Biased(Example):
    """A TwoTower whose vectors have biases from the start."""

    def make(self):
        model = super().make()
        for tower in (model.item_tower, model.user_tower):
            tower.dense[-1].bias.assign(np.linspace(-0.5, 0.5, model.dim))
        return model


@pytest.mark.slow
def test_adams_own_epsilon_does_where_no_gradient_is_zero(two_devices):
    """Without biases one item has a single active unit, which changes its length and no cosine.

    That alone is a drift of 0.1. A gradient that passes zero may still leave some 1e-5.
    """
    biased = Biased(**vars(EXAMPLES["TwoTower"]))
    one = tf.distribute.OneDeviceStrategy("cpu:0")
    ours, theirs = (trained(biased, lambda: Adam(0.01), where) for where in (two_devices, one))
    for got, want in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-3)


@pytest.fixture(scope="module")
def workers(tmp_path_factory):
    """What two processes learn together, by model and optimizer."""
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
        assert [process.wait(timeout=1800) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()

    def of(name, optimizer):
        with np.load(folder / f"{name}, {optimizer}.npz") as data:
            return [data[key] for key in data.files]

    return of


@pytest.mark.slow
@pytest.mark.parametrize(("name", "optimizer"), CASES)
def test_two_processes_equal_one(name, optimizer, workers, alone):
    assert_same(workers(name, optimizer), alone(name, optimizer))
