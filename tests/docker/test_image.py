"""Every command of train.Dockerfile and of compose.yaml that can be run without Docker, is run."""

import json
import os
import re
import sys

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.docker.images import DOCKER, NOT_RUN, ROOT, StandIn, instructions

pytestmark = pytest.mark.slow

SERVICES = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]
SMALL = "--epochs 1 --model.dim 8 --model.num_blocks 1 --model.max_length 10"
# Answers in the form of REST, for a server that there is none of.
ASK = """
import json, sys
import tensorflow as tf
export, request = sys.argv[1], json.load(open(sys.argv[2]))
signature = tf.saved_model.load(export).signatures["serving_default"]
names = signature.structured_input_signature[1]
(instance,) = request["instances"]
assert set(instance) == set(names)
answer = signature(**{name: tf.constant([instance[name]], tf.int64) for name in names})
print(json.dumps({"predictions": [{k: v[0].numpy().tolist() for k, v in answer.items()}]}))
"""


def python_of_the_image():
    arguments = [value for what, value in instructions("train.Dockerfile") if what == "ARG"]
    return re.fullmatch(r"PYTHON_VERSION=(\d+\.\d+)\.\d+", arguments[0])[1]


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    version = ".".join(map(str, sys.version_info[:2]))
    if version != python_of_the_image():
        pytest.skip(f"constraints.txt is for Python {python_of_the_image()}, not {version}")
    made = StandIn(tmp_path_factory.mktemp("train"), {"UID": str(os.getuid())})
    made.build("train.Dockerfile", ROOT)
    return made


@pytest.fixture(scope="module")
def export(image):
    image.command([*SERVICES["train"]["command"], *SMALL.split()])
    image.command(SERVICES["export"]["command"])
    # Where the server has it: the volume of /data/exports is mounted at /models.
    serve = SERVICES["serve"]
    assert [(v["source"], v["target"]) for v in serve["volumes"]] == [("exports", "/models")]
    return image.inside("/data/exports") / serve["environment"]["MODEL_NAME"] / "1"


def test_every_command_ran(image):
    kinds = [what for what, _ in instructions("train.Dockerfile")]
    assert len(image.commands) == kinds.count("RUN")
    assert set(kinds) - set(NOT_RUN) == {"ARG", "ENV", "WORKDIR", "COPY", "RUN", "ENTRYPOINT"}


def test_what_is_installed_is_what_is_pinned(image):
    lines = (DOCKER / "constraints.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if not line.startswith("#")]
    pinned = {
        (canonicalize_name(pin.name), next(iter(pin.specifier)).version)
        for pin in pins
        if pin.marker is None or pin.marker.evaluate()
    }
    found = json.loads(image.run(["pip", "list", "--format", "json"]))
    installed = {(canonicalize_name(each["name"]), each["version"]) for each in found}
    own = {each for each in installed if each[0] in ("pip", "tfrecs")}
    assert len(own) == 2
    assert installed - own == pinned


def test_only_data_is_written(image, export):
    written = {path.name for path in image.inside("/data").iterdir()}
    assert written == {"cache", "runs", "exports"}
    assert (image.inside("/data/runs/first") / "metrics.json").is_file()
    assert image.variables["TFRECS_CACHE"] == str(image.inside("/data/cache"))
    assert any(image.inside("/data/cache").rglob("*"))


def test_the_export_answers_the_request_in_the_form_that_the_readme_shows(image, export):
    assert (export / "saved_model.pb").is_file()
    said = image.run(["python", "-c", ASK, str(export), str(DOCKER / "request.json")])
    (answer,) = json.loads(said.splitlines()[-1])["predictions"]
    request = json.loads((DOCKER / "request.json").read_text())["instances"][0]
    readme = (DOCKER / "README.md").read_text()
    shown = json.loads(re.search(r"^\{\s*\"predictions\".*?^\}", readme, re.S | re.M)[0])
    (shown,) = shown["predictions"]
    assert set(shown) == set(answer) == {"item_id", "score"}
    for name, values in answer.items():
        assert len(values) == len(shown[name]) == 10
        assert {type(value) for value in values} == {type(value) for value in shown[name]}
    for those in (shown, answer):
        assert not set(those["item_id"]) & set(request["history"])
        assert those["score"] == sorted(those["score"], reverse=True)


def test_the_model_is_copied_where_the_baked_image_reads_it(export):
    stage = instructions("serving.Dockerfile")
    name = next(v for what, v in stage if what == "ENV").removeprefix("MODEL_NAME=")
    source, target = next(v for what, v in stage if what == "COPY" and "EXPORT" in v).split()
    assert target == "/models/${MODEL_NAME}/"
    default = next(v for what, v in stage if what == "ARG" and v.startswith("EXPORT="))
    assert (source, default) == ("${EXPORT}/", f"EXPORT=exports/{name}")
    assert export.parent.name == name
