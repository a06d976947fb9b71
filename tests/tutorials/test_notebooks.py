"""The notebooks say what their sources say, are fit to be read, and run."""

import base64
import builtins
import copy
import importlib.util
import json
import re

import pytest

pytest.importorskip("jupytext", reason="needs the extra `tutorials`")

import nbformat
from nbformat import v4

from tutorials import build

NAMES = build.NAMES
URL = "https://github.com/somebody/tfrecs"


def code_of(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def pictures_of(notebook):
    outputs = [output for cell in code_of(notebook) for output in cell.outputs]
    return [o.data["image/png"] for o in outputs if "image/png" in o.get("data", {})]


def test_every_tutorial_has_a_source_and_a_notebook():
    sources = {path.stem for path in build.FOLDER.glob("*.py")} - {"build"}
    notebooks = {path.stem for path in build.FOLDER.glob("*.ipynb")}
    assert sources == notebooks == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_notebook_is_in_step_with_its_source(name):
    def told(notebook):
        return [(cell.id, cell.cell_type, cell.source) for cell in notebook.cells]

    assert told(build.built(name)) == told(build.unexecuted(name)), (
        f"Run `python -m tutorials.build {name}`, with --text-only if no code has changed."
    )


@pytest.mark.parametrize("name", NAMES)
def test_notebook_was_executed_from_top_to_bottom(name):
    notebook = build.built(name)
    nbformat.validate(notebook)
    cells = code_of(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        assert all(output.output_type != "error" for output in cell.outputs)
        assert all(output.get("name") != "stderr" for output in cell.outputs), cell.source


@pytest.mark.parametrize("name", NAMES)
def test_notebook_is_small_and_tells_of_no_machine(name):
    notebook = build.built(name)
    pictures = pictures_of(notebook)
    assert pictures
    assert max(len(base64.b64decode(picture)) for picture in pictures) < 100_000
    text = json.dumps(notebook, ensure_ascii=False)
    for picture in pictures:
        text = text.replace(json.dumps(picture)[1:-1], "")
    assert len(text) < 150_000
    # Absolute paths, such as warnings and tracebacks hold.
    assert not re.findall(r"(?<![\w.:/)~*])/(?:home|root|tmp|work|opt|usr|var|Users)/\w*", text)


@pytest.mark.parametrize("name", NAMES)
def test_notebook_checks_what_it_says(name):
    notebook = build.unexecuted(name)
    assert sum(cell.source.count("assert ") for cell in code_of(notebook)) >= 3


def test_links_between_tutorials_lead_somewhere():
    for name in NAMES:
        text = "\n".join(cell.source for cell in build.unexecuted(name).cells)
        linked = set(re.findall(r"\]\((\w+)\.ipynb\)", text))
        assert linked <= set(NAMES) - {name}
        assert linked


def test_badge_opens_the_notebook_of_the_repository():
    badge, install = build.header("two_tower", URL)
    assert "/github/somebody/tfrecs/blob/main/tutorials/two_tower.ipynb)" in badge
    assert f'"tfrecs @ git+{URL}"' in install
    badge, install = build.header("two_tower", None)
    assert badge.endswith("(https://colab.research.google.com)")
    assert 'install --quiet "tfrecs"' in install


@pytest.mark.parametrize("is_there", [True, False])
def test_tfrecs_is_installed_only_where_it_is_missing(is_there, monkeypatch):
    transformer = pytest.importorskip("IPython.core.inputtransformer2").TransformerManager()
    code = transformer.transform_cell(build.header("quickstart", URL)[1])
    asked = []

    class Shell:
        def run_line_magic(self, magic, line, *more):
            asked.append((magic, line))

    monkeypatch.setattr(builtins, "get_ipython", Shell, raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if is_there else None)
    exec(code, {})
    assert asked == ([] if is_there else [("pip", f'install --quiet "tfrecs @ git+{URL}"')])


def small(code="1 + 1", install="first", text="# Title"):
    cells = [v4.new_markdown_cell(text), v4.new_code_cell(install), v4.new_code_cell(code)]
    return v4.new_notebook(cells=cells)


def test_text_can_change_without_another_execution():
    before = small()
    before.cells[2].outputs = [v4.new_output("execute_result", {"text/plain": "2"})]
    before.cells[2].execution_count = 2
    after = small(text="# Another title", install="another")
    build.with_outputs_of(after, before)
    assert after.cells[2].outputs == before.cells[2].outputs
    assert after.cells[2].execution_count == 2
    assert after.cells[0].source == "# Another title"
    with pytest.raises(ValueError, match="build it whole"):
        build.with_outputs_of(small(code="1 + 2"), before)


@pytest.mark.slow
def test_execution_keeps_outputs_and_leaves_out_what_tensorflow_logs(tmp_path):
    pytest.importorskip("nbclient")
    log = "E0000 00:00:1764.5 dnn.cc:8310] no\n2026-01-02 03:04:05.6: I tensorflow/core] yes\n"
    notebook = v4.new_notebook(
        cells=[
            v4.new_markdown_cell("# Title"),
            v4.new_code_cell("import os, sys, tfrecs\nopen('here', 'w').close()\n6 * 7"),
            v4.new_code_cell(f"_ = sys.stderr.write({log!r})"),
            v4.new_code_cell(f"_ = sys.stderr.write({log!r} + 'a warning')"),
            v4.new_code_cell("print(os.environ['MPLBACKEND'])"),
        ]
    )
    build.execute(notebook, tmp_path)
    assert (tmp_path / "here").exists()
    _, first, logged, warned, backend = notebook.cells
    assert first.outputs[0].data["text/plain"] == "42"
    assert logged.outputs == []
    assert [(output.name, output.text) for output in warned.outputs] == [("stderr", "a warning")]
    assert "inline" in backend.outputs[0].text
    failing = copy.deepcopy(notebook)
    failing.cells[1].source = "assert 1 > 2"
    with pytest.raises(Exception, match="assert 1 > 2"):
        build.execute(failing, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_notebook_runs_and_its_asserts_hold(name, tmp_path):
    """In a fresh kernel, with the data of TFRECS_CACHE or from where they are published."""
    pytest.importorskip("nbclient")
    notebook = build.unexecuted(name)
    build.execute(notebook, tmp_path)
    assert len(pictures_of(notebook)) == len(pictures_of(build.built(name)))
