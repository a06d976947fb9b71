"""Damaged run folders, exports, settings and data: one line of error, or the very same result.

Each case is damaged by a seed. What must never happen: an error that the command line would not say
in one line, another result without an error, or code of the files' own.
"""

import json
import re
import shutil
import sys

import numpy as np
import pandas as pd
import pytest

import tfrecs
from tests.distribution.public_models import frame
from tests.fuzz.damage import damage_file, damaged, lied
from tests.serving.resealing import resealed
from tfrecs.cli import main
from tfrecs.cli import train as train_command
from tfrecs.cli.errors import UserError, one_line
from tfrecs.serving import Recommender, export, verify
from tfrecs.training import Run
from tfrecs.training.sources import fingerprint

FOREIGN = {"os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "os.fork"}
_ARMED = []


def _listen(event, arguments):
    # The parser asks Python once for its path, to read the stubs of libraries.
    if _ARMED and event in FOREIGN and "json.dumps(sys.path)" not in str(arguments):
        _ARMED.append((event, arguments))


sys.addaudithook(_listen)


@pytest.fixture(autouse=True)
def no_foreign_code(tmp_path, monkeypatch):
    """Fails if a process is started, or a module of the files' own is imported."""
    (tmp_path / "canary_module.py").write_text("class Thing:\n    pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    _ARMED.append("armed")
    yield
    seen = _ARMED[1:]
    _ARMED.clear()
    assert not seen
    assert "canary_module" not in sys.modules


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A small log, a run on it, and its export."""
    base = tmp_path_factory.mktemp("whole")
    frame().to_csv(base / "log.csv", index=False)
    run = tfrecs.train(
        base / "run",
        data=base / "log.csv",
        model="sasrec",
        model_args={"dim": 4, "num_blocks": 1, "max_length": 5, "seed": 1},
        epochs=1,
    )
    folder = export(run.load_model(), base / "export", k=4)
    return base / "log.csv", run.folder, folder


def said(error):
    """The error's one line; raises it where the command line would show a traceback."""
    text = one_line(error)
    if text is None:
        raise error
    assert "\n" not in text
    assert len(text) < 1100
    return text


def weights_and_split(folder):
    run = Run(folder)
    weights = run.load_model().get_weights()
    return weights, fingerprint(run.load_split())


@pytest.fixture(scope="module")
def undamaged(folders):
    weights, split = weights_and_split(folders[1])
    return weights, split, Recommender(folders[2]).recommend([100, 103], k=3)


@pytest.mark.parametrize(
    "block", [0, *(pytest.param(b, marks=pytest.mark.slow) for b in range(1, 50))]
)
def test_run_folders(block, folders, undamaged, tmp_path):
    for case in range(12):
        rng = np.random.default_rng([1, block, case])
        folder = tmp_path / f"run-{case}"
        shutil.copytree(folders[1], folder, ignore=shutil.ignore_patterns("tensorboard", "*.png"))
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        victim = files[int(rng.integers(len(files)))]
        kind = rng.integers(10)
        if kind == 0:
            victim.unlink()
        elif kind == 1:
            other = files[int(rng.integers(len(files)))]
            content = victim.read_bytes()
            victim.write_bytes(other.read_bytes())
            other.write_bytes(content)
        elif kind == 2:
            checkpoints = sorted((folder / "checkpoints").iterdir())
            checkpoints[-1].rename(folder / "checkpoints" / "epoch-0007")
        else:
            damage_file(victim, rng)
        try:
            weights, split = weights_and_split(folder)
        except Exception as error:
            said(error)
            continue
        assert split == undamaged[1]
        for found, want in zip(weights, undamaged[0], strict=True):
            np.testing.assert_array_equal(found, want)


@pytest.mark.parametrize(
    "block", [0, *(pytest.param(b, marks=pytest.mark.slow) for b in range(1, 50))]
)
def test_exports(block, folders, undamaged, tmp_path):
    for case in range(12):
        rng = np.random.default_rng([2, block, case])
        folder = tmp_path / f"export-{case}"
        shutil.copytree(folders[2], folder)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        victim = files[int(rng.integers(len(files)))]
        kind = rng.integers(10)
        if kind == 0:
            victim.unlink()
        elif kind == 1:
            (folder / "assets" / "more").symlink_to(victim)
        elif kind <= 4:
            # Whoever knows how checksums are made may lie in the manifest; what TensorFlow itself
            # does with a damaged graph that is sealed again is not ours.
            resealed(folder, lambda manifest, rng=rng: lied(manifest, rng))
        else:
            damage_file(victim, rng)
        try:
            verify(folder)
            answer = Recommender(folder).recommend([100, 103], k=3)
        except Exception as error:
            said(error)
            continue
        assert answer == undamaged[2]


@pytest.mark.parametrize(
    "block", [0, *(pytest.param(b, marks=pytest.mark.slow) for b in range(1, 34))]
)
def test_settings(block, folders, tmp_path, monkeypatch, capsys):
    """Whatever does not train says so in one line; training itself is left out."""

    def reached(*args, model_args, **options):
        raise UserError("reached")

    monkeypatch.setattr(train_command, "train", reached)
    for case in range(12):
        rng = np.random.default_rng([3, block, case])
        path = tmp_path / f"config-{case}.yaml"
        shutil.copy(folders[1] / "config.yaml", path)
        damage_file(path, rng)
        for flag in ("--config", "--recipe"):
            capsys.readouterr()
            assert main(["train", flag, str(path), "--output", str(tmp_path / "x")]) == 2
            assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    "block", [0, *(pytest.param(b, marks=pytest.mark.slow) for b in range(1, 34))]
)
def test_data(block, folders, tmp_path):
    text = folders[0].read_bytes()
    pd.read_csv(folders[0]).to_parquet(tmp_path / "log.parquet")
    for case in range(12):
        rng = np.random.default_rng([4, block, case])
        path = tmp_path / ("log.csv", "log2.parquet")[int(case % 4 == 0)]
        whole = (tmp_path / "log.parquet").read_bytes() if path.suffix == ".parquet" else text
        path.write_bytes(damaged(whole, rng))
        try:
            log = tfrecs.data.read(path)
        except Exception as error:
            said(error)
            continue
        if path.suffix == ".csv":
            lines = [x for x in re.split(b"\r\n|\n|\r", path.read_bytes()) if x.strip(b" \t")]
            assert len(log) + sum(log.dropped.values()) == len(lines) - 1


def test_the_harness_notices(folders, tmp_path):
    """A difference that nobody says would be found."""
    folder = tmp_path / "export"
    shutil.copytree(folders[2], folder)
    with pytest.raises(KeyError):
        said(KeyError("x"))
    resealed(folder, lambda manifest: manifest.update(k=1))
    with pytest.raises(ValueError, match="k = 3 is more than"):
        Recommender(folder).recommend([100, 103], k=3)
    assert json.loads((folder / "assets.extra" / "tfrecs_manifest.json").read_text())["k"] == 1
