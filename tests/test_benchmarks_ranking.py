"""The parts of `benchmarks.ranking`: rows, plan, models, files and the section it writes."""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # benchmarks is no part of the installed package

import tfrecs  # noqa: E402
from benchmarks import machine, ranking  # noqa: E402
from benchmarks.harness import Limits, Outcome, Process, Record, alternate  # noqa: E402
from benchmarks.peers import tfrs as tutorial  # noqa: E402
from benchmarks.ranking import (  # noqa: E402
    CATEGORY_NAMES,
    CRITEO,
    NUMBER_NAMES,
    Settings,
    flops_per_row,
    make_table,
    plan,
    vocabulary_sizes,
)
from tfrecs._keras import tf  # noqa: E402

IDS = 2000
SETTINGS = Settings(ids=IDS, rows=600, dim=2, deep_units=(4, 3), batch_size=64)


@pytest.mark.parametrize("total", [400, 1_000_000, 10_000_000])
def test_vocabularies_have_criteos_proportions(total):
    sizes = vocabulary_sizes(total)
    assert sizes.sum() == total
    assert len(sizes) == 26
    assert sizes.min() == 3
    large = np.array(CRITEO) > 10**6
    shares = np.array(CRITEO) / sum(CRITEO)
    np.testing.assert_allclose(sizes[large] / total, shares[large], atol=60 / total)


def test_too_few_ids():
    with pytest.raises(ValueError, match="70 ids are too few for 26 columns"):
        vocabulary_sizes(70)


def test_rows_follow_from_the_seed():
    columns = make_table(20_000, 1_000_000, seed=1)
    assert list(columns) == [*CATEGORY_NAMES, *NUMBER_NAMES, "label"]
    assert all(len(values) == 20_000 for values in columns.values())
    for name, size in zip(CATEGORY_NAMES, vocabulary_sizes(1_000_000), strict=True):
        assert columns[name].dtype == np.int32
        assert 1 <= columns[name].min() <= columns[name].max() <= size
    # Zipf's law: as many ids in 1..s as in s + 1..(s + 1)^2 - 1, up to chance.
    ids = columns["C3"]
    half = int(np.sqrt(vocabulary_sizes(1_000_000)[2]))
    assert abs((ids <= half).mean() - 0.5) < 0.02
    assert 0.2 < columns["label"].mean() < 0.4
    again = make_table(20_000, 1_000_000, seed=1)
    for name, values in columns.items():
        np.testing.assert_array_equal(again[name], values)
    assert (make_table(20_000, 1_000_000, seed=2)["label"] != columns["label"]).any()


def test_labels_can_be_learnt_from_the_columns():
    table = make_table(30_000, IDS)
    small = [CATEGORY_NAMES[i] for i, size in enumerate(vocabulary_sizes(IDS)) if size < 60]
    frame = pd.DataFrame(table)
    features = pd.get_dummies(frame[small].astype(str)).to_numpy()
    features = np.hstack([features, frame[list(NUMBER_NAMES)]])
    labels = table["label"]
    learner = LogisticRegression(max_iter=300).fit(features[:20_000], labels[:20_000])
    scores = learner.predict_proba(features[20_000:])[:, 1]
    assert roc_auc_score(labels[20_000:], scores) > 0.7


def test_flops_of_a_row_by_hand():
    # Forward and two gradients: two crosses 3 * 2 * 25 each, 5x4 and 4x3, output of 5 + 3.
    assert flops_per_row(5, 2, (4, 3)) == 2 * 150 + 6 * (20 + 12) + 6 * 8
    assert flops_per_row(429, 3, (256, 256)) == 4_369_008


def test_a_plan_holds_the_trainers_asked_for():
    totals = {"1m": 10**6, "10m": 10**7}
    everything = plan(totals, threads=3)
    assert sum(map(len, everything.values())) == 2 * 6 + 4
    every = [record for group in everything.values() for record in group]
    assert len({record.name for record in every}) == len(every)
    architectures = {
        (s.dim, s.cross_layers, s.deep_units, s.batch_size, s.rows, s.learning_rate, s.threads)
        for s in (record.settings for record in every)
    }
    assert architectures == {(16, 3, (256, 256), 4096, 2**18, 1e-3, 3)}
    some = plan(totals, 2, "recbole, input-parquet", rows=9)
    assert [record.name for record in some["10m"]] == ["recbole-10m", "recbole-narrow-10m"]
    assert [record.settings.parquet for record in some["input"]] == [True, True]
    assert [record.settings.strings for record in some["input"]] == [False, True]
    assert {record.settings.rows for group in some.values() for record in group} == {9}
    with pytest.raises(ValueError, match="xdeepfm.*tfrecs-lazy"):
        plan(totals, 2, "tfrecs,xdeepfm")
    assert len({record.label for record in every}) == 10


def test_settings_survive_the_command_line():
    arguments = json.loads(SETTINGS.command("module:train", "python")[-1])
    assert Settings(**arguments) == Settings(
        **{**arguments, "deep_units": list(SETTINGS.deep_units)}
    )
    assert arguments["ids"] == IDS


def test_the_command_is_told_without_paths(tmp_path):
    given = ["--peers-venv", str(tmp_path), "--quick", "--turn", "3", "--only", "tutorial"]
    told = ranking.parse_arguments(given).command
    assert told == "python -m benchmarks.ranking --turn 3 --quick --only tutorial"


def test_an_unknown_trainer_ends_with_one_line(capsys):
    with pytest.raises(SystemExit) as error:
        ranking.parse_arguments(["--only", "xdeepfm"])
    assert error.value.code == 2
    assert "xdeepfm" in capsys.readouterr().err.splitlines()[-1]


def test_environments_differ_by_their_requirements():
    hashes = [
        machine.requirements_hash(machine.requirements(name)) for name in ("peers", "deepctr")
    ]
    assert hashes[0] != hashes[1]
    assert all(len(machine.requirements(name)) == 2 for name in ("peers", "deepctr"))


def weights_of(model):
    return {variable.name.removesuffix(":0"): variable.numpy() for variable in model.variables}


def test_the_tutorials_model_computes_what_tfrecs_does():
    schema = ranking.make_schema(IDS)
    table = make_table(50, IDS)
    rows = tfrecs.data.Rows(table, "label")
    ours = ranking.make_tfrecs(SETTINGS, schema)
    ours.adapt(rows)
    # Of the numbers, the tutorial takes what the sigmoid of ours has made.
    batch = {name: tf.constant(values) for name, values in table.items()}
    values = tf.stack([batch[name] for name in NUMBER_NAMES], axis=-1)
    squashed = ours.encoder.numbers["squashing"](values)
    given = {**batch, **dict(zip(NUMBER_NAMES, tf.unstack(squashed, axis=1), strict=True))}
    sizes = vocabulary_sizes(IDS).tolist()
    plain = tutorial.TutorialDCN(sizes, dim=2, cross_layers=3, deep_units=(4, 3))
    plain(given)
    width = SETTINGS.dim * len(CATEGORY_NAMES) + len(NUMBER_NAMES)
    categories = ours.encoder.categories
    for name, size in zip(CATEGORY_NAMES, sizes, strict=True):
        vectors = categories.table.numpy()[categories.rows_of(name)]
        plain.embeddings[name].set_weights([vectors[: size + 1]])
    for cross, layer in zip(ours.crosses.crosses, plain.crosses, strict=True):
        # Ours has zeros after the features, up to a whole cache line.
        kernel, bias = cross.get_weights()
        layer.set_weights([kernel[:width, :width], bias[:width]])
    (kernel, bias), *deep = (dense.get_weights() for dense in ours.crosses.deep[::2])
    for weights, layer in zip([[kernel[:width], bias], *deep], plain.deep, strict=True):
        layer.set_weights(weights)
    kernel, bias = ours.output_layer.get_weights()
    plain.logit.set_weights([np.delete(kernel, slice(width, ours.encoder.width), 0), bias])
    np.testing.assert_allclose(plain(given)[:, 0], ours.logits(batch), atol=1e-5)
    loss = plain.compute_loss(given, training=True)
    np.testing.assert_allclose(loss, ours.compute_loss(batch, training=True), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("strings", [False, True])
def test_parquet_gives_the_rows_in_memory(tmp_path, strings):
    table = make_table(200, IDS)
    ranking.write_parquet(str(tmp_path / "rows.parquet"), table, strings, group=60)
    schema = ranking.make_schema(IDS, strings)
    assert schema["C3"].vocabulary.is_integer != strings
    rows = tfrecs.data.ParquetRows(tmp_path / "rows.parquet", schema)
    (batch,) = rows.batch(200, seed=None)
    for name, values in table.items():
        np.testing.assert_array_equal(batch[name], values)


def test_cached_batches_hold_each_row_once():
    settings = Settings(ids=IDS, rows=256, seed=1)
    table = settings.table()
    batches = list(tutorial.cached_batches(settings.shuffled(), 64))
    assert [len(batch["label"]) for batch in batches] == [64] * 4
    got = np.concatenate([batch["I1"] for batch in batches])
    np.testing.assert_array_equal(np.sort(got), np.sort(table["I1"]))
    assert (got != table["I1"]).any()


@pytest.mark.slow
def test_workers_train_and_read_in_turns(tmp_path):
    common = {"ids": IDS, "rows": 600, "dim": 2, "deep_units": (4,), "batch_size": 64}
    records = [
        Record(name, name, trainer, Settings(**common, **settings))
        for name, trainer, settings in (
            ("tfrecs", ranking.TRAIN, {"epoch_steps": 2}),
            ("tutorial", ranking.TUTORIAL, {"epoch_steps": 2}),
            ("input", ranking.INPUT, {"parquet": True}),
        )
    ]
    variables = {"CUDA_VISIBLE_DEVICES": "-1"}
    alternate(
        records,
        lambda record: Process(record, sys.executable, tmp_path / record.name, variables),
        Limits(seconds=0.1, turn=0.05, timed_turns=2),
        lambda text: None,
    )
    for record in records:
        assert record.failure is None
        assert record.rate > 0
        assert all(turn["cpu_seconds"] > 0 for turn in record.turns)
        assert record.ready["versions"]["tensorflow"] == tf.__version__
    assert {record.ready.get("width") for record in records} == {2 * 26 + 13, None}


def ran(name, group, rate, **settings):
    """A record whose warm turns have that rate."""
    return Record(
        f"{name}-{group}" if group != "input" else name,
        name,
        "module:train",
        Settings(ids={"1m": 10**6, "10m": 10**7, "input": 10**6}[group], **settings),
        turns=[
            {"targets": 1, "steps": 1, "seconds": 9.0},
            {"targets": 2 * rate, "steps": 1, "seconds": 2.0},
        ],
        ready={
            "targets_per_epoch": 100,
            "base_memory": 1.0,
            "versions": {"peer": "1.0", "numpy": "2.0"},
            **({} if group == "input" else {"width": 429}),
        },
        done={"peak_memory": 250.0},
    )


def test_the_section_says_what_was_reached():
    failed = Record("deepctr-1m", "DeepCTR", "module:train", Settings(ids=10**6), failure="no")
    groups = {
        "1m": [
            ran("tfrecs-lazy", "1m", 30_000),
            ran("tutorial", "1m", 20_000),
            ran("recbole", "1m", 3_000),
            ran("recbole-narrow", "1m", 6_000),
            failed,
        ],
        "10m": [ran("tfrecs-lazy", "10m", 24_000), ran("tutorial", "10m", 6_000)],
        "input": [ran("input-parquet", "input", 90_000)],
    }
    # 30,000 samples of 4,369,008 operations are 131 GFLOP/s.
    assert ranking.aims(groups, peak=200.0) == [
        ("1,000,000 ids: useful FLOP/s of tfrecs-lazy, over the peak", 0.6553512, 0.65),
        ("1,000,000 ids: samples/s of tfrecs-lazy, over tutorial", 1.5, 1.3),
        ("1,000,000 ids: samples/s of tfrecs-lazy, over recbole-narrow", 5.0, 2.0),
        ("10,000,000 ids: samples/s of tfrecs-lazy, over tutorial", 4.0, 2.5),
        ("rows/s of input-parquet, over samples/s of tfrecs-lazy", 3.0, 1.0),
    ]
    options = argparse.Namespace(command="python -m benchmarks.ranking", limits=Limits(), threads=2)
    peaks = {"2x2x2": 90.0, "4x4x4": 200.0}
    outcome = Outcome(groups, peaks, "A machine, numpy 2.0.", others=0.02)
    text = ranking.section(options, outcome)
    assert "| tfrecs-lazy | 30,000 (30,000–30,000) | 137 | 429 | 4.37 | 131 | .66 | 250 |" in text
    assert "| DeepCTR | – | – | – | – | – | – | – |" in text
    assert "### Vocabularies of 10,000,000 ids together" in text
    assert "| input-parquet | 90,000 (90,000–90,000) |" in text
    assert "over tutorial | 4.00 | 2.5 |" in text
    assert "deepctr-1m failed: no." in text
    assert text.endswith(
        "Trainers: peer 1.0. Other processes took 2% of the processors' time meanwhile."
    )
