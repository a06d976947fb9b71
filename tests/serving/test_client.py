"""The client's answers and errors, by gRPC and by REST, from the contract double."""

import http.server
import json
import os
import re
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("tensorflow_serving", reason="the extra `serving` is not installed")

from tests.conformance import features
from tests.serving import by_hand
from tests.serving.double.server import ContractDouble
from tfrecs.serving import Client, Recommender, ServingError

ROOT = Path(__file__).resolve().parents[2]
TRANSPORTS = ["grpc", "rest"]
pytestmark = pytest.mark.usefixtures("no_proxies")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A double with the model that is made by hand."""
    base = tmp_path_factory.mktemp("by_hand")
    by_hand.save(base, 1)
    with ContractDouble(base) as double:
        yield double


@pytest.fixture
def answering():
    """Starts a server that gives one answer to all, and returns its address."""
    servers = []

    def start(status, body):
        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body)

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(params=TRANSPORTS)
def client(request, served):
    with Client(getattr(served, request.param), "model") as client:
        yield client


def test_recommends(client):
    assert client.recommend([9, 3], 2) == [(8, 8.0), (7, 7.0)]
    assert client.recommend(["9", 3.0, 12345], 2, user="fan") == [(8, 108.0), (7, 107.0)]
    assert client.recommend((), 1, user="whoever") == [(9, 9.0)]
    assert client.recommend([0], 2, exclude=[9, 7]) == [(8, 8.0), (6, 6.0)]
    answer = client.recommend(range(7), 10)
    assert answer == [(9, 9.0), (8, 8.0), (7, 7.0)]  # three are left
    assert all(type(item) is int and type(score) is float for item, score in answer)
    assert client.recommend(range(10), 10) == []
    assert re.fullmatch(r"Client\('.*127.0.0.1:\d+', model='model'\)", repr(client))


def test_recommends_to_several_in_one_request(client, served):
    client.metadata()
    before = served.requests
    answer = client.recommend_batch(
        [[9, 8, 7, 6], [], [9]], 2, users=[None, "fan", None], exclude=[[], [9], [8, 8, 8, 8]]
    )
    assert answer == [[(5, 5.0), (4, 4.0)], [(8, 108.0), (7, 107.0)], [(7, 7.0), (6, 6.0)]]
    assert served.requests == before + 1
    assert client.recommend_batch([]) == []
    assert served.requests == before + 1


def test_scores_candidates(client):
    rows = {"history": [[1], [2, 3]], "user_id": ["fan", None], "candidates": [[4, 77], [5]]}
    low = by_hand.LOWEST
    expected = np.array([[104, low], [5, low]], np.float32)
    np.testing.assert_array_equal(client.score(rows), expected)
    np.testing.assert_array_equal(client.score(pd.DataFrame(rows)), expected)
    assert client.score({"candidates": [[3]]}).tolist() == [[3]]
    assert client.score({"candidates": [[3, None]]}).tolist() == [[3, low]]
    assert client.score({"candidates": []}).shape == (0, 0)
    with pytest.raises(ValueError, match="no column 'candidates', only 'history'"):
        client.score({"history": [[3]]})
    with pytest.raises(ValueError, match="Columns differ in length: .'candidates': 1, 'history'"):
        client.score({"history": [[1], [2]], "candidates": [[4]]})


def test_many_rows_are_several_requests(served):
    for transport in TRANSPORTS:
        with Client(getattr(served, transport), "model", batch_size=3) as client:
            client.metadata()
            before = served.requests
            answer = client.recommend_batch([[i] for i in range(7)], 1)
            assert [best[0][0] for best in answer] == [9] * 7
            assert served.requests == before + 3


def test_histories_are_filled_up(served, monkeypatch):
    sent = []
    with Client(served.rest, "model", history_width=4) as client:
        predict = client._connection.transport.predict
        monkeypatch.setattr(
            client._connection.transport,
            "predict",
            lambda name, inputs, *more: sent.append(inputs) or predict(name, inputs, *more),
        )
        assert client.recommend([9, 8], 1) == [(7, 7.0)]
        assert client.recommend(range(5, 10), 1) == [(4, 4.0)]
        assert client.score({"history": [[1]], "candidates": [[3, 2]]}).tolist() == [[3, 2]]
    assert [inputs["history"].shape for inputs in sent] == [(1, 4), (1, 5), (1, 4)]
    assert sent[0]["history"].tolist() == [[9, 8, -(2**63), -(2**63)]]


def test_what_json_has_no_words_for(client):
    answer = client.predict({"number": [2, 2**53 + 1]}, "odd")
    np.testing.assert_array_equal(answer["beyond"], [[np.nan, np.inf, -np.inf]] * 2)
    assert answer["raw_bytes"].tolist() == [b"\xff\x00"] * 2
    assert answer["text"].tolist() == ["Ünïcode \"'\n"] * 2
    assert answer["same"].tolist() == [2, 2**53 + 1]
    tenths = (np.array([2, 2**53 + 1]).astype(np.float32) / np.float32(10)).tolist()
    assert answer["tenth"].dtype == np.float32
    assert answer["tenth"].tolist() == tenths


def test_answers_of_more_than_4_megabytes_by_grpc(served):
    with Client(served.grpc, "model", timeout=60) as client:
        row = client.predict({"number": [1]}, "wide")["row"]
    assert row.nbytes > 4 * 2**20
    assert (row == 1).all()


def test_metadata_and_status(client):
    about = client.metadata()
    assert about["version"] == 1
    assert about["signatures"]["serving_default"] == {
        "inputs": {
            "exclude": {"dtype": "int64", "shape": [None, 3]},
            "history": {"dtype": "int64", "shape": [None, None]},
            "user_id": {"dtype": "string", "shape": [None]},
        },
        "outputs": {
            "item_id": {"dtype": "int64", "shape": [None, 5]},
            "score": {"dtype": "float32", "shape": [None, 5]},
        },
    }
    assert set(about["signatures"]) == {"serving_default", "score", "odd", "wide"}
    assert client.status() == [{"version": 1, "state": "AVAILABLE", "code": "OK", "message": ""}]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_errors_by_code(transport, served):
    address = getattr(served, transport)

    def refused(ask, **arguments):
        client = Client(address, **{"model": "model", **arguments})
        with client, pytest.raises(ServingError) as caught:
            ask(client)
        return caught.value

    def one(client):
        client.recommend([1])

    unknown = refused(one, model="modle")
    assert unknown.code == "NOT_FOUND"
    assert unknown.message == "Servable not found for request: Latest(modle)"
    assert str(unknown).startswith(f"NOT_FOUND from {address}: Servable not found")
    assert "Is the model's name right" in str(unknown)
    assert refused(lambda client: client.status(), model="modle").code == "NOT_FOUND"
    assert "Specific(model, 7)" in refused(one, version=7).message
    label = refused(one, label="stäble/1")
    assert label.code == "INVALID_ARGUMENT"
    assert label.message == "Unrecognized servable version label: stäble/1"

    signature = refused(lambda client: client.predict({"number": [1]}, "even"))
    # REST has one status for both codes, and the server refuses earlier there.
    assert signature.code == {"grpc": "FAILED_PRECONDITION", "rest": "INVALID_ARGUMENT"}[transport]
    assert '"even" not found' in signature.message
    for inputs, message in (
        ({}, "input size does not match" if transport == "grpc" else "Missing named input: number"),
        ({"number": [1.0]}, "float" if transport == "grpc" else "not of expected type: int64"),
        ({"number": [[1]]}, ""),
        ({"number": ["1"]}, ""),
    ):
        wrong = refused(lambda client, inputs=inputs: client.predict(inputs, "odd"))
        assert wrong.code == "INVALID_ARGUMENT"
        assert message in wrong.message


@pytest.mark.slow
def test_a_server_that_is_slow(client, served):
    client.metadata()
    served.delay = 1.0
    try:
        with pytest.raises(ServingError, match="Give a longer timeout") as caught:
            client.recommend([1], 1, timeout=0.2)
        assert caught.value.code == "DEADLINE_EXCEEDED"
        assert client.recommend([1], 1) == [(9, 9.0)]
    finally:
        served.delay = 0.0


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_no_server(transport):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    scheme = {"grpc": "", "rest": "http://"}[transport]
    client = Client(scheme + address, "model")
    with pytest.raises(ServingError, match="Is a server running at that address") as caught:
        client.recommend([1])
    client.close()
    assert caught.value.code == "UNAVAILABLE"


def test_the_other_port(served):
    with pytest.raises(ServingError, match="is this its port of gRPC or of REST"):
        Client(f"http://{served.grpc}", "model").status()
    client = Client(served.rest.removeprefix("http://"), "model", timeout=2)
    with client, pytest.raises(ServingError) as caught:
        client.status()
    assert caught.value.code in {"UNAVAILABLE", "DEADLINE_EXCEEDED"}


@pytest.mark.parametrize(
    ("status", "body", "code", "message"),
    [
        (502, b"<h1>Bad Gateway</h1>", "UNAVAILABLE", "HTTP 502 Bad Gateway <h1>Bad Gateway</h1>"),
        (418, b"", "UNKNOWN", "HTTP 418"),
        (429, b'{"error": "full"}', "RESOURCE_EXHAUSTED", "full"),
        (400, b'{ "error": "it\\\'s" }', "INVALID_ARGUMENT", "it"),
        (200, b"<p>hello</p>", "INTERNAL", "The answer is no JSON"),
    ],
)
def test_answers_of_something_else(status, body, code, message, answering):
    with pytest.raises(ServingError) as caught:
        Client(answering(status, body), "model").status()
    assert caught.value.code == code
    assert message in caught.value.message


def test_wrong_requests(client):
    for k in (0, 2.5, "3", None):
        with pytest.raises(ValueError, match="k must be a positive integer, not"):
            client.recommend([7], k)
    with pytest.raises(ValueError, match="k = 6 is more than the 5 items that the served export"):
        client.recommend([7], 6)
    with pytest.raises(ValueError, match="history must be a list of ids, not one str"):
        client.recommend("7")
    with pytest.raises(ValueError, match="Neither history nor user"):
        client.recommend([])
    for wrong in ("seven", 7.5, None, True, 2**63, float("nan")):
        with pytest.raises(ValueError, match="is not an item id: the ids of the served mod"):
            client.recommend([wrong], 1)
    with pytest.raises(ValueError, match="4 items are not to be recommended, .* takes 3 excl"):
        client.recommend([7], 1, exclude=[1, 2, 3, 4])
    with pytest.raises(ValueError, match="There are 2 histories, 1 users and 2 lists"):
        client.recommend_batch([[1], [2]], users=["fan"])
    with pytest.raises(ValueError, match="no signature 'query_vectors', only odd, score, serving"):
        client.query_vectors({"history": [[1]]})
    with pytest.raises(ValueError, match="timeout must be more than 0"):
        client.status(timeout=0)


def test_wrong_arguments(served):
    with pytest.raises(ValueError, match="Give a version or a label, not both"):
        Client(served.rest, "model", version=1, label="stable")
    with pytest.raises(ValueError, match="batch_size must be at least 1, not 0"):
        Client(served.rest, "model", batch_size=0)
    with pytest.raises(ValueError, match="credentials are those of gRPC"):
        Client(served.rest, "model", credentials=object())


@pytest.mark.parametrize(
    "name", ["SASRec", pytest.param("TwoTower", marks=pytest.mark.slow), "MatrixFactorization"]
)
def test_answers_as_the_recommender_does(name, public_export):
    folder = public_export(name)
    recommender = Recommender(folder)
    ids = (folder / recommender.manifest["vocabulary"]).read_text().split()
    user = None
    if recommender.knows_users:
        user = (folder / recommender.manifest["user_vocabulary"]).read_text().split()[1]
    histories = [ids[:1], ids[:4], ids[3:]] if recommender.reads_history else [[]] * 3
    requests = [(history, user) for history in histories]
    with ContractDouble(folder.parent, name) as double:
        answers = []
        for transport in TRANSPORTS:
            with Client(getattr(double, transport), name, timeout=30) as client:
                got = [client.recommend(history, 3, user=who) for history, who in requests]
                together = client.recommend_batch(
                    [history for history, _ in requests], 3, users=[who for _, who in requests]
                )
                for alone, row in zip(got, together, strict=True):
                    assert [item for item, _ in alone] == [item for item, _ in row]
                answers.append(got)
                signatures = recommender.manifest["signatures"]
                if "query_vectors" in signatures:
                    assert_same_vectors(client, recommender, ids, user)
                if "exclude" in signatures["serving_default"]["inputs"]:
                    asked = {"history": histories[0], "k": 3, "user": user, "exclude": ids[4:6]}
                    best = [item for item, _ in client.recommend(**asked)]
                    assert best == [item for item, _ in recommender.recommend(**asked)]
                if "score" in signatures:
                    rows = {"history": [ids[:2], ids[4:5]], "user_id": [user, user]}
                    rows = pd.DataFrame({**rows, "candidates": [[ids[3], "nothing"], ids[6:7]]})
                    if recommender.is_integer:
                        rows["candidates"] = [[ids[3], "-123"], ids[6:7]]
                    want = recommender.score(rows)
                    np.testing.assert_allclose(client.score(rows), want, rtol=1e-5, atol=1e-6)
    by_grpc, by_rest = answers
    assert by_grpc == by_rest  # to the last digit
    for (history, who), got in zip(requests, by_grpc, strict=True):
        want = recommender.recommend(history, 3, user=who)
        assert [item for item, _ in got] == [item for item, _ in want]
        np.testing.assert_allclose([s for _, s in got], [s for _, s in want], rtol=1e-5, atol=1e-6)


def assert_same_vectors(client, recommender, ids, user):
    items = pd.DataFrame({"item_id": [ids[2], "2", ids[0]]})
    users = pd.DataFrame({"history": [ids[:3], ids[1:2]], "user_id": [user, user]})
    for got, want in (
        (client.item_vectors(items), recommender.item_vectors(items)),
        (client.query_vectors(users), recommender.query_vectors(users)),
    ):
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_features_are_sent_as_the_recommender_reads_them(public_export):
    folder = public_export("TwoTower")
    frame = features.ITEM_FRAME.iloc[:3].rename_axis("item_id").reset_index()
    frame.loc[0, "price"] = np.nan
    frame["colour"] = ["red", None, "no colour"]
    frame["tags"] = [["b"], None, ["a", "b"]]
    want = Recommender(folder).item_vectors(frame)
    with ContractDouble(folder.parent) as double:
        for transport in TRANSPORTS:
            with Client(getattr(double, transport), "model", timeout=30) as client:
                got = client.item_vectors(frame)
                none = client.item_vectors(frame[:0])
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
            assert none.shape == (0, want.shape[1])


@pytest.mark.slow
def test_rows_of_a_ranking_model(public_export):
    folder = public_export("DeepCross")
    frame = pd.DataFrame(
        {
            "user_id": ["u0", "nobody", None],
            "item_id": ["i3", "i8", "i1"],
            "at": pd.to_datetime(["2024-01-01 05:00", "1969-12-31 00:00", None]),
        }
    )
    want = Recommender(folder).score(frame)
    with ContractDouble(folder.parent) as double:
        for transport in TRANSPORTS:
            address = getattr(double, transport)
            with Client(address, "model", export=folder, timeout=30) as client:
                np.testing.assert_allclose(client.score(frame), want, rtol=1e-5)
            with Client(address, "model", timeout=30) as client:
                np.testing.assert_allclose(client.score(frame[:2]), want[:2], rtol=1e-5)
                with pytest.raises(ValueError, match="'at' is missing, and .* the manifest says"):
                    client.score(frame)


def test_rest_needs_no_tensorflow(served):
    code = f"""
import json, sys
import tfrecs
with tfrecs.serving.Client({served.rest!r}, "model") as client:
    answer = client.recommend([9, 3], 2)
    scores = client.score({{"candidates": [[4]]}}).tolist()
assert not {{"tensorflow", "pandas", "grpc"}} & set(sys.modules)
print(json.dumps([answer, scores]))
"""
    # A scann in the environment would have TensorFlow looked at, which is another matter.
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(ROOT), "TF_USE_LEGACY_KERAS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [[[8, 8.0], [7, 7.0]], [[4.0]]]


def test_grpc_without_its_extra_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis", None)
    with pytest.raises(ImportError, match=r"pip install 'tfrecs\[serving\]'.*REST needs nothing"):
        Client("127.0.0.1:8500", "model")
