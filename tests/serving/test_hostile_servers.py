"""Servers that drip, lie, flood or hang up: a ServingError each, in the time of the whole call."""

import json
import socket
import threading
import time

import numpy as np
import pytest

from tfrecs.serving import Client, ServingError
from tfrecs.serving.client import answers as answers_module
from tfrecs.serving.client.answers import check_answer, check_recommendations

METADATA = {
    "model_spec": {"version": "1"},
    "metadata": {
        "signature_def": {
            "signature_def": {
                "serving_default": {
                    "inputs": {
                        "history": {
                            "dtype": "DT_INT64",
                            "tensor_shape": {"dim": [{"size": "-1"}, {"size": "-1"}]},
                        }
                    },
                    "outputs": {
                        name: {
                            "dtype": dtype,
                            "tensor_shape": {"dim": [{"size": "-1"}, {"size": "2"}]},
                        }
                        for name, dtype in (("item_id", "DT_INT64"), ("score", "DT_FLOAT"))
                    },
                }
            }
        }
    },
}
GOOD = {"outputs": {"item_id": [[3, 5]], "score": [[2.0, 1.0]]}}


def http(body, status="200 OK", headers=""):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(content)}\r\n{headers}\r\n"
    return head.encode() + content


@pytest.fixture
def server(no_proxies):
    """A server that gives each connection the next of its answers, bytes or a function."""
    listening = socket.create_server(("127.0.0.1", 0))
    replies = []

    def serve():
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                reply = replies.pop(0) if len(replies) > 1 else replies[0]
                try:
                    if callable(reply):
                        reply(connection)
                    else:
                        connection.sendall(reply)
                except OSError:
                    pass

    threading.Thread(target=serve, daemon=True).start()

    def start(*given):
        replies[:] = given
        return Client(f"http://127.0.0.1:{listening.getsockname()[1]}", "model", timeout=0.3)

    yield start
    listening.close()


def drip(connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(100):
        connection.sendall(b" ")
        time.sleep(0.05)


def drip_headers(connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    for number in range(100):
        connection.sendall(f"X-{number}: 1\r\n".encode())
        time.sleep(0.05)


def silence(connection):
    time.sleep(2)


@pytest.mark.parametrize("slow", [drip, drip_headers, silence])
def test_the_timeout_is_one_for_the_whole_call(server, slow):
    for replies in ((slow,), (http(METADATA), slow)):
        client = server(*replies)
        began = time.monotonic()
        with pytest.raises(ServingError) as caught:
            client.recommend([1], 2)
        assert caught.value.code == "DEADLINE_EXCEEDED"
        assert time.monotonic() - began < 1.0


def test_many_requests_share_the_timeout(server):
    def late(connection):
        time.sleep(0.2)
        connection.sendall(http(GOOD))

    client = server(http(METADATA), late)
    client._connection._batch_size = 1
    began = time.monotonic()
    with pytest.raises(ServingError, match="DEADLINE_EXCEEDED"):
        client.recommend_batch([[1]] * 10, 2)
    assert time.monotonic() - began < 1.0


def test_a_good_answer(server):
    assert server(http(METADATA), http(GOOD)).recommend([1], 2) == [(3, 2.0), (5, 1.0)]


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"nonsense\r\n\r\n",
        http(b"not json"),
        http(b"\xff\xfe"),
        http(b"[" * 100_000),
        http([1, 2]),
        http({}),
        http({"outputs": None}),
        http({"outputs": 3}),
        http({"outputs": {"item_id": [[3, 5]]}}),
        http({"outputs": {"item_id": [[3, 5]], "score": [[1.0]]}}),
        http({"outputs": {"item_id": [[3, 5], [1, 2]], "score": [[1.0, 2.0]] * 2}}),
        http({"outputs": {"item_id": [["a", "b"]], "score": [[2.0, 1.0]]}}),
        http({"outputs": {"item_id": [[3, 5]], "score": [["x", 1.0]]}}),
        http(b'{"outputs": {"item_id": [[3, 5]], "score": [[NaN, 1.0]]}}'),
        http(b'{"outputs": {"item_id": [[3, 5]], "score": [[Infinity, 1.0]]}}'),
        http({"outputs": {"item_id": [[10**30, 5]], "score": [[2.0, 1.0]]}}),
        http({"outputs": {**GOOD["outputs"], "more": [1]}}),
        http({"error": "x"}, "200 OK"),
        http({"error": "broken"}, "500 Oops"),
        http(b"<html>", "418 Teapot"),
        http(b"", "302 Found", "Location: http://127.0.0.1:1/\r\n"),
        b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_strange_answers(server, reply):
    with pytest.raises(ServingError):
        server(http(METADATA), reply).recommend([1], 2)


@pytest.mark.parametrize("change", ["model_spec", "metadata", "version", "dtype", "size"])
def test_strange_descriptions(server, change):
    text = json.dumps(METADATA).replace(f'"{change}"', '"other"')
    if change == "version":
        text = json.dumps(METADATA).replace('"version": "1"', '"version": "x"')
    if change == "size":
        text = json.dumps(METADATA).replace('"2"', '"many"')
    for call in ("metadata", "status"):
        with pytest.raises(ServingError):
            getattr(server(http(text.encode())), call)()


def test_a_flood_is_bounded(server, monkeypatch):
    monkeypatch.setattr("tfrecs.serving.client.rest.LARGEST", 1000)
    with pytest.raises(ServingError, match="more than 1,000 bytes"):
        server(http(b" " * 5000)).metadata()
    assert answers_module.LARGEST > 10**8


def test_items_that_the_export_does_not_have():
    answer = {"item_id": np.array([[3, -1]]), "score": np.array([[1.0, 0.5]], np.float32)}
    check_recommendations(answer, {"3", "-1"}, "here")
    with pytest.raises(ServingError, match="item '3' is not one of the export's"):
        check_recommendations(answer, {"-1"}, "here")


def test_shapes_and_types():
    outputs = {"score": {"dtype": "float32", "shape": [None, 2]}}
    check_answer({"score": np.zeros((3, 2), np.float32)}, outputs, 3, "here")
    for array in (np.zeros((2, 2), np.float32), np.zeros((3, 1), np.float32), np.zeros((3, 2))):
        with pytest.raises(ServingError, match="The answer is not the model's"):
            check_answer({"score": array}, outputs, 3, "here")
