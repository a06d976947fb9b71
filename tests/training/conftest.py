import numpy as np
import pytest
from rich.console import Console


@pytest.fixture(scope="session")
def log_file(tmp_path_factory):
    """24 users who walk around a ring of 12 items, each from a place of their own."""
    rng = np.random.default_rng(0)
    lines = ["user_id,item_id,timestamp"]
    for user in range(24):
        start, length = rng.integers(0, 12), rng.integers(5, 10)
        lines += [f"{user},{100 + (start + t) % 12},{t}" for t in range(length)]
    path = tmp_path_factory.mktemp("data") / "ring.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="session")
def quiet():
    return Console(quiet=True)
