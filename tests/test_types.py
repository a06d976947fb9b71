"""What an editor sees: type checkers know the package, and find the typos of a user's script."""

import subprocess
import sys

import pytest

GOOD = """
import tfrecs

split = tfrecs.data.leave_last_out(tfrecs.data.load("ml-100k"))
model = tfrecs.models.SASRec(split.items, dim=64, max_length=50)
model.compile(optimizer="adam")
model.fit(model.examples(split.train).batch(32), validation_data=split.validation)
report = tfrecs.evaluate(model, split.test, ks=(10, 20))
report.interval("NDCG@10")
tfrecs.serving.export(model, "exports/sasrec")
rows = tfrecs.data.click_through(tfrecs.data.load("ml-100k"))
ranker = tfrecs.models.DeepCross.from_split(rows)
print(tfrecs.evaluate(ranker, rows.test).intervals)
"""
TYPOS = [
    "tfrecs.data.leave_last_outs",
    "split.tests",
    "split.known_items(tests=True)",
    "report.intervall('NDCG@10')",
    "tfrecs.evaluate(model, split.test, recommend_knwon=True)",
    "tfrecs.serving.export(model, 'x', known_item=None)",
    "tfrecs.data.read('log.csv', user_feature=None)",
    "tfrecs.models.SASRec(split.items, dim='large')",
    "model.score(split.items, itemz=None)",
]
CHECKERS = {
    "mypy": ["mypy", "--no-incremental", "--ignore-missing-imports"],
    "pyright": ["basedpyright", "--level", "error", "--pythonpath", sys.executable],
}


@pytest.mark.slow
@pytest.mark.parametrize("checker", CHECKERS)
def test_a_users_script(checker, tmp_path):
    good, bad = tmp_path / "good.py", tmp_path / "bad.py"
    good.write_text(GOOD)
    bad.write_text("\n".join([GOOD.strip(), *TYPOS]) + "\n")
    (tmp_path / "pyrightconfig.json").write_text('{"typeCheckingMode": "basic"}')
    command = [sys.executable, "-m", *CHECKERS[checker]]

    def lines_with_errors(path):
        done = subprocess.run(
            [*command, path.name], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        errors = [
            line for line in done.stdout.splitlines() if "error" in line and path.name in line
        ]
        return {int(line.split(f"{path.name}:")[1].split(":")[0]) for line in errors}, done.stdout

    found, told = lines_with_errors(good)
    assert not found, told
    first = len(GOOD.strip().splitlines()) + 1
    found, told = lines_with_errors(bad)
    assert found == set(range(first, first + len(TYPOS))), told
