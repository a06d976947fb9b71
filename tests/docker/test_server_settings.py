"""The server's files: protobuf text, and the script that asks whether it is well."""

import http.server
import json
import os
import socket
import subprocess
import threading

import pytest
from google.protobuf import text_format

from tests.docker.images import DOCKER, instructions, words
from tests.docker.serving_protos import BatchingParameters, MonitoringConfig

SERVING = DOCKER / "serving"
# Of model_servers/main.cc in github.com/tensorflow/serving.
FLAGS = {"enable_batching", "batching_parameters_file", "monitoring_config_file"}


def test_batching_is_what_the_server_reads():
    text = (SERVING / "batching.pbtxt").read_text()
    settings = text_format.Parse(text, BatchingParameters())
    assert settings.max_batch_size.value == 128
    assert settings.batch_timeout_micros.value == 0
    assert settings.max_enqueued_batches.value == 100
    # The server pads with a row's first value, which would be one more item of the history.
    assert not settings.pad_variable_length_inputs
    # The last of them must be max_batch_size; none is a batch that is not padded.
    assert list(settings.allowed_batch_sizes) == []


def test_monitoring_is_what_the_server_reads():
    text = (SERVING / "monitoring.pbtxt").read_text()
    settings = text_format.Parse(text, MonitoringConfig())
    assert settings.prometheus_config.enable
    assert settings.prometheus_config.path == "/monitoring/prometheus/metrics"
    assert settings.prometheus_config.path in (DOCKER / "README.md").read_text()


def test_wrong_settings_would_be_noticed():
    with pytest.raises(text_format.ParseError, match="max_batch_sizes"):
        text_format.Parse("max_batch_sizes { value: 1 }", BatchingParameters())


def test_the_server_is_started_with_these_files():
    command = next(value for what, value in instructions("serving.Dockerfile") if what == "CMD")
    flags = dict(word.removeprefix("--").split("=", 1) for word in words("CMD", command))
    assert set(flags) == FLAGS
    copies = [value.split() for what, value in instructions("serving.Dockerfile") if what == "COPY"]
    assert ["docker/serving/", "/etc/tensorflow-serving/"] in copies
    for name in ("batching_parameters_file", "monitoring_config_file"):
        folder, _, file = flags[name].rpartition("/")
        assert folder == "/etc/tensorflow-serving"
        assert (SERVING / file).is_file()


def test_the_image_asks_by_the_script():
    check = next(
        value for what, value in instructions("serving.Dockerfile") if what == "HEALTHCHECK"
    )
    assert words("CMD", check.partition("CMD ")[2]) == [
        "bash",
        "/etc/tensorflow-serving/healthcheck.sh",
    ]


def status(state):
    """The answer's form in the REST documentation of TensorFlow Serving."""
    version = {
        "version": "1",
        "state": state,
        "status": {"error_code": "OK", "error_message": ""},
    }
    return json.dumps({"model_version_status": [version]}, indent=1)


@pytest.fixture
def answering():
    """A server on this machine that gives one answer to all; yields how to set it, and its port."""
    asked = []
    answer = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            asked.append(self.path)
            body = answer["body"].encode()
            self.send_response(answer["code"])
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield answer, asked, server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def check(port):
    return subprocess.run(
        ["bash", SERVING / "healthcheck.sh"],
        # No program but bash's own commands and cat.
        env={"PATH": "/usr/bin:/bin", "PORT": str(port), "MODEL_NAME": "sasrec"},
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )


@pytest.mark.parametrize(
    ("code", "body", "says"),
    [
        (200, status("AVAILABLE"), None),
        (200, json.dumps(json.loads(status("AVAILABLE"))), None),
        (200, status("LOADING"), "no version of sasrec is available"),
        (200, status("END"), "no version of sasrec is available"),
        (404, '{"error": "Servable not found"}', "404"),
        (503, status("AVAILABLE"), "503"),
    ],
)
def test_health(answering, code, body, says):
    answer, asked, port = answering
    answer.update(code=code, body=body)
    done = check(port)
    assert asked == ["/v1/models/sasrec"]
    assert done.returncode == (0 if says is None else 1)
    assert (says or "") in done.stderr


def test_nobody_listening_is_unhealthy():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        assert check(taken.getsockname()[1]).returncode != 0


def test_the_script_may_be_executed_by_anybody():
    assert os.stat(SERVING / "healthcheck.sh").st_mode & 0o444 == 0o444
