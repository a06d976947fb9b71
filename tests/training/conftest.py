import pytest
from rich.console import Console


@pytest.fixture(scope="session")
def quiet():
    return Console(quiet=True)
