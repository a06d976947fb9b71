"""Every example in a docstring runs, and gives what it says."""

import doctest
import importlib
import pkgutil

import pytest

import tfrecs

MODULES = [
    module.name
    for module in pkgutil.walk_packages(tfrecs.__path__, "tfrecs.")
    if module.name != "tfrecs.__main__"
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples():
    found = doctest.DocTestFinder().find(tfrecs.data.Vocabulary)
    assert sum(len(test.examples) for test in found) > 5
