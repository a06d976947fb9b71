"""The walk-throughs of CONTRIBUTING.md, followed to the letter."""

import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

from tests.losses.test_losses import Fixed
from tfrecs._keras import tf
from tfrecs.configured import registered
from tfrecs.losses import DotProductScores, SampledLoss, Scores
from tfrecs.negatives import Negatives

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.S)
SUITES = (
    "tests/conformance/test_conformance.py",
    "tests/distribution/test_replicas.py",
    "tests/distribution/test_xla.py",
    "tests/models/test_weights.py",
    "tests/models/test_withheld.py",
    "tests/serving/test_every_model.py",
    "tests/serving/test_report_equals_export.py",
    "tests/training/test_resume_models.py",
    "tests/training/test_strategies.py",
)


def block(path):
    """The code of CONTRIBUTING.md that goes into a file."""
    (found,) = [code for code in BLOCKS if code.startswith(f"# {path}\n")]
    return found.partition("\n")[2]


@pytest.mark.slow
def test_add_a_model(tmp_path):
    """One new file, its name and one entry: every suite covers the model."""
    for name in ("tfrecs", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "CONTRIBUTING.md"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "tfrecs/models/mean_history.py").write_text(block("tfrecs/models/mean_history.py"))
    init = tmp_path / "tfrecs/models/__init__.py"
    content = init.read_text().replace("__all__ = [", '__all__ = [\n    "MeanHistory",')
    first = content.index("from tfrecs.models")
    init.write_text(content[:first] + block("tfrecs/models/__init__.py") + content[first:])
    entries = tmp_path / "tests/public_models.py"
    opening = "MODELS: dict[str, PublicModel] = {\n"
    entries.write_text(
        entries.read_text().replace(opening, opening + block("tests/public_models.py"))
    )
    command = [sys.executable, "-m", "pytest", "-q", "-m", "", "-p", "no:cacheprovider"]
    # Two processes train every model, and ML-100K takes a minute: not for this one.
    command += ["-k", "MeanHistory and not two_processes and not ml_100k"]
    command += ["--junitxml=found.xml", *SUITES]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-5000:]
    cases = ElementTree.parse(tmp_path / "found.xml").iter("testcase")
    passed = {case.get("classname") for case in cases if case.find("skipped") is None}
    assert passed == {suite.removesuffix(".py").replace("/", ".") for suite in SUITES}


def defined(name):
    """A class of CONTRIBUTING.md, registered under another module's name for this test alone."""
    (code,) = [code for code in BLOCKS if f"class {name}(" in code]
    scope = {
        "registered": registered,
        "SampledLoss": SampledLoss,
        "Negatives": Negatives,
        "Scores": Scores,
        "tf": tf,
        "__name__": __name__,
    }
    exec("from __future__ import annotations\n" + code, scope)
    return scope[name]


def test_add_a_loss():
    items = tf.constant([[0.0], [1.0], [2.0]])
    scores = DotProductScores(
        tf.constant([[1.0], [2.0]]), 3, lambda ids: tf.gather(items, ids - 1), lambda: items
    )
    loss = defined("Exponential")(negatives=Fixed([1, 3]))
    # Query 1 has scores 0, 1, 2 and the target 2; query 2 has 0, 2, 4 and the target 3.
    want = (np.mean([np.exp(0 - 1), np.exp(2 - 1)]) + np.exp(0 - 4)) / 2
    assert float(loss(tf.constant([2, 3]), scores)) == pytest.approx(want, rel=1e-6)


@pytest.mark.parametrize("shared", [True, False])
def test_add_a_sampler(shared):
    sampler = defined("FirstHalf")(500, shared, seed=1)
    sample = sampler(tf.constant([1, 5, 6]), 6)
    assert sample.ids.shape == ((500,) if shared else (3, 500))
    counts = np.bincount(sample.ids.numpy().ravel(), minlength=7) / sample.ids.numpy().size
    np.testing.assert_allclose(counts[1:4], 1 / 3, atol=0.06)
    assert counts[[0, 4, 5, 6]].sum() == 0
    np.testing.assert_allclose(np.exp(sample.log_probability), 1 / 3, rtol=1e-6)
