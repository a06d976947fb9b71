"""The benchmark of serving: its workers, and the section."""

import argparse
import json
import sys

import numpy as np
import pytest

from benchmarks import serving
from benchmarks.harness import Outcome, Process, Record


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """A turn and more of each search that needs no environment of its own."""
    folder = tmp_path_factory.mktemp("search")
    rng = np.random.default_rng(0)
    files = []
    for name, rows in (("vectors", 20_000), ("queries", 8)):
        files.append(str(folder / f"{name}.npy"))
        np.save(files[-1], rng.standard_normal((rows, 8), np.float32))
    made = []
    for name, label, trainer, _ in serving.SEARCHES[:2]:
        settings = serving.Settings(*files, batch_size=4, k=9)
        made.append(Record(name, label, trainer, settings))
        process = Process(made[-1], sys.executable, folder / f"{name}.log", {})
        process.wait_ready()
        for _ in range(2):
            process.train(0.05)
        process.stop()
        assert process.failure is None
    vectors, queries = (np.load(file) for file in files)
    return made, np.argsort(-queries[:4] @ vectors.T, axis=1)[:, :9]


@pytest.mark.slow
def test_the_workers_find_the_same(records):
    (ours, theirs), want = records
    assert ours.ready["found"] == theirs.ready["found"] == want.tolist()
    assert serving.search_row(ours, theirs, None)["same items"] == "100.00%"
    assert ours.rate > 0
    assert ours.turns[0]["targets"] == 4 * ours.turns[0]["steps"]


@pytest.mark.slow
def test_the_section(records, monkeypatch, tmp_path):
    name, label, trainer, _ = serving.SEARCHES[2]
    failed = Record(name, label, trainer, records[0][0].settings, failure="it died without a word")
    made = [*records[0], failed]
    monkeypatch.setattr(serving, "plan", lambda options, folder: {"4": made})
    monkeypatch.setattr(serving, "compare", lambda *a: Outcome(a[1], {}, "A machine.", 0.0))
    called = {"export_sasrec": "export", "request_latencies": np.linspace(0, 4, 401).tolist()}
    monkeypatch.setattr(
        serving.machine, "call", lambda function, *a, **_: called[function.partition(":")[2]]
    )
    path = tmp_path / "RESULTS.md"
    with pytest.raises(SystemExit, match="1"):
        serving.main(["--turns", "2", "--batches", "64", "--output", str(path)])
    text = path.read_text()
    assert "`python -m benchmarks.serving --batches 64 --turns 2`" in text
    assert "| 4 | tfrecs `BlockTopK` | " in text
    assert "99% within **3.96 ms** (aim 5 ms)" in text
    assert "1.00 x | 100.00% |" in text
    assert "| 4 | faiss `IndexFlatIP` | – | – | – | – |" in text


def test_the_plan_searches_the_same_in_every_batch_size(tmp_path):
    options = argparse.Namespace(items=9, dim=4, batches=[3, 1], threads=2)
    groups = serving.plan(options, str(tmp_path))
    assert {size: len(group) for size, group in groups.items()} == {"3": 3, "1": 3}
    for size, group in groups.items():
        for record in group:
            vectors, queries = record.settings.load()
            assert vectors.shape == (9, 4)
            assert queries.shape == (int(size), 4)
            assert record.settings.k == 100


def test_requests_fit_an_export():
    inputs = {"exclude": {"shape": [None, 3]}}
    manifest = {"signatures": {"serving_default": {"inputs": inputs}}, "padding_id": -1}
    manifest |= {"max_history": 5, "num_items": 9}
    (request, _) = serving.requests(manifest, 2)
    assert request["history"].shape == (1, 5)
    assert request["history"].dtype == np.int64
    assert request["exclude"].tolist() == [[-1, -1, -1]]

    class Model:
        def run(self, signature, inputs):
            assert signature == "serving_default"
            json.dumps(inputs["history"].tolist())

    found = serving.latencies(Model(), [request], 2, 0.05)
    assert found
    assert min(found) >= 0
