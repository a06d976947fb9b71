"""The command line, most of it in this process: importing TensorFlow takes seconds."""

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import tfrecs
from tfrecs.cli import main
from tfrecs.cli.parsing import class_names, with_class_paths

ROOT = Path(__file__).resolve().parents[1]
TINY = "--model.dim 8 --model.num_blocks 1 --model.max_length 6 --epochs 2 --batch_size 8"


@pytest.fixture
def tf_free():
    """Runs commands in one process that says after each which heavy modules it has imported."""

    def run(*lines):
        code = (
            # With scann, `import tfrecs` must look at TensorFlow at once.
            "import sys; sys.modules['scann'] = None\n"
            "from tfrecs.cli import main\n"
            "heavy = {'tensorflow', 'tensorflow_recommenders', 'tfrecs._keras', 'tfrecs.models'}\n"
            f"for line in {list(lines)!r}:\n"
            "    code = main(line)\n"
            "    print('exit code', code, *sorted(heavy & set(sys.modules)))\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        ends = [x.split()[2:] for x in done.stdout.splitlines() if x.startswith("exit code ")]
        return done, [(int(code), imported) for code, *imported in ends]

    return run


@pytest.fixture(scope="module")
def run_folder(log_file, tmp_path_factory):
    """`tfrecs train` on a tiny log."""
    folder = tmp_path_factory.mktemp("runs") / "first"
    argv = ["train", "--model", "sasrec", "--data", str(log_file), "--output", str(folder)]
    assert main([*argv, *TINY.split(), "--optimizer", "lazy_adam", "--learning_rate", "0.02"]) == 0
    return folder


@pytest.fixture(scope="module")
def exporting(run_folder, tmp_path_factory):
    """The folder of an export, and what the command printed."""
    folder = tmp_path_factory.mktemp("exports") / "sasrec"
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert main(["export", str(run_folder), "--output", str(folder), "--k", "8"]) == 0
    return folder, out.getvalue()


@pytest.fixture(scope="module")
def exported(exporting):
    return exporting[0]


def test_help_version_and_wrong_commands_need_no_tensorflow(tf_free):
    _, ends = tf_free(["--help"], [], ["--version"], ["evalute"])
    assert ends == [(0, []), (0, []), (0, []), (2, [])]


def test_the_top_level(capsys):
    assert main([]) == 0
    usage = capsys.readouterr().out
    assert main(["--help"]) == 0
    assert capsys.readouterr().out == usage
    for command in ("train", "evaluate", "export", "verify", "recommend"):
        assert re.search(rf"^  {command} +\w+", usage, re.M)
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"tfrecs {tfrecs.__version__}\n"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("train", ["--output", "--model.help", "--epochs", "TFRECS_DATA", "sasrec-ml-1m"]),
        ("evaluate", ["--ks", "runs/first"]),
        ("export", ["--output", "SavedModel"]),
        ("verify", ["sha256"]),
        ("recommend", ["--history", "--exclude", "--k"]),
    ],
)
def test_help_of_the_commands_explains_and_shows_an_example(command, words, capsys):
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    text = capsys.readouterr().out
    assert re.search(rf"^  tfrecs {command} ", text, re.M)
    for word in words:
        assert word in text


def test_help_of_a_model_comes_from_its_signature(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["train", "--model.help", "sasrec"])
    text = capsys.readouterr().out
    assert re.search(r"--model\.dim DIM .*Size of vectors.*default: 64", text, re.S)
    assert "--model.items" not in text
    assert "--model.trainable" not in text


def test_train_leaves_a_run(run_folder, capsys):
    metrics = json.loads((run_folder / "metrics.json").read_text())
    assert metrics["model"] == "SASRec"
    assert metrics["epochs"] == 2
    config = tfrecs.training.Run(run_folder).config
    assert config["optimizer"]["class_path"] == "tfrecs.optimizers.LazyAdam"
    assert config["model"]["init_args"]["max_length"] == 6


@pytest.mark.slow
def test_config_yaml_trains_the_same_again(run_folder, tmp_path, capsys):
    again = tmp_path / "again"
    argv = ["--config", str(run_folder / "config.yaml"), "--output", str(again)]
    assert main(["train", *argv]) == 0
    out = capsys.readouterr().out
    first, second = (json.loads((f / "metrics.json").read_text()) for f in (run_folder, again))
    assert second["test"] == first["test"]
    assert (again / "config.yaml").read_text() == (run_folder / "config.yaml").read_text()
    # What a person sees: a line an epoch, the baselines beside the model, and what comes next.
    assert len(re.findall(r"^epoch \d/2 +loss .* val_NDCG@10 .* targets/s", out, re.M)) == 2
    assert re.search(r"^ +SASRec .*popularity +random +popularity_7_days$", out, re.M)
    assert f"  tfrecs evaluate {again}" in out
    assert f"  tfrecs export {again} --output " in out


def test_flags_override_the_recipe_which_overrides_the_defaults(log_file, tmp_path, capsys):
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(
        "model: {class_path: tfrecs.models.SASRec, init_args: {dim: 12, dropout: 0.4}}\n"
        "epochs: 7\nbatch_size: 64\n"
    )
    output = tmp_path / "run"
    # The flags come first: their place does not matter.
    argv = ["--epochs", "3", "--model.dim", "6", "--recipe", str(recipe)]
    with pytest.raises(SystemExit, match="0"):
        main(["train", *argv, "--output", str(output), "--data", str(log_file), "--print_config"])
    text = capsys.readouterr().out
    assert re.search(r"^epochs: 3$", text, re.M)
    assert re.search(r"^batch_size: 64$", text, re.M)
    assert re.search(r"^seed: 0$", text, re.M)
    assert re.search(r"^ +dim: 6$", text, re.M)
    assert re.search(r"^ +dropout: 0.4$", text, re.M)


@pytest.mark.parametrize("form", ["flag", "equals", "yaml", "file", "config", "resume"])
def test_another_model_has_its_own_defaults(form, tmp_path, log_file, capsys):
    settings = tmp_path / "settings.yaml"
    settings.write_text("model: {class_path: tfrecs.models.TwoTower, init_args: {dim: 8}}")
    model = tmp_path / "model.yaml"
    model.write_text("{class_path: tfrecs.models.TwoTower, init_args: {dim: 8}}")
    flags = {
        "flag": ["--model", "two-tower", "--model.dim", "8"],
        "yaml": ["--model", model.read_text()],
        "file": ["--model", str(model)],
        "equals": ["--model=two-tower", "--model.dim=8"],
        "config": ["--config", str(settings)],
    }
    flags["resume"] = flags["flag"]
    run = ["--data", str(log_file), "--epochs", "1", "--output", str(tmp_path / "run")]
    assert main(["train", *flags[form], *run]) == 0
    if form == "resume":
        assert main(["train", "--resume", str(tmp_path / "run")]) == 0
    capsys.readouterr()
    given = tfrecs.training.Run(tmp_path / "run").config["model"]
    assert given["class_path"] == "tfrecs.models.TwoTower"
    # SASRec's are .2, dot and 0.
    kept = {name: given["init_args"][name] for name in ("dropout", "similarity", "feature_dim")}
    assert kept == {"dropout": 0.1, "similarity": "cosine", "feature_dim": 16}


@pytest.mark.parametrize("name", tfrecs.recipes.names())
def test_every_recipe_is_understood_and_builds_its_model(name, tmp_path):
    import yaml

    from tfrecs.cli.parsing import parse
    from tfrecs.cli.train import make_parser

    path = tfrecs.recipes.path(name)
    argv = ["--config", str(path), "--output", str(tmp_path / "run")]
    settings = parse(make_parser(), argv).as_dict()
    for key, value in yaml.safe_load(path.read_text()).items():
        if key not in ("model", "optimizer"):
            assert settings[key] == value
    cls = tfrecs.training.find_class(settings["model"]["class_path"])
    frame = {"user_id": [*range(4)] * 10, "item_id": [i // 4 for i in range(40)]}
    attributes = pd.DataFrame({"item_id": range(10), "attributes": [[1], [1, 2]] * 5})
    log = tfrecs.data.Interactions(
        {**frame, "rating": [1, 5, 4, 2, 5] * 8}, item_features=attributes
    )
    split = tfrecs.training.make_split(log, cls.default_split)
    model = cls.from_split(split, **tfrecs.training.built_arguments(settings["model"]))
    assert isinstance(model, tfrecs.models.Model)


def test_the_same_command_again_tests_a_finished_run_again(log_file, run_folder, capsys):
    metrics = (run_folder / "metrics.json").read_bytes()
    argv = ["train", "--model", "sasrec", "--data", str(log_file), "--output", str(run_folder)]
    argv += [*TINY.split(), "--optimizer", "lazy_adam", "--learning_rate", "0.02"]
    assert main([*argv, "--checkpoint_minutes", "null"]) == 0
    out = capsys.readouterr().out
    assert f"{run_folder} is finished: it is only tested again." in out
    assert re.search(r"^ +SASRec .*popularity +random +popularity_7_days$", out, re.M)
    assert f"  tfrecs evaluate {run_folder}" in out
    assert (run_folder / "metrics.json").read_bytes() == metrics


@pytest.mark.slow
def test_evaluate(run_folder, tmp_path, capsys):
    assert main(["evaluate", str(run_folder), "--json", str(tmp_path / "report.json")]) == 0
    out = capsys.readouterr().out
    metrics = json.loads((run_folder / "metrics.json").read_text())
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["metrics"]["NDCG@10"] == pytest.approx(metrics["test"]["NDCG@10"])
    assert re.search(r"^ +SASRec .*popularity +random +popularity_7_days$", out, re.M)

    argv = ["--on", "validation", "--ks", "[3]", "--plot", str(tmp_path / "report.png")]
    assert main(["evaluate", str(run_folder), *argv]) == 0
    out = capsys.readouterr().out
    assert "NDCG@3" in out
    assert "NDCG@10" not in out
    assert (tmp_path / "report.png").read_bytes().startswith(b"\x89PNG")


def test_what_export_says_comes_next_can_be_done(exporting, capsys):
    """Also where the export gives fewer items than are asked for by default."""
    (line,) = [x for x in exporting[1].splitlines() if x.startswith("  tfrecs ")]
    assert main(line.split()[1:]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 8


def test_an_export_in_fewer_bits_says_what_it_costs(run_folder, tmp_path, capsys):
    argv = ["export", str(run_folder), "--output", str(tmp_path / "sasrec")]
    assert main([*argv, "--item_precision", "int8"]) == 0
    said = re.search(
        r"^int8: NDCG@10 (\S+) instead of (\S+) on .*validation\.$", capsys.readouterr().out, re.M
    )
    metrics = json.loads((run_folder / "metrics.json").read_text())
    assert said[2] == f"{metrics['validation']['NDCG@10']:.4f}"
    assert 0 <= float(said[1]) <= 1
    assert main(["verify", str(tmp_path / "sasrec")]) == 0


def test_recommend(exported, run_folder, capsys):
    assert main(["recommend", str(exported), "--history", "101,102,103", "--k", "5"]) == 0
    out, errors = capsys.readouterr()
    assert "gradients" not in errors
    lines = [line.split("\t") for line in out.splitlines()]
    answer = [int(item) for item, score in lines]
    assert len(answer) == 5
    assert not {101, 102, 103} & set(answer)
    scores = [float(score) for item, score in lines]
    assert scores == sorted(scores, reverse=True)

    # The model itself, asked in its own ids.
    model = tfrecs.training.Run(run_folder).load_model()
    history = model.items.encode([101, 102, 103])
    best = model.score({"history": history[None]}).numpy()[0].argsort()[::-1] + 1
    expected = [int(model.items.decode([i])[0]) for i in best if i not in history]
    assert answer == expected[:5]


def test_recommend_leaves_out_what_it_is_told_to(exported, capsys):
    argv = ["recommend", str(exported), "--history", "101,102", "--k", "4"]
    assert main(argv) == 0
    best = [line.split("\t")[0] for line in capsys.readouterr().out.splitlines()]
    assert main([*argv, "--exclude", f"{best[0]}, {best[2]}"]) == 0
    without = [line.split("\t")[0] for line in capsys.readouterr().out.splitlines()]
    assert without[:2] == [best[1], best[3]]


def test_verify(exported, capsys, tmp_path):
    assert main(["verify", str(exported)]) == 0
    out = capsys.readouterr().out
    assert re.fullmatch(
        rf"{exported}/1: SASRec, \d files and 4 golden answers are as they were exported.\n", out
    )
    shutil.copytree(exported / "1", tmp_path / "1")
    variables = tmp_path / "1" / "variables" / "variables.data-00000-of-00001"
    content = bytearray(variables.read_bytes())
    content[len(content) // 2] ^= 1
    variables.write_bytes(content)
    assert "damaged: variables/variables.data" in error_of(capsys, ["verify", str(tmp_path)])


def test_recommend_says_which_ids_it_does_not_know(exported, capsys):
    assert main(["recommend", str(exported), "--history", "101, 7", "--k", "2"]) == 0
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 2
    assert said.err == "tfrecs: Ignored unknown ids: 7.\n"


def test_the_targets_of_a_split_by_time(log_file, tmp_path, capsys):
    """And the warning: one line where training knew the future, none where it did not."""
    said = {}
    for name, flags in (
        ("last", "--split leave_last_out"),
        ("time", "--split global_time --split_args.targets successive"),
    ):
        folder = tmp_path / name
        argv = ["train", "--data", str(log_file), "--output", str(folder), *flags.split()]
        assert main([*argv, *TINY.split(), "--recommend_known", "true"]) == 0
        assert main(["evaluate", str(folder)]) == 0
        said[name] = capsys.readouterr().out, json.loads((folder / "metrics.json").read_text())
    out, metrics = said["last"]
    assert out.count("Trained on the future: on average ") == 2  # By each of the commands.
    assert 0 < metrics["trained_on_future"]["test"] < metrics["trained_on_future"]["validation"]
    assert set(metrics["baselines"]) == {
        *("popularity", "random", "popularity_7_days", "last_items")
    }
    out, metrics = said["time"]
    assert "successive targets" in metrics["protocol"]
    assert "rained on the future" not in out
    assert metrics["trained_on_future"] == {"validation": 0, "test": 0}
    assert f" {metrics['counts']['test_targets']} targets in" in out
    assert metrics["counts"]["test_targets"] > metrics["counts"]["test_users"]


@pytest.mark.slow
def test_verify_and_recommend_import_tensorflow_alone(exported, tf_free):
    """And nothing but its line is on standard error after a mistake.

    TensorFlow, which logs whatever it is told, is imported by then.
    """
    recommend = ["recommend", str(exported), "--history", "101,102"]
    wrong = ["train", "--output", "x", "--data", "nowhere.csv"]
    done, ends = tf_free(["verify", str(exported)], recommend, wrong)
    assert ends[:2] == [(0, ["tensorflow"])] * 2
    assert ends[2][0] == 2
    assert done.stderr.startswith("tfrecs: No file nowhere.csv")
    assert done.stderr.count("\n") == 1


def error_of(capsys, argv):
    """The one line of an error; nothing else may be on standard error."""
    code = main(argv)
    said = capsys.readouterr()
    assert code == 2
    assert said.err.startswith("tfrecs: ")
    assert said.err.count("\n") == 1
    assert "Traceback" not in said.out + said.err
    return said.err


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("evalute", "no command 'evalute'. Did you mean 'evaluate'?"),
        ("--bogus", "no option '--bogus'"),
        ("train", "missing: --output"),
        ("train --output OUT --epoch 3", "no option --epoch: did you mean --epochs?"),
        ("train --output OUT --epochs many", "epochs: expected int. Got value: many"),
        ("train --output OUT --epochs 0", "epochs must be at least 1"),
        ("train --output OUT --model sasrek", "no model 'sasrek'"),
        ("train --output OUT --model.loss softmaxx", "no loss 'softmaxx'. Did you mean"),
        ("train --output OUT --optimizer adamm", "no optimizer 'adamm'"),
        (
            "train --output OUT --model.dimm 3",
            "'dimm' is not accepted by SASRec. Did you mean 'dim'?",
        ),
        (
            "train --output OUT --model.loss sampled_softmax --model.loss.negatives popularity",
            "missing, for Popularity: --model.loss.negatives.num_negatives",
        ),
        (
            "train --output OUT --model.loss sampled_softmax --model.loss.negatives popularity "
            "--model.loss.negatives.num_negatives 8 --model.loss.negatives.power 3",
            "--model.loss.negatives: 'power' is not accepted by Popularity. Choose from: alpha,",
        ),
        (
            "train --output OUT --model.loss.negatives in_batch",
            "--model.loss: name a loss that takes 'negatives'",
        ),
        (
            "train --output OUT --data LOG --model.loss sampled_softmax "
            "--model.loss.negatives item_frequency",
            "negatives is a sampler such as Uniform(256), not ItemFrequency",
        ),
        (
            "train --output OUT --data LOG --model.loss sampled_softmax "
            "--model.loss.negatives in_batch --model.loss.negatives.frequency uniform "
            "--model.loss.negatives.frequency.num_negatives 4",
            "frequency must be ItemFrequency, StreamingFrequency or a layer like them",
        ),
        (
            "train --output OUT --data LOG --data_args.dislike [rating,1]",
            'dislike is a condition in a text, such as "rating <= 2", not list',
        ),
        ("train --output OUT --model.dim x", "dim: expected int. Got value: x"),
        ("train --output OUT --model.dropout 3 --data LOG", "rate must be in [0, 1)"),
        ("train --output OUT --split randomly", "split: expected Literal"),
        ("train --output OUT --jit maybe", "--jit: expected true, false or auto. Got"),
        ("train --output OUT --data LOG --split_args.x 3", "split_args has no 'x'"),
        (
            "train --output OUT --data LOG --split global_time --split_args.targets next",
            "targets must be one of all, first, last, successive, not 'next'",
        ),
        ("train --output OUT --data nowhere.csv", "nowhere.csv"),
        ("train --output OUT --data EMPTY", "the log has no rows"),
        ("train --output OUT --data LOG --data_args.user who", "no column 'who'"),
        ("train --output OUT --recipe nope", "no recipe 'nope'"),
        ("train --output OUT --recipe", "--recipe needs a name"),
        ("train --output OUT --config nope.yaml", "there is no file nope.yaml"),
        ("train --resume OUT", "no run to resume in"),
        ("train --resume HALF", "config.yaml is not the config.yaml of a run"),
        ("train --output RUN --data LOG", "was started with model.dim 8, not 64. It is finished:"),
        ("train --resume RUN --seed 5", "was started with seed 0, not 5"),
        ("train --output TMP --data LOG", "is not empty: name another output folder"),
        ("train --output OUT --data LOG --checkpoint_minutes -1", "must be positive or null"),
        ("train --output LOG/x --data LOG", "Not a directory"),
        ("evaluate", "missing: run"),
        ("evaluate OUT", "There is no folder"),
        ("evaluate RUN --ks [0]", "--ks must be lengths of at least 1"),
        ("evaluate RUN --json OUT/no/report.json", "there is no folder"),
        ("export OUT --output OUT", "There is no folder"),
        ("export RUN --output OUT --k 0", "k"),
        ("verify OUT", "there is no such folder"),
        ("export RUN --output OUT --index faiss", "index: expected Literal"),
        ("recommend OUT --history 1", "there is no such folder"),
        ("recommend EXPORT", "The history is empty"),
        ("recommend EXPORT --history milk", "milk"),
        ("recommend EXPORT --history 101 --k 500", "500"),
        ("recommend EXPORT --exclude -7,8", "--exclude needs a value; one that begins with - is"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(
    line, message, capsys, tmp_path, log_file, run_folder, exported
):
    (tmp_path / "empty.csv").write_text("user_id,item_id,timestamp\n")
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "config.yaml").write_text(f"data: {log_file}\n")
    capsys.readouterr()
    places = {
        "OUT": tmp_path / "out",
        "LOG": log_file,
        "EMPTY": tmp_path / "empty.csv",
        "RUN": run_folder,
        "TMP": tmp_path,
        "HALF": tmp_path / "half",
        "EXPORT": exported,
    }
    argv = [
        re.sub(r"^(OUT|LOG|EMPTY|RUN|TMP|HALF|EXPORT)\b", lambda m: str(places[m[0]]), word)
        for word in line.split()
    ]
    assert message in error_of(capsys, argv)
    assert not (tmp_path / "out").exists()


def test_a_fault_of_the_program_keeps_its_traceback(monkeypatch, log_file, tmp_path):
    def broken(*args, **options):
        raise KeyError("a bug")

    monkeypatch.setattr(tfrecs.models.SASRec, "fit", broken)
    argv = ["train", "--data", str(log_file), "--output", str(tmp_path / "run")]
    with pytest.raises(KeyError, match="a bug"):
        main([*argv, *TINY.split()])


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(28, "No space left on device", "runs/x"), "[Errno 28] No space left on device: "),
        (OSError(30, "Read-only file system"), "[Errno 30] Read-only file system"),
        (MemoryError(), "not enough memory."),
        (FloatingPointError("diverged\nin step 3"), "diverged in step 3"),
        (EOFError("Compressed file ended"), "Compressed file ended"),
        (RecursionError("maximum depth"), "something is nested too deep. maximum depth"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_bad_days_are_one_line(error, said, monkeypatch, log_file, tmp_path, capsys):
    def broken(*args, **options):
        raise error

    monkeypatch.setattr(tfrecs.models.SASRec, "fit", broken)
    argv = ["train", "--data", str(log_file), "--output", str(tmp_path / "run"), *TINY.split()]
    assert main(argv) == 2
    text = capsys.readouterr().err
    assert text.startswith(f"tfrecs: {said}")
    assert text.count("\n") == 1
    monkeypatch.setenv("TFRECS_TRACEBACK", "1")
    with pytest.raises(type(error)):
        main(argv)


def test_a_full_disk_within_tensorflow_is_one_line(capsys, monkeypatch, run_folder, tmp_path):
    from tfrecs._keras import tf

    def full(*args, **options):
        raise tf.errors.ResourceExhaustedError(None, None, "x; No space left on device")

    monkeypatch.setattr(tf.saved_model, "save", full)
    assert main(["export", str(run_folder), "--output", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == "tfrecs: x; No space left on device\n"
    assert not list((tmp_path / "out").iterdir())


def test_ctrl_c_before_there_is_anything_to_keep(monkeypatch, capsys, log_file, tmp_path):
    def stop(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("tfrecs.training.job.load_source", stop)
    argv = ["train", "--data", str(log_file), "--output", str(tmp_path / "run")]
    assert main(argv) == 130
    assert capsys.readouterr().err == "tfrecs: Stopped.\n"
    assert not (tmp_path / "run").exists()


def test_names_as_a_person_writes_them():
    losses = class_names(tfrecs.losses, base=tfrecs.losses.Loss)
    options = {"loss": losses}
    path = "tfrecs.losses.SampledSoftmax"
    for name in ("sampled_softmax", "SampledSoftmax", "sampled-softmax", "SAMPLEDSOFTMAX"):
        expected = ["--model.loss", path, "--epochs", "3"]
        assert with_class_paths(["--model.loss", name, "--epochs", "3"], options) == expected
        assert with_class_paths([f"--model.loss={name}"], options) == [f"--model.loss={path}"]
    # An argument of the loss is not the loss, and a dotted path is for the parser.
    kept = ["--model.loss.num_negatives", "4", "--model.loss", "my.own.Loss"]
    assert with_class_paths(kept, options) == kept


def test_a_config_that_is_no_mapping(tmp_path, capsys):
    path = tmp_path / "log.csv"
    path.write_text("user_id,item_id\n1,2\n")
    for flag in ("--config", "--recipe"):
        assert main(["train", flag, str(path), "--output", str(tmp_path / "run")]) == 2
        assert f"{path} holds no settings" in capsys.readouterr().err


def test_a_wrong_batch_size_leaves_no_run(log_file, tmp_path, capsys):
    run = tmp_path / "run"
    argv = ["train", "--data", str(log_file), "--output", str(run), "--batch_size", "0"]
    assert main(argv) == 2
    assert "batch_size must be at least 1, not 0" in capsys.readouterr().err
    assert not (run / "config.yaml").exists()


def test_changed_data_are_not_tested_on(log_file, run_folder, tmp_path, capsys):
    """The items are the same, and so a test on other rows would go unnoticed."""
    copy, rows = tmp_path / "run", tmp_path / "log.csv"
    shutil.copytree(run_folder, copy)
    settings = (copy / "config.yaml").read_text()
    (copy / "config.yaml").write_text(settings.replace(str(log_file), str(rows)))
    lines = log_file.read_text().splitlines()
    rows.write_text("\n".join([*lines, "0,105,99"]) + "\n")
    assert main(["evaluate", str(copy)]) == 2
    assert "has changed since" in capsys.readouterr().err


def test_an_unfinished_run_is_said_to_be_one(run_folder, tmp_path, capsys):
    copy = tmp_path / "run"
    shutil.copytree(run_folder, copy)
    metrics = json.loads((copy / "metrics.json").read_text())
    (copy / "metrics.json").write_text(json.dumps({**metrics, "finished": False}))
    assert main(["evaluate", str(copy)]) == 0
    assert "is not finished: this is its best epoch so far" in capsys.readouterr().err
    assert main(["export", str(copy), "--output", str(run_folder)]) == 2
    assert "is the folder of a run" in capsys.readouterr().err


def test_unknown_ids_to_exclude_are_said(exported, capsys):
    argv = ["recommend", str(exported), "--history", "100", "--exclude", "999", "--k", "3"]
    assert main(argv) == 0
    assert "Ignored unknown ids to exclude: 999" in capsys.readouterr().err
