import functools
import signal

import pytest
from rich.console import Console

import tfrecs
from tests.training.resume_checks import MODEL


@pytest.fixture(scope="session")
def quiet():
    return Console(quiet=True)


@pytest.fixture(scope="session")
def train(log_file, quiet):
    """A small job of 4 epochs of 3 batches."""
    return functools.partial(
        tfrecs.train,
        data=log_file,
        model_args=MODEL,
        epochs=4,
        batch_size=8,
        learning_rate=0.02,
        schedule="linear",
        patience=None,
        seed=1,
        console=quiet,
    )


@pytest.fixture(scope="session")
def whole(train, tmp_path_factory):
    """A run that nothing interrupts."""
    return train(tmp_path_factory.mktemp("runs") / "whole")


@pytest.fixture
def as_in_a_terminal():
    """Ctrl-C interrupts, however the tests were started: a background process ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
