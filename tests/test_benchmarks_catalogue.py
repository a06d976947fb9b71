"""The benchmark of large catalogues."""

import pytest

from benchmarks import catalogue


@pytest.mark.slow
@pytest.mark.parametrize("case", catalogue.CASES)
def test_each_case_runs(case):
    found = catalogue.run(case, 300, steps=2)
    assert 100 < found["peak"] < 20_000
    assert case == catalogue.BEFORE or 0 < found["least"] <= found["median"]


def test_the_section(monkeypatch, tmp_path, capsys):
    """The best process counts for time, the worst for memory."""
    times = iter([40.0, 60.0, 50.0, 45.0])

    def call(function, case, size, **variables):
        peak = {"peak": 1024.0 if size == 10 else 2048.0}
        if case != catalogue.SAMPLED:
            return peak | ({} if case == catalogue.BEFORE else {"median": 9.0, "least": 8.0})
        return peak | {"median": next(times), "least": 1.0}

    monkeypatch.setattr(catalogue, "call", call)
    path = tmp_path / "RESULTS.md"
    catalogue.main(["--sizes", "10", "1000", "--rounds", "2", "--output", str(path)])
    text = path.read_text()
    assert "| 256 shared negatives | 40.0 | 45.0 | 1.12 x | 1.00 | 2.00 |" in text
    assert "| before the first step | | | | 1.00 | 2.00 |" in text
    assert "--sizes 10 1000 --rounds 2" in text
