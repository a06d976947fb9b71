"""The client while versions of a model come and go, and many ask at once."""

import threading
import time
from concurrent import futures

import pytest

pytest.importorskip("tensorflow_serving", reason="the extra `serving` is not installed")

from tensorflow_serving.apis import prediction_log_pb2

from tests.serving import by_hand
from tests.serving.double.server import ContractDouble
from tfrecs._keras import tf
from tfrecs.serving import Client, ServingError

TRANSPORTS = ["grpc", "rest"]
pytestmark = pytest.mark.usefixtures("no_proxies")


@pytest.fixture
def base(tmp_path):
    """A folder with a first version, whose items score their own number."""
    by_hand.save(tmp_path, 1)
    return tmp_path


def both(double, **arguments):
    return [
        Client(getattr(double, transport), "model", timeout=20, **arguments)
        for transport in TRANSPORTS
    ]


def until(condition, seconds=30):
    """Waits for what another thread does, not for ever."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_version_and_label(base):
    by_hand.save(base, 2, step=2.0)
    by_hand.save(base, 10, step=10.0)
    (base / "3-old").mkdir()
    labels = {"stable": 1, "canary": 10}
    with ContractDouble(base, specific=[1, 10], labels=labels) as double:
        for arguments, step in (
            ({}, 10),
            ({"version": 1}, 1),
            ({"version": 10}, 10),
            ({"label": "stable"}, 1),
            ({"label": "canary"}, 10),
        ):
            for client in both(double, **arguments):
                assert client.recommend([9], 1) == [(8, 8 * step)]
                if not arguments:
                    assert [each["version"] for each in client.status()] == [10, 1]
        for client in both(double, version=2):
            with pytest.raises(ServingError, match=r"Specific\(model, 2\)"):
                client.recommend([9], 1)


@pytest.mark.slow
def test_a_new_version_takes_over_without_an_error(base):
    with ContractDouble(base, poll=0.02) as double:
        scores, errors, stop = [], [], threading.Event()

        def ask(client):
            while not stop.is_set():
                try:
                    scores.append(client.recommend([9], 1)[0][1])
                except Exception as error:
                    errors.append(error)

        clients = both(double)
        threads = [threading.Thread(target=ask, args=[clients[i % 2]]) for i in range(8)]
        for thread in threads:
            thread.start()
        until(lambda: len(scores) > 100)
        by_hand.save(base, 2, step=2.0)
        until(lambda: 16.0 in scores)
        before = len(scores)
        until(lambda: len(scores) > before + 100)
        stop.set()
        for thread in threads:
            thread.join()
        assert not errors
        assert set(scores) == {8.0, 16.0}
        assert scores[-1] == 16.0
        states = [(each["version"], each["state"]) for each in clients[0].status()]
        assert states == [(2, "AVAILABLE"), (1, "END")]


def test_a_version_with_other_inputs_is_noticed(base):
    with ContractDouble(base) as double:
        clients = both(double)
        for client in clients:
            assert client.recommend([9], 2) == [(8, 8.0), (7, 7.0)]
        by_hand.save(base, 2, text=True)
        double.versions.poll()
        for client in clients:
            assert client.recommend([9], 2) == [("8", 8.0), ("7", 7.0)]
            assert client.recommend(["nine", 8], 1) == [("9", 9.0)]


@pytest.mark.parametrize("damage", ["graph", "weights", "missing"])
def test_a_damaged_version_is_refused_and_the_old_one_goes_on(base, damage):
    folder = by_hand.save(base, 2, step=2.0)
    if damage == "graph":
        path = folder / "saved_model.pb"
        path.write_bytes(path.read_bytes()[:-100])
    elif damage == "weights":
        path = folder / "variables" / "variables.data-00000-of-00001"
        path.write_bytes(bytes(byte ^ 255 for byte in path.read_bytes()))
    else:
        (folder / "saved_model.pb").unlink()
    folder.rename(base / "damaged")
    with ContractDouble(base) as double:
        (base / "damaged").rename(base / "2")
        double.versions.poll()
        for client in both(double):
            assert client.recommend([9], 1) == [(8, 8.0)]
            newest, oldest = client.status()
            assert (newest["version"], newest["state"]) == (2, "END")
            assert newest["code"] != "OK"
            assert newest["message"]
            assert oldest == {"version": 1, "state": "AVAILABLE", "code": "OK", "message": ""}


def write_warmup(folder, requests):
    """A warmup file, as TensorFlow Serving reads it: a PredictionLog a record."""
    path = folder / "assets.extra" / "tf_serving_warmup_requests"
    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, inputs in requests:
            log = prediction_log_pb2.PredictionLog()
            request = log.predict_log.request
            request.model_spec.signature_name = signature
            for name, values in inputs.items():
                request.inputs[name].CopyFrom(tf.make_tensor_proto(values))
            writer.write(log.SerializeToString())


GOOD = ("odd", {"number": tf.constant([1], tf.int64).numpy()})
BAD = ("odd", {"number": [1.0]})


@pytest.mark.parametrize(
    ("requests", "code"),
    [
        ([GOOD] * 3, "OK"),
        ([GOOD] * 1000, "OK"),
        ([GOOD] * 1001, "INVALID_ARGUMENT"),
        ([GOOD, BAD, GOOD], "INVALID_ARGUMENT"),
        ([("even", {})], "FAILED_PRECONDITION"),
    ],
    ids=["good", "a thousand", "too many", "bad", "unknown"],
)
def test_one_warmup_request_that_fails_refuses_the_version(base, requests, code):
    folder = by_hand.save(base, 2, step=2.0)
    write_warmup(folder, requests)
    with ContractDouble(base, poll=0.02) as double:
        for client in both(double):
            if code == "OK":
                assert client.recommend([9], 1) == [(8, 16.0)]
                assert client.status()[0]["state"] == "AVAILABLE"
            else:
                # It never was available, and no other version is wanted.
                with pytest.raises(ServingError) as caught:
                    client.recommend([9], 1)
                assert caught.value.code == "NOT_FOUND"
                (about,) = client.status()
                assert (about["state"], about["code"]) == ("END", code)


@pytest.mark.slow
def test_eight_threads_get_what_one_gets(base):
    requests = [(list(range(1 + i % 5)), ["fan", None][i % 2], [5 + i % 3]) for i in range(24)]
    with ContractDouble(base) as double:
        for client in both(double):

            def ask(client=client):
                return [
                    client.recommend(history, 3, user=user, exclude=exclude)
                    for history, user, exclude in requests
                ]

            with futures.ThreadPoolExecutor(8) as threads:
                asked = [threads.submit(ask) for _ in range(8)]
            assert [each.result() for each in asked] == [ask()] * 8


def test_a_server_that_comes_back(base):
    with ContractDouble(base) as double:
        client = both(double)[0]
        assert client.recommend([9], 1) == [(8, 8.0)]
        port = double.port
    with pytest.raises(ServingError) as caught:
        client.recommend([9], 1)
    assert caught.value.code == "UNAVAILABLE"

    def answers():
        try:
            return client.recommend([9], 1) == [(8, 8.0)]
        except ServingError:
            return False

    with ContractDouble(base, port=port):
        until(answers)
