"""The benchmark of sessions: its table by hand, and all of it on a few sessions."""

import gzip
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # benchmarks is not installed

from benchmarks import report, sessions


def run(hits, reciprocal, epochs=3):
    metrics = {"HR@20": hits, "MRR@20": reciprocal}
    part = {"validation": metrics, "test": {name: x / 2 for name, x in metrics.items()}}
    popularity = {"popularity": {"HR@20": 0.01, "MRR@20": 0.002}}
    return {**part, "epochs": epochs, "train_seconds": 12.4, "baselines": popularity}


def test_validation_is_of_the_first_run_and_the_test_of_the_last():
    found = {"GRU4Rec": [{"chosen": run(0.5, 0.2), "final": run(0.8, 0.4, 2)}]}
    text = report.table(sessions.rows_of("diginetica", found))
    assert "| diginetica | GRU4Rec | 1 | 2 | 12 | 0.5000 | 0.2000 | 0.4000 | 0.2000 |" in text
    assert "| diginetica | popularity | | | | | | 0.0100 | 0.0020 |" in text
    assert "| diginetica | published: SR-GNN | | | | | | 0.5073 | 0.1759 |" in text


@pytest.mark.slow
def test_a_section_of_a_few_sessions(tmp_path):
    rng = np.random.default_rng(0)
    starts, lengths = rng.integers(20, size=80), rng.integers(2, 6, 80)
    rows = [[str((s + i) % 20) for i in range(n)] for s, n in zip(starts, lengths, strict=True)]
    files = {
        "train": [" ".join(row) for row in rows[:60]],
        "test": [f"{' '.join(row[:-1])}\t{row[-1]}" for row in rows[60:]],
    }
    (tmp_path / "tmall").mkdir()
    for name, lines in files.items():
        text = "\n".join(lines) + "\n"
        (tmp_path / "tmall" / f"{name}.txt.gz").write_bytes(gzip.compress(text.encode()))
    words = ["--data", str(tmp_path), "--sets", "tmall", "--models", "GRU4Rec", "--epochs", "2"]
    places = ["--runs", str(tmp_path / "runs"), "--output", str(tmp_path / "results.md")]
    sessions.main([*words, *places])
    written = (tmp_path / "results.md").read_text()
    assert "python -m benchmarks.sessions --sets tmall --models GRU4Rec --epochs 2" in written
    assert "| tmall | GRU4Rec | 1 |" in written
    metrics = sessions.trained("GRU4Rec", tmp_path / "tmall", 0, 2, tmp_path / "runs")
    assert metrics["final"]["counts"]["train_sessions"] == 60
    assert metrics["chosen"]["counts"]["train_sessions"] == 54
    assert metrics["final"]["epochs"] == metrics["chosen"]["best_epoch"]
