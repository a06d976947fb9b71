"""Exports of models that read what is beside the items of a history, and the request's time."""

import datetime

import numpy as np
import pandas as pd
import pytest

import tfrecs
from tests.serving.test_report_equals_export import NEVER
from tfrecs._keras import tf
from tfrecs.cli import main
from tfrecs.data import Interactions, leave_last_out
from tfrecs.evaluation import Evaluator
from tfrecs.models import BERT4Rec, Caser, GRU4Rec, SASRec
from tfrecs.serving import Recommender, export

COLUMNS = ["price", "device", "code", "timestamp"]
TIMES = {"time_intervals": True, "request_time": True}
NOW = 1_700_000_000


def log():
    rng = np.random.default_rng(0)
    rows = [
        (
            f"u{user}",
            f"i{item}",
            float(rng.normal()) if rng.random() < 0.8 else np.nan,
            rng.choice(["tv", "web", None]),
            int(rng.integers(3)) - 1,
            NOW + int(time),
        )
        for user in range(25)
        for item, time in zip(
            rng.permutation(15)[: rng.integers(4, 9)],
            np.sort(rng.integers(0, 10**7, 9)),
            strict=False,
        )
    ]
    return Interactions(pd.DataFrame(rows, columns=["user_id", "item_id", *COLUMNS]))


LOG = log()
SPLIT = leave_last_out(LOG)


def made(model=SASRec, **arguments):
    """An untrained model whose answers depend on everything that it reads."""
    given = {"dim": 8, "max_length": 4, "event_features": COLUMNS, "seed": 1, **arguments}
    model = model.from_split(SPLIT, **given)
    rng = np.random.default_rng(1)
    for weight in model.trainable_variables:
        weight.assign(rng.normal(size=weight.shape) / 2)
    return model


def asked_of(user, model):
    """What a client knows of a user of the test: the log without the last row."""
    rows = LOG.frame[LOG.frame["user_id"] == user].iloc[:-1]
    last = LOG.frame[LOG.frame["user_id"] == user].iloc[-1]
    read = [*(model.event_inputs.schema or {})]
    if model.event_inputs.times and "timestamp" not in read:
        read.append("timestamp")
    events = {name: rows[name].tolist() for name in read}
    time = int(last["timestamp"]) if model.event_inputs.request_time else None
    return rows["item_id"].tolist(), events, time


CASES = {
    "SASRec": lambda: made(**TIMES),
    "SASRec, times": lambda: made(event_features=None, time_intervals=True, block="hstu"),
    "SASRec, request": lambda: made(event_features=["price"], block="ligr", **TIMES),
    "GRU4Rec": lambda: made(GRU4Rec),
    "BERT4Rec": lambda: made(BERT4Rec),
    "Caser": lambda: made(Caser, users=None, window=3),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A model that reads everything, and its export."""
    model = CASES["SASRec"]()
    folder = tmp_path_factory.mktemp("events")
    export(model, folder / "model", k=len(SPLIT.items))
    return model, folder / "model"


@pytest.mark.parametrize(
    "name", [n if n == "SASRec" else pytest.param(n, marks=pytest.mark.slow) for n in CASES]
)
def test_report_equals_export(name, tmp_path, whole):
    model, folder = whole
    if name != "SASRec":
        model = CASES[name]()
        folder = export(model, tmp_path, k=len(SPLIT.items))
    tfrecs.serving.verify(folder)
    recommender = Recommender(folder)
    ranks = Evaluator(SPLIT.test).ranks(model).ranks
    found = []
    for row, user_id in enumerate(SPLIT.test.user_ids):
        history, events, time = asked_of(SPLIT.users.ids[user_id - 1], model)
        answer = recommender.recommend(history, len(SPLIT.items), events=events, request_time=time)
        target = SPLIT.items.ids[SPLIT.test.targets[row][0] - 1]
        found.append({item: i for i, (item, _) in enumerate(answer, 1)}.get(target, NEVER))
    np.testing.assert_array_equal(found, ranks)
    assert len(set(found)) > 5


@pytest.mark.slow
def test_a_trained_model_is_served_as_it_was_tested(tmp_path):
    model = SASRec.from_split(
        SPLIT, dim=8, num_blocks=1, max_length=4, event_features=["price"], seed=1, **TIMES
    )
    model.compile(tfrecs.optimizers.Adam(0.02))
    model.fit(model.examples(SPLIT.train).batch(8), epochs=3, verbose=0)
    recommender = Recommender(export(model, tmp_path))
    rows = np.arange(len(SPLIT.test))
    features = {"history": SPLIT.test.history.padded(rows, 4)}
    features |= SPLIT.test.event_features(rows, 4, model.event_inputs)
    asked = [asked_of(SPLIT.users.ids[user - 1], model) for user in SPLIT.test.user_ids]
    frame = pd.DataFrame({"history": [history for history, _, _ in asked]})
    for name in asked[0][1]:
        frame[f"history.{name}"] = [events[name] for _, events, _ in asked]
    frame["request_time"] = [time for _, _, time in asked]
    vectors = recommender.query_vectors(frame)
    np.testing.assert_allclose(vectors, model.query_vectors(features), rtol=1e-4, atol=1e-5)
    candidates = frame.assign(candidates=[SPLIT.items.ids[:2].tolist()] * len(frame))
    scores = vectors @ np.asarray(model.item_vectors())[:2].T
    np.testing.assert_allclose(recommender.score(candidates), scores, rtol=1e-3, atol=1e-4)


def test_events_of_unknown_items_are_skipped_with_them(whole):
    recommender = Recommender(whole[1])
    events = {"price": [1.0, None], "device": ["tv", "web"], "code": [0, 1]}
    events["timestamp"] = [NOW - 100, NOW]
    want = recommender.recommend(["i1", "i2"], 3, events=events, request_time=NOW + 9)
    more = {name: [values[0], None, values[1]] for name, values in events.items()}
    with pytest.warns(UserWarning, match="Ignored unknown ids: zzz"):
        got = recommender.recommend(["i1", "zzz", "i2"], 3, events=more, request_time=NOW + 9)
    assert got == want
    at = datetime.datetime.fromtimestamp(NOW + 9, datetime.timezone.utc)
    assert recommender.recommend(["i1", "i2"], 3, events=events, request_time=at) == want
    # The request's time counts, and so does each column.
    changed = [
        ({}, NOW + 10**7),
        ({"price": [1.0, 5.0]}, NOW + 9),
        ({"device": ["tv"] * 2}, NOW + 9),
    ]
    changed += [({"code": [0, -1]}, NOW + 9), ({"timestamp": [NOW - 10**6, NOW]}, NOW + 9)]
    for other, time in changed:
        assert (
            recommender.recommend(["i1", "i2"], 3, events=events | other, request_time=time) != want
        )


def test_a_batch_of_histories_of_other_lengths(whole):
    recommender = Recommender(whole[1])
    asked = [asked_of(f"u{user}", whole[0]) for user in range(4)]
    histories, events, times = zip(*asked, strict=True)
    assert len({len(history) for history in histories}) > 1
    together = recommender.recommend_batch(histories, 5, events=events, request_times=times)
    for answer, (history, columns, time) in zip(together, asked, strict=True):
        alone = recommender.recommend(history, 5, events=columns, request_time=time)
        assert [item for item, _ in answer] == [item for item, _ in alone]
        np.testing.assert_allclose([s for _, s in answer], [s for _, s in alone], atol=1e-5)


EVENTS = {"price": [1.0], "device": ["tv"], "code": [0], "timestamp": [NOW]}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"request_time": NOW}, "SASRec reads 'price' of each event of the history: give events="),
        ({"events": EVENTS}, "SASRec reads when it is asked: give request_time"),
        (
            {"events": EVENTS | {"price": [1.0, 2.0]}, "request_time": NOW},
            r"The history has 1 items, and events\['price'\] 2 values",
        ),
        (
            {"events": EVENTS | {"colour": ["red"]}, "request_time": NOW},
            "reads no events' column 'colour': those it reads are 'price', 'device', 'code', 'tim",
        ),
        ({"events": EVENTS | {"price": 1.0}, "request_time": NOW}, "must be a list of values"),
        (
            {"events": EVENTS, "request_time": NOW * 1000},
            "is no time in seconds since 1970. Divide",
        ),
        (
            {"events": EVENTS | {"timestamp": [NOW * 1000]}, "request_time": NOW},
            r"events\['timestamp'\]: 1700000000000 is no time in seconds",
        ),
    ],
)
def test_a_request_that_lacks_something_is_refused(whole, given, message):
    with pytest.raises(ValueError, match=message):
        Recommender(whole[1]).recommend(["i1"], 3, **given)


def test_rows_of_columns_that_lack_something_are_refused(whole):
    recommender = Recommender(whole[1])
    frame = {"history": [["i1", "i2"]], "request_time": [NOW]}
    frame |= {f"history.{name}": [values * 2] for name, values in EVENTS.items()}
    assert recommender.query_vectors(frame).shape == (1, 8)
    for name in ("history.price", "request_time"):
        less = {column: values for column, values in frame.items() if column != name}
        with pytest.raises(ValueError, match=f"have no column '{name}'"):
            recommender.query_vectors(less)
    with pytest.raises(ValueError, match="Row 0 has 2 items in its history and 1 values of 'histo"):
        recommender.query_vectors(frame | {"history.code": [[1]]})


def test_models_without_events_refuse_them(tmp_path):
    plain = SASRec.from_split(SPLIT, dim=8, max_length=4)
    folder = export(plain, tmp_path)
    inputs = tfrecs.serving.verify(folder)["signatures"]["serving_default"]["inputs"]
    assert set(inputs) == {"history", "exclude"}
    recommender = Recommender(folder)
    with pytest.raises(ValueError, match="SASRec reads no events' column 'price': .* are none"):
        recommender.recommend(["i1"], 3, events={"price": [1.0]})
    with pytest.raises(ValueError, match="SASRec does not read when it is asked"):
        recommender.recommend(["i1"], 3, request_time=NOW)


def test_the_graph_refuses_lists_of_another_width(whole):
    loaded = tf.saved_model.load(str(whole[1] / "1"))
    given = {
        "history": tf.constant([["i1", "i2"]]),
        "history_price": tf.constant([[1.0, 2.0]]),
        "history_device": tf.constant([["tv", "web"]]),
        "history_code": tf.constant([[0, 1]], tf.int64),
        "history_timestamp": tf.constant([[NOW, NOW]], tf.int64),
        "request_time": tf.constant([NOW], tf.int64),
        "exclude": tf.fill([1, 10], ""),
    }
    loaded.signatures["serving_default"](**given)
    given["history_price"] = tf.constant([[1.0]])
    with pytest.raises(tf.errors.InvalidArgumentError, match="differ from history in their width"):
        loaded.signatures["serving_default"](**given)


@pytest.mark.usefixtures("no_proxies")
@pytest.mark.parametrize("transport", ["grpc", "rest"])
def test_a_client_gets_what_the_recommender_says(whole, transport):
    pytest.importorskip("tensorflow_serving", reason="the extra `serving` is not installed")
    from tests.serving.double.server import ContractDouble

    model, folder = whole
    recommender = Recommender(folder)
    asked = [asked_of(f"u{user}", model) for user in range(3)]
    histories, events, times = zip(*asked, strict=True)
    want = recommender.recommend_batch(histories, 5, events=events, request_times=times)
    with ContractDouble(folder) as double:
        address = getattr(double, transport)
        with tfrecs.serving.Client(address, "model", export=folder) as client:
            got = client.recommend_batch(histories, 5, events=events, request_times=times)
            for ours, theirs in zip(got, want, strict=True):
                assert [item for item, _ in ours] == [item for item, _ in theirs]
            with pytest.raises(ValueError, match="The served model reads when it is asked"):
                client.recommend(["i1"], 3, events=EVENTS)
        with tfrecs.serving.Client(address, "model") as client:
            # Without the manifest the names of inputs tell what is beside a history.
            got = client.recommend_batch(histories, 5, events=events, request_times=times)
            assert [[item for item, _ in row] for row in got] == [
                [item for item, _ in row] for row in want
            ]
            with pytest.raises(ValueError, match="The served model reads '.*' of each event"):
                client.recommend(["i1"], 3, request_time=NOW)


def test_the_command_line_recommends_with_events(whole, capsys):
    events = {"price": [1.0, None], "device": ["tv", "web"], "code": [0, 1], "timestamp": [NOW] * 2}
    want = Recommender(whole[1]).recommend(["i1", "i2"], 3, events=events, request_time=NOW + 9)
    argv = ["recommend", str(whole[1]), "--history", "i1,i2", "--k", "3"]
    argv += ["--events.price", "1.0,", "--events.device", "tv,web", "--events.code", "0,1"]
    times = datetime.datetime.fromtimestamp(NOW, datetime.timezone.utc).isoformat()
    argv += ["--events.timestamp", f"{NOW},{times}"]
    assert main([*argv, "--request_time", str(NOW + 9)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"{item}\t{score:.4f}" for item, score in want]
    assert main(argv) == 2
    assert "request_time" in capsys.readouterr().err
    assert main([*argv, "--request_time", "noon"]) == 2
    assert "'noon' is no time" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_line_trains_evaluates_and_exports(tmp_path, capsys):
    path = tmp_path / "log.csv"
    LOG.frame.to_csv(path, index=False)
    argv = ["train", "--data", str(path), "--output", str(tmp_path / "run"), "--epochs", "1"]
    argv += ["--model", "sasrec", "--model.dim", "8", "--model.max_length", "4"]
    argv += ["--batch_size", "8"]
    argv += ["--model.event_features", "[price,device,timestamp]"]
    argv += ["--model.time_intervals", "true", "--model.request_time", "true"]
    assert main(argv) == 0
    config = (tmp_path / "run" / "config.yaml").read_text()
    assert "event_features:" in config
    assert "event_schema" not in config
    assert main(["evaluate", str(tmp_path / "run")]) == 0
    assert main(["export", str(tmp_path / "run"), "--output", str(tmp_path / "export")]) == 0
    hint = capsys.readouterr().out.splitlines()[-1].split()
    assert [word for word in hint if word.startswith("--")] == [
        "--history",
        "--events.price",
        "--events.device",
        "--events.timestamp",
        "--request_time",
        "--k",
    ]
    hint[hint.index("TIME")] = str(NOW)
    assert main(hint[1:]) == 0
    model = tfrecs.training.Run(tmp_path / "run").load_model()
    ranks = Evaluator(SPLIT.test).ranks(model).ranks
    recommender = Recommender(tmp_path / "export")
    history, events, time = asked_of(SPLIT.users.ids[SPLIT.test.user_ids[0] - 1], model)
    answer = recommender.recommend(history, len(SPLIT.items), events=events, request_time=time)
    target = SPLIT.items.ids[SPLIT.test.targets[0][0] - 1]
    assert [item for item, _ in answer].index(target) + 1 == ranks[0]


def test_vectors_of_users_are_written_with_their_events(whole, tmp_path):
    model, _ = whole
    _, path = tfrecs.serving.write_vectors(model, tmp_path, SPLIT.test)
    rows = np.arange(len(SPLIT.test))
    features = {"history": SPLIT.test.history.padded(rows, 4)}
    features |= SPLIT.test.event_features(rows, 4, model.event_inputs)
    written = np.stack(pd.read_parquet(path)["vector"])
    np.testing.assert_allclose(written, model.query_vectors(features), atol=1e-5)
