"""compose.yaml: valid, and its services fit together."""

import json
import subprocess
import sys

import pytest
import yaml

from tests.docker.images import DOCKER, instructions

SERVICES = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]


def validated(path):
    pytest.importorskip("check_jsonschema")
    return subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", path],
        capture_output=True,
        text=True,
        check=False,
    )


def test_compose_follows_its_schema(tmp_path):
    done = validated(DOCKER / "compose.yaml")
    assert done.returncode == 0, done.stdout
    # The schema does refuse.
    wrong = tmp_path / "compose.yaml"
    wrong.write_text((DOCKER / "compose.yaml").read_text().replace("depends_on:", "depend_on:"))
    assert validated(wrong).returncode == 1


def test_each_service_waits_for_the_one_before():
    waits = {
        name: {other: how["condition"] for other, how in service.get("depends_on", {}).items()}
        for name, service in SERVICES.items()
    }
    assert waits == {
        "train": {},
        "export": {"train": "service_completed_successfully"},
        "serve": {"export": "service_completed_successfully"},
        "ask": {"serve": "service_healthy"},
    }


@pytest.mark.parametrize("name", list(SERVICES))
def test_services_can_do_little(name):
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["tmpfs"] == ["/tmp"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.get("privileged")
    for port in service.get("ports", []):
        assert port.startswith("127.0.0.1:")


def mounts(name):
    """Volume to place in the container, and whether it can be written."""
    found = {}
    for volume in SERVICES[name].get("volumes", []):
        if isinstance(volume, str):
            source, target, *mode = volume.split(":")
            found[source] = target, mode != ["ro"]
        else:
            found[volume["source"]] = volume["target"], not volume.get("read_only", False)
    return found


def test_what_one_service_writes_the_next_one_reads():
    train, export = SERVICES["train"]["command"], SERVICES["export"]["command"]
    run = train[train.index("--output") + 1]
    assert export[1] == run
    assert mounts("train")["runs"] == ("/data/runs", True)
    assert mounts("export") == {"runs": ("/data/runs", False), "exports": ("/data/exports", True)}
    # The server reads /models/$MODEL_NAME.
    place, writable = mounts("serve")["exports"]
    assert (place, writable) == ("/models", False)
    folder = export[export.index("--output") + 1]
    name = SERVICES["serve"]["environment"]["MODEL_NAME"]
    assert folder == f"exports/{name}"
    assert run.startswith("runs/")
    assert SERVICES["ask"]["command"][-1] == f"http://serve:8501/v1/models/{name}:predict"


def test_a_volume_gets_its_owner_from_the_image_that_writes_it():
    """Docker gives an empty volume the owner of its place in each container that is made with it.

    All containers are made before the first one runs, so that the last one would decide.
    """
    volumes = yaml.safe_load((DOCKER / "compose.yaml").read_text())["volumes"]
    writers = {SERVICES[name]["image"] for name in SERVICES for _, w in mounts(name).values() if w}
    assert writers == {"tfrecs-train"}
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            if isinstance(volume, str) and volume.split(":")[0] in volumes:
                assert service["image"] in writers, volume
            elif not isinstance(volume, str):
                assert service["image"] in writers or volume["volume"] == {"nocopy": True}


def test_volumes_lie_where_the_image_may_write():
    made = next(
        v for what, v in instructions("train.Dockerfile") if what == "RUN" and "install --d" in v
    )
    for name in ("train", "export"):
        for place, _ in mounts(name).values():
            assert place.startswith("/data/")
            assert place.removeprefix("/data/") in made.split()
    assert dict(instructions("train.Dockerfile"))["WORKDIR"] == "/data"


def test_builds_name_files_that_are_there():
    for service in SERVICES.values():
        if "build" in service:
            assert (DOCKER / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
    stages = [v.split()[-1] for what, v in instructions("serving.Dockerfile") if what == "FROM"]
    assert SERVICES["serve"]["build"]["target"] in stages


def test_the_request_is_json_of_one_form():
    request = json.loads((DOCKER / "request.json").read_text())
    assert list(request) == ["instances"]
