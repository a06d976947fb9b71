"""The figures of a run on sessions, where items come again, are those that its export gives."""

import gzip
import json

import numpy as np
import pytest

import tfrecs
from tfrecs.serving import Recommender
from tfrecs.training import Run

NUM_ITEMS = 12


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The same sessions as published lines and as published tables with times."""
    rng = np.random.default_rng(1)
    rows = []
    for _ in range(80):
        row = [int(rng.integers(NUM_ITEMS))]
        while len(row) < 2 or rng.random() < 0.7:
            # The next item, or one that the session holds already.
            again = rng.random() < 1 / 3
            row.append(int(rng.choice(row)) if again else (row[-1] + 1) % NUM_ITEMS)
        rows.append([f"i{item}" for item in row])
    lines, tables = (tmp_path_factory.mktemp(name) for name in ("lines", "tables"))
    train, test = rows[:60], rows[60:]
    pairs = [(row[:n], row[n]) for row in test for n in range(1, len(row))]
    content = {
        "train.txt.gz": "".join(" ".join(row) + "\n" for row in train),
        "test.txt.gz": "".join(f"{' '.join(row)}\t{target}\n" for row, target in pairs),
    }
    for name, text in content.items():
        (lines / name).write_bytes(gzip.compress(text.encode()))
    for name, part in (("train.tsv", train), ("test.tsv", test)):
        first = 0 if part is train else len(train)
        events = [
            f"s{first + number}\t{item}\t{100 * (first + number) + place}\n"
            for number, row in enumerate(part)
            for place, item in enumerate(row)
        ]
        (tables / name).write_text("SessionId\tItemId\tTime\n" + "".join(events))
    return {"lines": lines, "tables": tables}, pairs


COLUMNS = ["user=SessionId", "item=ItemId", "timestamp=Time"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("form", "model"), [("lines", "gru4rec"), ("tables", "gru4rec"), ("lines", "sasrec")]
)
def test_reported_figures_are_those_of_the_export(form, model, folders, tmp_path, capsys):
    places, pairs = folders
    run, exports = tmp_path / "run", tmp_path / "exports"
    words = ["--data", str(places[form]), "--split", "sessions", "--output", str(run)]
    if form == "tables":
        words += [f"--data_args.{column}" for column in COLUMNS]
    fast = ["--epochs", "8", "--batch_size", "8", "--learning_rate", "0.02"]
    fast += ["--model", model, "--model.dim", "8", "--model.dropout", "0"]
    tfrecs.cli.main(["train", *words, *fast])
    out = capsys.readouterr().out
    assert "HR@20" in out
    assert "MRR@20" in out
    tfrecs.cli.main(["export", str(run), "--output", str(exports), "--k", str(NUM_ITEMS)])
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["recommend_known"] is True
    assert metrics["repeats"]["test"]["share"] > 0.15
    assert metrics["num_items"] == NUM_ITEMS
    test = Run(run).load_split().test
    assert len(test) == len(pairs)

    recommender = Recommender(exports)
    assert recommender.recommend_known is True
    ranks = []
    for history, target in pairs:
        answer = recommender.recommend(history=history, k=NUM_ITEMS)
        assert len(answer) == NUM_ITEMS  # Nothing is left out, what the session holds neither.
        answer.sort(key=lambda pair, target=target: (-pair[1], pair[0] == target))
        ranks.append(1 + [item for item, _ in answer].index(target))
    ranks = np.array(ranks)
    assert metrics["test"]["HR@10"] == pytest.approx((ranks <= 10).mean(), abs=1e-6)
    assert metrics["test"]["MRR@20"] == pytest.approx((1 / ranks).mean(), abs=1e-6)
    assert metrics["test"]["MRR@20"] > metrics["baselines"]["popularity"]["MRR@20"]

    # `evaluate` finds them again, and leaves known items out where it is asked to.
    for flags, expected in (([], True), (["--recommend_known", "false"], False)):
        path = tmp_path / "report.json"
        tfrecs.cli.main(["evaluate", str(run), "--json", str(path), *flags])
        report = json.loads(path.read_text())
        assert report["protocol"]["recommend_known"] is expected
        same = report["metrics"]["MRR@20"] == pytest.approx(metrics["test"]["MRR@20"], abs=1e-6)
        assert same is expected
