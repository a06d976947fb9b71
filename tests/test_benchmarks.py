"""The parts of the benchmarks that count, split, rank and write."""

import argparse
import gzip
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # benchmarks is no part of the installed package

from benchmarks import machine, protocol, report, sequential  # noqa: E402
from benchmarks.harness import Limits, Outcome, Process, Record, alternate  # noqa: E402
from benchmarks.sequential import Settings, flops_per_target, plan  # noqa: E402

ROWS = [[10, 30, 20, 40], [30, 50, 10], [20, 30, 40, 50, 10]]


def record(name="tfrecs-full", rates=(), epochs=(), **settings):
    """A record whose turns, after a cold one of 1 target/s, have those rates over 2 s each."""
    rates = [1, *rates] if rates else []
    return Record(
        name,
        name,
        "module:train",
        Settings(data="log", **settings),
        turns=[{"targets": 2 * rate, "steps": 1, "seconds": 2.0} for rate in rates],
        epochs=list(epochs),
        ready={
            "targets_per_epoch": 1000,
            "base_memory": 100.0,
            "num_items": 1000,
            "versions": {"peer": "1.0", "numpy": "2.0"},
        },
        done={"peak_memory": 250.0},
    )


def epoch(number, seconds, ndcg, test=0.0):
    quality = {"HR@10": 2 * ndcg, "NDCG@10": ndcg}
    return {
        "epoch": number,
        "seconds": seconds,
        "validation": quality,
        "test": {"HR@10": 2 * test, "NDCG@10": test},
    }


def test_flops_of_a_target_by_hand():
    # Forward and two gradients: scores 3 * 2 * 10 * 2, attention 3 * 4 * 2 * 2 * 2, FFN 3 * 2 * 12.
    assert flops_per_target(num_items=10, dim=2, num_blocks=1, hidden_dim=3) == 120 + 96 + 72
    assert flops_per_target(num_items=10, dim=2, num_blocks=2) == 120 + 2 * (96 + 48)
    assert flops_per_target(12101, 64, 2) == 4_941_696


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("pairs", [False, True])
def test_both_kinds_of_lines_are_read(tmp_path, zipped, pairs):
    if pairs:
        # A user's lines need not be next to each other, but are in time order.
        lines = ["7 10", "8 30", "7 30", "8 50", "7 20", "8 10", "7 40"]
        expected = ROWS[:2]
    else:
        lines = [" ".join(map(str, [user, *row])) for user, row in enumerate(ROWS)]
        expected = ROWS
    path = tmp_path / ("log.txt.gz" if zipped else "log.txt")
    with (gzip.open if zipped else open)(path, "wt") as file:
        file.write("\n".join(lines) + "\n")
    assert [row.tolist() for row in protocol.read_rows(path)] == expected


def test_leave_last_out_by_hand():
    split = protocol.leave_last_out([np.array(row) for row in ROWS])
    assert split.items.tolist() == [10, 20, 30, 40, 50]
    assert [row.tolist() for row in split.train] == [[1, 3], [3], [2, 3, 4]]
    assert split.validation.tolist() == [2, 5, 5]
    assert split.test.tolist() == [4, 1, 1]
    assert [row.tolist() for row in split.test_histories()] == [[1, 3, 2], [3, 5], [2, 3, 4, 5]]
    assert split.num_targets(50) == 1 + 0 + 2
    assert split.num_targets(1) == 1 + 0 + 1


def test_a_user_too_short_to_split_is_an_error():
    with pytest.raises(ValueError, match="three or more"):
        protocol.leave_last_out([np.array([1, 2])])


def test_padding_is_left_and_the_recent_items_stay():
    table = protocol.padded([np.array([1, 2, 3]), np.array([4]), np.array([], int)], 2, padding=9)
    assert table.tolist() == [[2, 3], [9, 4], [9, 9]]


def test_ranks_equal_a_loop_over_items():
    rng = np.random.default_rng(0)
    # Small integers make many ties; 2 does not divide the 7 users.
    states = rng.integers(-1, 2, [7, 3]).astype(float)
    vectors = rng.integers(-1, 2, [9, 3]).astype(float)
    vectors[4] = np.nan  # item 5 cannot be scored
    seen = [rng.choice(9, size, replace=False) + 1 for size in [0, 1, 2, 3, 4, 5, 6]]
    targets = np.array([1, 5, 3, 9, 2, 7, 8])
    seen[3] = np.append(seen[3], 9)  # a seen target is a candidate all the same
    expected = []
    for state, row, target in zip(states, seen, targets, strict=True):
        scores = {
            item: -np.inf if item == 5 else float(state @ vectors[item - 1])
            for item in range(1, 10)
            if item == target or item not in row
        }
        others = [score for item, score in scores.items() if item != target]
        beaten_by = sum(score >= scores[target] for score in others)
        if target == 5:  # it comes after every item, the masked ones too
            beaten_by = 8
        expected.append(1 + beaten_by)
    assert protocol.ranks(states, vectors, seen, targets, batch_size=2).tolist() == expected


def test_states_that_are_not_finite_are_an_error():
    with pytest.raises(ValueError, match="diverged"):
        protocol.ranks(np.full([1, 2], np.nan), np.ones([3, 2]), [np.array([1])], np.array([2]))


def test_metrics_by_hand():
    result = protocol.metrics(np.array([1, 3, 10, 11]))
    assert result["HR@10"] == 0.75
    assert result["NDCG@10"] == pytest.approx((1 + 1 / 2 + 1 / np.log2(11)) / 4)


def test_a_split_is_evaluated_on_the_history_before_the_target():
    split = protocol.leave_last_out([np.array(row) for row in ROWS])
    asked = []

    def encode(histories):
        asked.append([row.tolist() for row in histories])
        return np.eye(5)[split.validation - 1]

    assert protocol.evaluate(split, encode, np.eye(5), "validation") == {"HR@10": 1, "NDCG@10": 1}
    assert asked == [[[1, 3], [3], [2, 3, 4]]]
    # The states point at items seen by then, and all others tie.
    ranks = [2, 3, 1]
    expected = sum(1 / np.log2(rank + 1) for rank in ranks) / 3
    assert protocol.evaluate(split, encode, np.eye(5), "test")["NDCG@10"] == pytest.approx(expected)


def test_requirements_hash_ignores_comments_alone(tmp_path):
    texts = [
        "torch==2.5.1  # why\n\nnumpy\n",
        "# other\ntorch==2.5.1\nnumpy\n",
        "torch==2.5.0\nnumpy\n",
    ]
    hashes = []
    for number, text in enumerate(texts):
        file = tmp_path / f"{number}.txt"
        file.write_text(text)
        hashes.append(machine.requirements_hash([file]))
    assert hashes[0] == hashes[1] != hashes[2]


def test_an_environment_is_current_by_its_hash(tmp_path):
    assert not machine.is_current(tmp_path, "abc")
    (tmp_path / "requirements.sha256").write_text("abc")
    assert machine.is_current(tmp_path, "abc")
    assert not machine.is_current(tmp_path, "abd")


def test_a_complete_environment_is_taken_as_it_is(tmp_path, monkeypatch):
    wanted = machine.requirements_hash(machine.requirements("peers"))
    (tmp_path / "requirements.sha256").write_text(wanted)
    monkeypatch.setattr(subprocess, "run", None)  # nothing may be started
    assert machine.ensure("peers", tmp_path) == str(machine.python_of(tmp_path))


def test_a_plan_holds_the_trainers_asked_for(tmp_path):
    everything = plan(tmp_path, threads=3)
    names = [record.name for group in everything.values() for record in group]
    assert len(names) == 13 == len(set(names))
    groups = plan(tmp_path, threads=3, only="replay, keras")
    assert [record.name for record in groups["ml-1m"]] == ["keras-ml-1m"]
    assert {record.name.split("-")[0] for record in groups["beauty"]} == {"replay"}
    assert groups["utilisation"] == []
    settings = groups["ml-1m"][0].settings
    assert groups["ml-1m"][0].trainer == "benchmarks.peers.plain_keras:train"
    assert (settings.max_length, settings.threads) == (200, 3)
    assert Path(settings.data).is_absolute()


def test_an_unknown_trainer_is_named(tmp_path):
    with pytest.raises(ValueError, match="implicit.*tfrecs-full"):
        plan(tmp_path, 2, only="tfrecs,implicit")


def test_every_beauty_trainer_has_the_same_architecture(tmp_path):
    kept = {
        tuple(
            getattr(record.settings, name)
            for name in Settings.__dataclass_fields__
            if name in shared
        )
        for record in plan(tmp_path, 2)["beauty"]
        for shared in [("dim", "num_blocks", "num_heads", "max_length", "dropout", "batch_size")]
    }
    assert kept == {(64, 2, 2, 50, 0.2, 128)}


@pytest.mark.parametrize("arguments", [["--data", "nowhere"], ["--only", "implicit"], []])
def test_bad_arguments_end_with_one_line(tmp_path, monkeypatch, capsys, arguments):
    monkeypatch.delenv("TFRECS_DATA", raising=False)
    if "--only" in arguments:
        arguments = [*arguments, "--data", str(tmp_path)]
    with pytest.raises(SystemExit) as error:
        sequential.parse_arguments(arguments)
    assert error.value.code == 2
    assert "error: " in capsys.readouterr().err.splitlines()[-1]


def test_a_command_is_told_without_paths(tmp_path):
    given = ["--data", str(tmp_path), "--peers-venv", str(tmp_path), "--quick", "--minutes", "3"]
    assert (
        sequential.parse_arguments(given).command
        == "python -m benchmarks.sequential --minutes 3 --quick"
    )


def test_settings_survive_the_command_line():
    settings = Settings(data="log", loss="sampled", dim=8)
    assert Settings(**json.loads(settings.command("module:train", "python")[-1])) == settings


def test_a_record_counts_the_warm_turns():
    one = record(rates=[300, 100, 200], epochs=[epoch(1, 4.0, 0.01), epoch(2, 8.0, 0.03)])
    assert one.rates == [300, 100, 200]
    assert one.rate == 200
    assert one.seconds == 8.0
    assert one.seconds_per_epoch == 5.0
    assert one.seconds_to(0.03) == 8.0
    assert one.seconds_to(0.031) is None
    assert one.best["epoch"] == 2
    assert np.isnan(record().rate)


@pytest.mark.parametrize(
    ("limits", "rates", "epochs", "reached"),
    [
        ({"seconds": 8}, [100] * 3, [], True),
        ({"seconds": 1}, [], [], False),
        ({"seconds": 1}, [100], [], True),
        ({"seconds": 9}, [100] * 2, [], False),
        # An epoch of 1,000 targets takes 10 s.
        ({"seconds": 9}, [100] * 3, [], True),
        ({"seconds": 11}, [100] * 3, [], False),
        ({"seconds": 99, "patience": 1}, [500] * 9, [epoch(1, 2, 0.2), epoch(2, 4, 0.1)], True),
        ({"seconds": 99, "patience": 2}, [500] * 9, [epoch(1, 2, 0.2), epoch(2, 4, 0.1)], False),
    ],
)
def test_limits(limits, rates, epochs, reached):
    assert (
        Limits(**{"timed_turns": 4, **limits}).reached(record(rates=rates, epochs=epochs))
        is reached
    )


def test_a_trainer_without_evaluation_is_only_timed():
    assert Limits(timed_turns=3).reached(record(rates=[9, 9], evaluate=False))
    assert not Limits(timed_turns=3).reached(record(rates=[9], evaluate=False))


def test_ratios_are_over_the_fastest_peer_of_a_loss():
    groups = {
        "beauty": [
            record(rates=[100]),
            record("tfrecs-sampled", [120], loss="sampled"),
            record("replay-full", [3]),
            record("recbole-full", [4]),
            record("replay-sampled", [30], loss="sampled"),
            record("rectools-sampled", [60], loss="sampled"),
            record("rectools-full"),
        ],
        "ml-1m": [record("tfrecs-ml-1m", [90]), record("keras-ml-1m", [40])],
        "utilisation": [],
    }
    assert sequential.ratios(groups) == [
        ("Beauty: tfrecs-full over recbole-full", 25.0, 25.0),
        ("Beauty: tfrecs-full over rectools-sampled", 100 / 60, 1.0),
        ("Beauty: tfrecs-sampled over rectools-sampled", 2.0, 3.0),
        ("Beauty: tfrecs-sampled over replay-sampled", 4.0, 3.0),
        ("ML-1M: tfrecs-ml-1m over keras-ml-1m", 2.25, 2.5),
    ]


def test_a_table_is_markdown():
    rows = [{"a": "x", "b": 1}, {"a": "y"}]
    assert report.table(rows) == "| a | b |\n| --- | --- |\n| x | 1 |\n| y | |"
    assert report.table(rows[:1], right=True) == "| a | b |\n| --- | ---: |\n| x | 1 |"


def test_every_section_has_its_words():
    def sections(path):
        text = path.read_text(encoding="utf-8")
        return dict(re.findall(r"<!-- begin (\S+) -->\n(.*?)\n<!-- end", text, re.DOTALL))

    words = sections(ROOT / "benchmarks" / "sections.md")
    for name, text in sections(report.RESULTS).items():
        pattern = re.sub(r"\\\{.*?\\\}", ".*?", re.escape(words.get(name, words["recipe"])))
        assert re.fullmatch(pattern, text, re.DOTALL), name


def test_headings_without_a_table_are_left_out():
    given = {"command": "it", "rates": {"MF": 1, "SASRec": 2}, "batches": {"MF": 3, "SASRec": 4}}
    text = report.fill("negatives-effect", **given, MF="", SASRec="| a |", ending="The end.")
    assert text.endswith("### SASRec\n\n| a |\n\nThe end.")
    assert "### MF" not in text
    assert report.table([]) == ""


def test_numbers_are_short():
    values = [1.234, 12.34, 1234.5, float("nan")]
    assert [report.short(value) for value in values] == ["1.23", "12.3", "1,234", "–"]
    assert report.quality({"HR@10": 0.09, "NDCG@10": 0.04567}) == ".0900 / .0457"


def test_the_section_says_what_was_measured(tmp_path):
    groups = {
        "beauty": [
            record(rates=[2_000_000], epochs=[epoch(1, 4.0, 0.03, 0.02)]),
            record("replay-full", [5]),
            Record(
                "recbole-full", "recbole", "module:train", Settings(data="log"), failure="no memory"
            ),
        ],
        "ml-1m": [],
        "utilisation": [],
    }
    options = argparse.Namespace(
        command="python -m benchmarks.sequential", ndcg=0.03, limits=Limits(seconds=120), threads=2
    )
    peaks = {"2x2x2": 400.0, "4x4x4": 1_730.0}
    outcome = Outcome(groups, peaks, "A machine, numpy 2.0.", others=0.25)
    text = sequential.section(options, outcome)
    ours, theirs, failed = text.splitlines()[8:11]
    assert ours == (
        "| tfrecs-full | 2,000,000 (2,000,000–2,000,000) | 0.00 | 4.00 | 250 (100) | 1 of 1 | "
        ".0600 / .0300 | .0400 / .0200 |"
    )
    assert theirs == "| replay-full | 5 (5–5) | 200 | not in 4 | 250 (100) | less than 1 | – | – |"
    assert failed == "| recbole | – | – | – | – | less than 1 | – | – |"
    assert "more than 120 s: replay-full." in text
    # 6 * 1000 * 64 + 2 * 6 * 6 * 64^2 = 678,912 operations a target; * 2e6 / 1.73e12 = .785
    assert "| tfrecs-full | 0.68 | 2,000,000 | 1,358 | .78 | .38 |" in text
    assert "recbole-full failed: no memory." in text
    assert "A machine, numpy 2.0. Trainers: peer 1.0. Other processes took 25%" in text
    assert text.endswith("too much to compare anything.")
    path = tmp_path / "RESULTS.md"
    report.publish("sequential", text, path)
    report.publish("sequential", text, path)
    assert path.read_text().count(text) == 1


FAKE_WORKER = """
import sys, time
sys.path.insert(0, {root!r})
import numpy as np
from benchmarks import protocol
from benchmarks.worker import MeteredBatches, Worker
split = protocol.leave_last_out([np.array(row) for row in {rows}])
worker = Worker()
worker.set_model(split, lambda rows: np.eye(5)[split.validation - 1], lambda: np.eye(5))
print("a library's own words")
worker.ready(["numpy"], 6)

def fit():
    batches = MeteredBatches([[1, 2], [3, 4], [5, 6]], worker, len)
    while True:
        for batch in batches:
            time.sleep(0.02)
            if {fail} and batch == [3, 4]:
                raise MemoryError("too large")

worker.run(fit)
"""


def converse(tmp_path, fail):
    """Two fake trainers, alternating until 0.3 s of training."""
    script = tmp_path / "worker.py"
    script.write_text(FAKE_WORKER.format(root=str(ROOT), rows=ROWS, fail=fail))

    class Fake(Settings):
        def command(self, trainer, python):
            return [python, str(script)]

    records = [Record(name, name, "", Fake(data="log")) for name in ("first", "second")]
    said = []

    def start(record):
        return Process(record, sys.executable, tmp_path / f"{record.name}.log", {})

    alternate(records, start, Limits(seconds=0.3, turn=0.05, patience=99), said.append)
    return records, said


def test_workers_train_in_turns(tmp_path):
    records, said = converse(tmp_path, fail=False)
    turns = [text.partition(":")[0] for text in said if "targets/s" in text]
    assert turns[:4] == ["first", "second", "first", "second"]
    for one in records:
        assert one.failure is None
        assert one.ready["targets_per_epoch"] == 6
        assert one.ready["versions"] == {"numpy": np.__version__}
        assert one.done["peak_memory"] > 1
        # A turn of .05 s holds three steps of at least .02 s, unless the machine was held up.
        assert all(1 <= turn["steps"] <= 3 for turn in one.turns)
        assert all(turn["targets"] == 2 * turn["steps"] for turn in one.turns)
        assert all(turn["seconds"] >= 0.02 * turn["steps"] for turn in one.turns)
        assert [event["epoch"] for event in one.epochs] == list(range(1, len(one.epochs) + 1))
        assert one.epochs[0]["validation"] == {"HR@10": 1, "NDCG@10": 1}
        # The test is looked at when validation improves, which it does once.
        assert [("test" in event) for event in one.epochs] == [True] + [False] * (
            len(one.epochs) - 1
        )
        # What a turn counts is what an epoch's clock shows.
        assert one.epochs[-1]["seconds"] <= one.seconds
        assert "a library's own words" in (tmp_path / f"{one.name}.log").read_text()


def test_a_worker_that_dies_says_why_and_the_others_go_on(tmp_path):
    records, said = converse(tmp_path, fail=True)
    for one in records:
        assert one.failure == "MemoryError: too large"
        # The traceback can be read where the message says.
        assert f"first: {records[0].failure} (all of it in {tmp_path / 'first.log'})" in said


def test_plain_keras_computes_what_tfrecs_does():
    import tfrecs
    from benchmarks.peers.plain_keras import PlainSASRec
    from tfrecs._keras import tf

    ours = tfrecs.models.SASRec(7, dim=4, num_blocks=2, num_heads=2, max_length=5, seed=1)
    plain = PlainSASRec(7, Settings("", dim=4, num_blocks=2, num_heads=2, max_length=5))
    history = tf.constant([[0, 0, 3, 7, 1], [2, 4, 6, 1, 5]])
    plain(history)
    weights = {variable.name.removesuffix(":0"): variable.numpy() for variable in ours.variables}
    plain.items.set_weights([np.vstack([np.ones([1, 4]), weights["table"]])])
    plain.position.set_weights([weights["positions"]])
    for number, block in enumerate(plain.blocks):

        def take(*names, number=number):
            return [weights[f"block_{number}/{name}"] for name in names]

        block["query_norm"].set_weights(take("norm_attention/gamma", "norm_attention/beta"))
        block["norm"].set_weights(take("norm_feed_forward/gamma", "norm_feed_forward/beta"))
        dense = take("hidden/kernel", "hidden/bias", "output/kernel", "output/bias")
        block["feed_forward"].set_weights(dense)
        query, query_bias, both, both_bias, output, output_bias = take(
            *(
                f"attention/{part}/{kind}"
                for part in ("query", "key_value", "output")
                for kind in ("kernel", "bias")
            )
        )
        (key, value), (key_bias, value_bias) = np.split(both, 2, 1), np.split(both_bias, 2)
        block["attention"].set_weights(
            [
                part.reshape(shape)
                for kernel, bias in ((query, query_bias), (key, key_bias), (value, value_bias))
                for part, shape in ((kernel, [4, 2, 2]), (bias, [2, 2]))
            ]
            + [output.reshape([2, 2, 4]), output_bias]
        )
    plain.last_norm.set_weights([weights["final_norm/gamma"], weights["final_norm/beta"]])
    valid = history.numpy() > 0
    np.testing.assert_allclose(
        plain.states(history).numpy()[valid], ours.states(history).numpy()[valid], atol=1e-5
    )
