"""What `import tfrecs` gives, and at once: its other promises are tested in `test_keras.py`."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

import tfrecs

ROOT = Path(__file__).resolve().parents[1]


def run(code, *path):
    environment = {k: v for k, v in os.environ.items() if k != "TF_USE_LEGACY_KERAS"}
    path = os.pathsep.join(map(str, [*path, ROOT]))
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment | {"PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("version", [None, pytest.param("1.0", marks=pytest.mark.slow)])
def test_scann_of_another_tensorflow_is_guarded_at_once(tmp_path, version):
    (tmp_path / "scann").mkdir()
    (tmp_path / "scann" / "__init__.py").write_text("raise ValueError('wrong TensorFlow')\n")
    if version:
        (tmp_path / f"scann-{version}.dist-info").mkdir()
        (tmp_path / f"scann-{version}.dist-info" / "METADATA").write_text(
            f"Name: scann\nVersion: {version}\nRequires-Dist: tensorflow~=2.19.0; extra == 'tf'\n"
        )
    elif importlib.util.find_spec("scann"):
        pytest.skip("the installed scann's own metadata would be found")
    run(
        """
import sys
import tfrecs
assert "tensorflow" in sys.modules
import tensorflow_recommenders
from tfrecs._keras import SCANN_ERROR
assert "wrong TensorFlow" in SCANN_ERROR
""",
        tmp_path,
    )


def test_every_public_name_is_there():
    assert set(tfrecs.__all__) == set(dir(tfrecs))
    for name in tfrecs.__all__:
        assert getattr(tfrecs, name) is not None
    assert tfrecs.train is tfrecs.training.train
    assert tfrecs.evaluate is tfrecs.evaluation.evaluate


def test_other_names_are_not():
    with pytest.raises(AttributeError, match="no attribute 'modles'"):
        _ = tfrecs.modles
