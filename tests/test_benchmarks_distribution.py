"""The benchmark of distribution, on a log of a few users."""

import numpy as np
import pytest

from benchmarks import distribution


@pytest.mark.slow
def test_three_trainers_and_a_section(tmp_path):
    rng = np.random.default_rng(0)
    rows = [f"{user} {item}" for user in range(40) for item in rng.permutation(30)[:8]]
    log = tmp_path / "log.txt"
    log.write_text("\n".join(rows) + "\n")
    path = tmp_path / "RESULTS.md"
    distribution.main(["--quick", "--data", str(log), "--output", str(path)])
    text = path.read_text()
    for name in distribution.STRATEGIES:
        assert text.count(f"| {name} |") == 1
    assert "two workers at least 0.8 times" in text
