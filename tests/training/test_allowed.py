"""Configs from strangers: they build what is on the list, import nothing and run no code."""

import json
import sys

import pytest
import yaml

import tfrecs
from tfrecs._keras import keras
from tfrecs.cli import main
from tfrecs.training import ConfigError, Run, RunError, build, check_config

BAD_CLASSES = [
    "subprocess.Popen",
    "os.system",
    "canary_module.Loss",
    "tfrecs.training.specs.build",
    "tfrecs.data.loading.load",
    "tf_keras.layers.Lambda",
    "tf_keras.Model",
    "tf_keras.utils.get_file",
    "tf_keras.metrics.MeanMetricWrapper",
    "builtins.eval",
    "__main__.x",
    "",
    "tfrecs",
]


def popen(canary):
    return {
        "class_path": "subprocess.Popen",
        "init_args": {"args": ["touch", str(canary)]},
    }


@pytest.mark.parametrize("path", BAD_CLASSES)
def test_specs_build_what_is_on_the_list(path):
    with pytest.raises(ConfigError, match="There is no class"):
        build({"class_path": path})
    nested = {"a": [{"b": {"class_path": path}}]}
    with pytest.raises(ConfigError, match=r"here: a\[0\].b: There is no class"):
        check_config(nested, "here")


@pytest.mark.parametrize(
    "path",
    ["tf_keras.optimizers.SGD", "keras.optimizers.SGD", "tf.keras.optimizers.SGD"],
)
def test_keras_has_several_names(path):
    assert isinstance(build({"class_path": path}), keras.optimizers.SGD)


def test_what_the_program_registered_may_be_named():
    @keras.utils.register_keras_serializable("test_allowed")
    class OwnLoss(tfrecs.losses.FullSoftmax):
        pass

    OwnLoss.__module__, OwnLoss.__qualname__ = "somebodys.module", "OwnLoss"
    assert type(build({"class_path": "somebodys.module.OwnLoss"})) is OwnLoss
    check_config(keras.utils.serialize_keras_object(OwnLoss()), "here")


@pytest.mark.parametrize(
    "config",
    [
        {"class_name": "TFOpLambda", "module": "tf_keras.src.layers.core.tf_op_layer"},
        {"class_name": "Lambda", "module": "keras.layers", "registered_name": None},
        {"class_name": "function", "module": "builtins", "config": "eval"},
        {"class_name": "__lambda__", "config": {"value": "x"}},
        {"class_name": "__typespec__", "spec_name": "io.write_file"},
        {"class_name": "Popen", "module": "subprocess", "registered_name": None},
        {"class_name": "Popen", "module": "subprocess", "registered_name": "Popen"},
        {"class_name": "Custom>MultiLayerDCN", "config": {}},
        {"class_name": "Functional", "config": {}},
        {"class_name": "BinaryCrossentropy", "module": "canary_module", "registered_name": "x"},
        {"class_name": "tfrecs>BPR", "module": "canary_module", "registered_name": None},
        {"class_name": "tfrecs>BPR", "module": "canary_module"},
        {"class_name": "BPR", "module": "canary_module", "registered_name": ""},
    ],
)
def test_keras_configs_build_what_is_on_the_list(config):
    for outer in (config, {"loss": config}, {"layers": [[config]]}):
        with pytest.raises(ConfigError, match="a config may not build"):
            check_config(outer, "here")


def test_data_may_have_any_column():
    columns = {name: {"kind": "Numeric"} for name in ("class_name", "class_path", "module")}
    check_config({"context": {"columns": columns}}, "here")


def test_bounds():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ConfigError, match="nested more than 64 levels deep"):
        check_config(deep, "here")
    with pytest.raises(ConfigError, match=r"here: model.dim is 1000000000000, which no setting"):
        check_config({"model": {"dim": 10**12}}, "here")
    for sizes in ({"hidden_units": [8, 10**7]}, {"max_length": 10**7}, {"num_negatives": 10**9}):
        with pytest.raises(ConfigError, match="which no setting can be"):
            check_config(sizes, "here")
    check_config({"seed": 10**12, "ids": [10**15], "chunk_size": 2**22, "dim": 512}, "here")


@pytest.fixture
def folder(whole, tmp_path):
    """A copy of a run folder, without its checkpoints."""
    for name in ("config.yaml", "model.json", "metrics.json"):
        (tmp_path / name).write_bytes((whole.folder / name).read_bytes())
    return tmp_path


def commands(folder):
    yield ["train", "--resume", str(folder)]
    yield ["train", "--config", str(folder / "config.yaml"), "--output", str(folder / "new")]
    yield ["train", "--recipe", str(folder / "config.yaml"), "--output", str(folder / "new")]


def refused(argv, capsys, what):
    capsys.readouterr()
    assert main(argv) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    assert what in error


@pytest.mark.parametrize("name", ["model", "model.loss", "optimizer"])
@pytest.mark.parametrize("file", ["inner.yaml", "inner"])
def test_a_setting_is_no_file_of_settings(name, file, folder, tmp_path, capsys, monkeypatch):
    """The parser would read it, unchecked."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / file).write_text("class_path: canary_module.Loss\n")
    config = yaml.safe_load((folder / "config.yaml").read_text())
    (folder / "config.yaml").write_text(yaml.safe_dump({**config, name: file}))
    for argv in commands(folder):
        refused(argv, capsys, f"There is no class '{file}'")


@pytest.mark.parametrize("name", ["config", "recipe"])
def test_settings_name_no_other_settings(name, folder, tmp_path, capsys, monkeypatch):
    """The parser would read them too, unchecked."""
    canary = tmp_path / "canary"
    (tmp_path / "canary_module.py").write_text(f"open({str(canary)!r}, 'w')\nclass Loss: pass\n")
    (tmp_path / "inner.yaml").write_text("model: {class_path: canary_module.Loss}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    config = yaml.safe_load((folder / "config.yaml").read_text())
    (folder / "config.yaml").write_text(yaml.safe_dump({**config, name: "inner.yaml"}))
    for argv in commands(folder):
        refused(argv, capsys, "settings may not name others")
    assert not canary.exists()


def places(config, bad):
    """Every place in settings where a class could stand."""
    yield {**config, "model": bad}
    yield {**config, "optimizer": bad}
    for name in ("loss", "dim", "norm"):
        model = {**config["model"], "init_args": {**config["model"]["init_args"], name: bad}}
        yield {**config, "model": model}
    yield {**config, "optimizer": {**config["optimizer"], "init_args": {"clipnorm": bad}}}
    yield {**config, "data_args": {"user": bad}}
    yield {**config, "split_args": {"seed": [bad]}}


def test_settings_of_a_stranger_run_nothing(folder, tmp_path, capsys, monkeypatch):
    canary = tmp_path / "canary"
    (tmp_path / "canary_module.py").write_text(f"open({str(canary)!r}, 'w')\nclass Loss: pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    config = yaml.safe_load((folder / "config.yaml").read_text())
    for bad in (popen(canary), {"class_path": "canary_module.Loss"}, "canary_module.Loss"):
        attacks = list(places(config, bad))
        # Strings among these are a column's name and a seed.
        for attacked in attacks[: -2 if isinstance(bad, str) else None]:
            (folder / "config.yaml").write_text(yaml.safe_dump(attacked))
            for argv in commands(folder):
                refused(argv, capsys, "There is no class")
            with pytest.raises(RunError, match="There is no class"):
                Run(folder).load_model()
    assert not canary.exists()
    assert "canary_module" not in sys.modules


@pytest.mark.parametrize(
    "flags",
    [
        ["--model", "canary_module.Loss"],
        ["--model=canary_module.Loss"],
        ["--model.help", "canary_module.Loss"],
        ["--model.loss", "canary_module.Loss"],
        ["--model.class_path", "canary_module.Loss"],
        ["--optimizer", "{class_path: canary_module.Loss}"],
        ["--optimizer.class_path=canary_module.Loss"],
        ["--model.loss.negatives", "canary_module.Loss"],
        ["--split_args", "{test: {class_path: canary_module.Loss}}"],
        ["--model", "settings.yaml"],
        ["--model", "name.yaml"],
        ["--model", "'canary_module.Loss'"],
        [
            "--model.loss",
            "{class_path: tfrecs.losses.BPR, init_args: {negatives: canary_module.Loss}}",
        ],
    ],
)
def test_flags_import_nothing(flags, tmp_path, capsys, monkeypatch):
    canary = tmp_path / "canary"
    (tmp_path / "canary_module.py").write_text(f"open({str(canary)!r}, 'w')\nclass Loss: pass\n")
    (tmp_path / "settings.yaml").write_text("class_path: canary_module.Loss\n")
    (tmp_path / "name.yaml").write_text("canary_module.Loss\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    refused(["train", *flags, "--output", "run"], capsys, "There is no class 'canary_module.Loss'")
    assert not canary.exists()


def test_an_error_imports_nothing_that_a_value_names(tmp_path, capsys, monkeypatch):
    canary = tmp_path / "canary"
    (tmp_path / "canary_module.py").write_text(f"open({str(canary)!r}, 'w')\nclass Loss: pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    value = "class_path 'canary_module.Loss': Option 'a' is not accepted"
    refused(["train", "--model.dim", value, "--output", "run"], capsys, "expected int")
    assert not canary.exists()


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a: &a [x, x]\nb: [*a, *a]\n", "line 2 has an alias (*), which settings may not"),
        ("model: !!python/object/apply:os.system [ls]\n", "cannot be read"),
        ("[" * 10_000, "nested too deep"),
        ("{a: " * 10_000, "nested too deep"),
        ("- a\n- b\n", "is not the config.yaml of a run"),
        ("just text\n", "is not the config.yaml of a run"),
        ("", "is not the config.yaml of a run"),
        ("data: [\x00]\n", "cannot be read"),
        ("data: 2024-99-99\nmodel: 1\n", "cannot be read"),
        ("x" * (2**20 + 1), "larger than 1,048,576 bytes"),
    ],
)
def test_files_that_are_no_settings(text, what, folder, capsys):
    (folder / "config.yaml").write_text(text)
    refused(["evaluate", str(folder)], capsys, what)
    refused(["train", "--resume", str(folder)], capsys, what)


def test_bytes_that_are_no_text(folder, capsys):
    for name in ("config.yaml", "model.json"):
        before = (folder / name).read_bytes()
        (folder / name).write_bytes(b"\xff\xfe\x00\xd8")
        refused(["export", str(folder), "--output", str(folder / "out")], capsys, "is not UTF-8")
        (folder / name).write_bytes(before)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("[" * 10_000, "nested too deep"),
        ("[]", "is not the model.json of a run"),
        ('{"config": 3}', "is not the model.json of a run"),
        ('{"config": {}, "class_name": "SASRec"}', "a config may not build 'SASRec'"),
        ('{"config": {}, "module": "x"}', "describes no model"),
        ("NaN", "is not the model.json of a run"),
    ],
)
def test_descriptions_of_no_model(content, what, folder, capsys):
    (folder / "model.json").write_text(content)
    refused(["evaluate", str(folder)], capsys, what)


def test_descriptions_of_a_stranger_run_nothing(folder, tmp_path, capsys):
    canary = tmp_path / "canary"
    described = json.loads((folder / "model.json").read_text())
    call = {
        "class_name": "TFOpLambda",
        "module": "tf_keras.src.layers.core.tf_op_layer",
        "registered_name": "TFOpLambda",
        "config": {"function": "io.write_file", "name": "x"},
    }
    python = {"module": "subprocess", "class_name": "Popen", "registered_name": None}
    python["config"] = {"args": ["touch", str(canary)]}
    for bad in (call, python):
        for attacked in (
            bad,
            {**described, "config": {**described["config"], "loss": bad}},
            {**described, "config": {**described["config"], "items": {"ids": [bad]}}},
            {**described, "compile_config": {"optimizer": bad}},
            {**described, "build_config": {"input_shape": bad}},
        ):
            (folder / "model.json").write_text(json.dumps(attacked))
            refused(["evaluate", str(folder)], capsys, "a config may not build")
    huge = {**described, "config": {**described["config"], "dim": 10**15}}
    (folder / "model.json").write_text(json.dumps(huge))
    refused(["evaluate", str(folder)], capsys, "which no setting can be")
    for name, value in {"dim": "x", "num_blocks": None, "max_length": [3], "no_such": 1}.items():
        strange = {**described, "config": {**described["config"], name: value}}
        (folder / "model.json").write_text(json.dumps(strange))
        refused(["evaluate", str(folder)], capsys, "model.json")
    assert not canary.exists()
