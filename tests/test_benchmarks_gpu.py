"""The benchmark of a GPU: it needs one, and what it measures and writes is tried on a CPU."""

import dataclasses
import sys

import numpy as np
import pytest

from benchmarks import gpu

SMALL = gpu.Shape(dim=8, batch=2, length=4, items=50, steps=2)


def test_without_a_gpu_it_says_so_and_stops(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(gpu.machine, "call", lambda function: None)
    with pytest.raises(SystemExit) as stopped:
        gpu.main(["--output", str(tmp_path / "RESULTS.md")])
    assert stopped.value.code == 2
    assert "TensorFlow finds no GPU here" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


def test_the_section(monkeypatch, tmp_path):
    found = {"steps": {"seconds": 0.004, "first": 3.0, "gib": 0.5}}
    found["search"] = {"seconds": 0.002, "same": 0.9987, "gib": 1.0}
    found["rows"] = {"input": 2e6, "training": 1.5e6, "gib": 2.0}

    def measure(self, function, *arguments):
        self.versions["torch"] = "2.11"
        if "compiled" in arguments:
            self.failures.append("steps compiled failed: no word.")
            return None
        return found[function.partition(":")[2]]

    monkeypatch.setattr(gpu.machine, "call", lambda function: "NVIDIA Some Card")
    monkeypatch.setattr(gpu.Budget, "measure", measure)
    monkeypatch.setattr(gpu, "RUNS", ())
    path = tmp_path / "RESULTS.md"
    with pytest.raises(SystemExit, match="1"):
        gpu.main(["--output", str(path)])
    text = path.read_text()
    assert "`python -m benchmarks.gpu`: one NVIDIA Some Card;" in text
    shape = "d64, 128 x 200, 3,416 items, all items"
    assert f"| {shape} | tfrecs | 4.00 | 6,400,000 | 3.00 | 0.50 |" in text
    assert f"| {shape} | plain PyTorch, compiled | – | – | – | – |" in text
    assert "| `BlockTopK`, 1,000,000 x 64 | 64 | 2.00 | 99.87% | 1.00 |" in text
    assert "| `DeepCross` | 10,000,000 | 8,192 | 2,000,000 | 1,500,000 | 2.00 |" in text
    assert "- steps compiled failed: no word." in text
    assert "Peer: torch 2.11." in text


def test_what_fails_or_comes_too_late_is_said():
    budget = gpu.Budget(1.0, sys.executable)
    assert budget.run([sys.executable, "-c", "print('yes')"], "a") == "yes\n"
    assert budget.run([sys.executable, "-c", "raise ValueError('bad card')"], "b") is None
    late = gpu.Budget(0.0, sys.executable)
    assert late.measure("benchmarks.gpu:card") is None
    soon = gpu.Budget(0.005, sys.executable)
    assert soon.run([sys.executable, "-c", "import time; time.sleep(60)"], "c") is None
    assert budget.failures == ["b failed: ValueError: bad card."]
    assert late.failures == ["card []: left out, the time was over."]
    assert soon.failures == ["c: stopped, the time was over."]


@pytest.mark.slow
@pytest.mark.parametrize("negatives", [None, 4])
def test_steps_are_timed(negatives):
    shape = dataclasses.replace(SMALL, negatives=negatives)
    found = gpu.steps(dataclasses.asdict(shape), "float32")
    assert 0 < found["seconds"] < found["first"]


@pytest.mark.slow
@pytest.mark.parametrize("name", gpu.SEARCHES)
def test_searches_are_exact(name):
    found = gpu.search(name, 500, 3)
    assert (found["same"], found["seconds"] > 0) == (1.0, True)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, _ in gpu.ROWS])
def test_rows_are_read_faster_than_trained(name):
    found = gpu.rows(name, 8, 52)
    assert np.isfinite(list(found.values())).all()
    assert found["input"] > found["training"] > 0
