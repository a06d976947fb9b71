"""`benchmarks.numeric`: what it reads, trains and says."""

import gzip
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # benchmarks is no part of the installed package

from benchmarks import numeric  # noqa: E402
from benchmarks.numeric import Part, Run, Settings, Table, adult, california  # noqa: E402


def write(path, lines):
    path.parent.mkdir(exist_ok=True)
    with gzip.open(path, "wt") as file:
        file.write("\n".join(lines) + "\n")


@pytest.fixture
def folder(tmp_path):
    """Files of the two data sets' forms."""
    columns = "longitude,latitude,housing_median_age,total_rooms,total_bedrooms,population"
    rows = [
        f"-122,{35 + i / 100},{i},{8 * i},{2 * i},{6 * i},{i},3.5,{i}00000" for i in range(1, 51)
    ]
    write(
        tmp_path / "california-housing.csv.gz",
        [f"{columns},households,median_income,median_house_value", *rows],
    )
    for name, end, number in (("data", "", 20), ("test", ".", 6)):
        lines = ["age, workclass, hours-per-week, Y"]
        for i in range(number):
            label = ">50K" if i % 2 else "<=50K"
            lines.append(f"{i}, {'?' if i % 3 else 'Private'}, {i * 2}, {label}{end}")
        write(tmp_path / "adult" / f"adult.{name}.gz", [*lines, ""])
    return tmp_path


def test_california_is_scikit_learns(folder):
    table = california(folder)
    parts = (table.train, table.validation, table.test)
    assert [len(part.target) for part in parts] == [32, 8, 10]
    assert table.regression
    targets = np.concatenate([part.target for part in parts])
    assert sorted(targets.tolist()) == list(range(1, 51))  # in 100,000; each row in one part
    for part in parts:
        assert part.categories.shape == (len(part.target), 0)
        for numbers, target in zip(part.numbers, part.target, strict=True):
            expected = [3.5, target, 8, 2, 6 * target, 6, 35 + target / 100, -122]
            np.testing.assert_allclose(numbers, expected, rtol=1e-5)


def test_adult_keeps_its_test(folder):
    table = adult(folder)
    assert [len(part.target) for part in (table.train, table.validation, table.test)] == [16, 4, 6]
    assert not table.regression
    assert table.test.target.tolist() == [0, 1, 0, 1, 0, 1]
    assert table.test.numbers.tolist() == [[i, 2 * i] for i in range(6)]
    assert table.test.categories.tolist() == [[i % 3 != 0, i % 3 == 0] for i in range(6)]
    ages = np.concatenate([table.train.numbers, table.validation.numbers])[:, 0]
    assert sorted(ages.tolist()) == list(range(20))


def test_an_unknown_label_is_an_error(folder):
    write(folder / "adult" / "adult.test.gz", ["age, workclass, hours-per-week, Y", "1, ?, 2, 50K"])
    with pytest.raises(ValueError, match="column Y holds"):
        adult(folder)


def steps(regression, seed=0):
    """A number whose target jumps many times, and one that says nothing."""
    rng = np.random.default_rng(seed)
    numbers = rng.uniform(size=(2048, 2)).astype(np.float32)
    high = np.floor(numbers[:, 0] * 7) % 2
    target = high.astype(np.float32) if regression else high.astype(np.int32)
    every = Part(numbers, np.ones((len(numbers), 1), np.float32), target)
    rows = np.arange(len(numbers))
    return Table(every.take(rows[:1024]), every.take(rows[1024:1536]), every.take(rows[1536:]))


@pytest.mark.slow
@pytest.mark.parametrize("regression", [True, False])
def test_bins_find_the_steps_that_plain_numbers_do_not(regression, monkeypatch):
    monkeypatch.setattr(numeric, "_BATCH", 32)
    table = steps(regression)
    plain = numeric.train(table, Settings(), 0, max_epochs=10)
    embedded = numeric.train(table, Settings(num_bins=32, leaf=8, dim=8), 0, max_epochs=10)
    assert plain.epochs == embedded.epochs == 10
    if regression:
        assert embedded.test < 0.85 * plain.test
    else:
        assert embedded.test > plain.test + 0.05
    assert abs(embedded.test - embedded.validation) < 0.1


@pytest.mark.slow
def test_a_training_is_its_seeds():
    table = steps(True)
    settings = Settings(num_bins=4, leaf=8, dim=2)
    first, again, other = (
        numeric.train(table, settings, seed, test=False, max_epochs=2) for seed in (1, 1, 2)
    )
    assert first.test is None
    assert first.validation == pytest.approx(again.validation, abs=1e-6)
    assert first.validation != other.validation


@pytest.mark.slow
def test_the_best_epoch_is_kept(monkeypatch):
    # Validation wants the opposite of training: the first epoch is the best, and later ones worse.
    monkeypatch.setattr(numeric, "_BATCH", 32)
    table = steps(True)
    rows = table.validation
    opposite = Part(rows.numbers, rows.categories, 1 - rows.target)
    run = numeric.train(
        Table(table.train, opposite, opposite), Settings(num_bins=32, leaf=8, dim=8), 0, patience=3
    )
    assert run.epochs == 4
    assert run.test == pytest.approx(run.validation)


def test_the_section():
    def runs(*tests):
        return [Run(test - 0.01, test, 10, 5.0) for test in tests]

    results = {
        "California housing": (runs(0.5, 0.52), runs(0.44, 0.46)),
        "Adult": (runs(0.85, 0.85), runs(0.855, 0.857)),
    }
    text = numeric.section(results)
    assert "| 0.5000, 0.5200 | **0.5100** ± 0.0141 | 0.4947 |" in text
    assert "| 0.8550, 0.8570 | **0.8560** ± 0.0014 | 0.8682 |" in text
    assert "California housing: RMSE -11.8% (aim: RMSE at least 10% lower; reached)" in text
    assert "Adult: accuracy +0.60 points (aim: accuracy at least 1 point more; not reached)" in text


def test_the_command(folder, monkeypatch, capsys):
    monkeypatch.delenv("TFRECS_DATA", raising=False)
    with pytest.raises(SystemExit) as error:
        numeric.main([])
    assert error.value.code == 2
    assert "set TFRECS_DATA" in capsys.readouterr().err
    monkeypatch.setenv("TFRECS_DATA", str(folder))
    trained = []

    def train(table, settings, seed, test=True):
        trained.append((table.regression, bool(settings.num_bins), seed, test))
        return Run(0.1 * settings.dropout + seed, 0.5 if test else None, 3, 1.0)

    monkeypatch.setattr(numeric, "train", train)
    output = folder / "RESULTS.md"
    numeric.main(["--seeds", "2", "--output", str(output)])
    every = [(r, e, s, True) for r in (True, False) for e in (False, True) for s in (0, 1)]
    assert trained == every
    assert output.read_text().count("<!-- begin numeric -->") == 1
    trained.clear()
    numeric.main(["--only", "Adult", "--tune", "--seeds", "1"])
    assert trained
    assert not any(regression or test for regression, _, _, test in trained)
    said = capsys.readouterr().out.splitlines()
    assert [line.split("(")[1] for line in said if line.startswith("best:")] == [
        "dropout=0.5, weight_decay=0.0001, num_bins=0, leaf=64, dim=24)",
        "dropout=0.5, weight_decay=0.0001, num_bins=48, leaf=64, dim=24)",
    ]
