"""Builds the notebooks of the tutorials from their sources.

    pip install -e ".[tutorials]"
    python -m tutorials.build                         # executes all, about a quarter of an hour
    python -m tutorials.build quickstart serving      # some
    python -m tutorials.build --text-only             # prose changed, code did not: keeps outputs

`tutorials/NAME.py` is the source, in the percent format of jupytext; edit that one.
`tutorials/NAME.ipynb` is the source with a badge, a cell that installs tfrecs where it is missing,
and the outputs of one execution from top to bottom in a fresh kernel.
"""

from __future__ import annotations

import argparse
import os
import re
import tempfile
import time
from pathlib import Path

import jupytext
import nbformat
from nbformat import NotebookNode

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10, where jupytext brings it under its old name
    import tomli as tomllib

FOLDER = Path(__file__).resolve().parent
NAMES = (
    "quickstart",
    "evaluation",
    "sequences",
    "matrix_factorization",
    "two_tower",
    "deep_cross",
    "serving",
)
COLAB = "https://colab.research.google.com"

_INSTALL = """\
import importlib.util

if importlib.util.find_spec("tfrecs") is None:  # in Colab, say
    %pip install --quiet "{requirement}"
"""
# What TensorFlow logs as it starts, and as it writes or loads a SavedModel.
_TENSORFLOW_LOG = re.compile(
    r"(INFO|WARNING):(tensorflow|absl):|WARNING: All log messages before absl|"
    r"[IWE]\d{4} |\d{4}-\d\d-\d\d .*: [IWE] "
)


def repository() -> str | None:
    """The address of the repository on GitHub, from `[project.urls]` of pyproject.toml."""
    project = tomllib.loads((FOLDER.parent / "pyproject.toml").read_text(encoding="utf-8"))
    url = project["project"].get("urls", {}).get("Repository")
    return None if url is None else url.removesuffix("/").removesuffix(".git")


def header(name: str, url: str | None) -> tuple[str, str]:
    """The badge, and the code of the cell that installs tfrecs.

    Args:
        name: The tutorial.
        url: The repository on GitHub; None takes the package of the index, and a badge that opens
            Colab, where the notebook can be uploaded.
    """
    target = COLAB
    if url is not None:
        path = url.removeprefix("https://github.com/")
        target = f"{COLAB}/github/{path}/blob/main/tutorials/{name}.ipynb"
    badge = f"[![Open In Colab]({COLAB}/assets/colab-badge.svg)]({target})"
    requirement = "tfrecs" if url is None else f"tfrecs @ git+{url}"
    return badge, _INSTALL.format(requirement=requirement).rstrip()


def unexecuted(name: str) -> NotebookNode:
    """The notebook of a source, without outputs."""
    notebook = jupytext.read(FOLDER / f"{name}.py", fmt="py:percent")
    badge, install = header(name, repository())
    title, *rest = notebook.cells
    heading, _, text = title.source.partition("\n")
    title.source = f"{heading}\n\n{badge}\n{text}"
    notebook.cells = [title, nbformat.v4.new_code_cell(install), *rest]
    for place, cell in enumerate(notebook.cells):
        # Random ids would make a difference of every build.
        cell.id = f"cell-{place}"
        cell.metadata = {}
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook


def execute(notebook: NotebookNode, folder: str | os.PathLike[str], timeout: int = 900) -> None:
    """Executes a notebook in a fresh kernel, whose files go to `folder`, and keeps the outputs.

    Args:
        notebook: The notebook; outputs are put into it.
        folder: Where the kernel works.
        timeout: Seconds that a cell may take.

    Raises:
        nbclient.exceptions.CellExecutionError: If a cell fails.
    """
    from nbclient import NotebookClient

    client = NotebookClient(
        notebook,
        timeout=timeout,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        record_timing=False,
        coalesce_streams=True,
    )
    environment = {name: x for name, x in os.environ.items() if name != "MPLBACKEND"}
    path = os.pathsep.join(filter(None, [str(FOLDER.parent), os.environ.get("PYTHONPATH")]))
    client.execute(env=environment | {"PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"})
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in map(_without_logs, cell.outputs) if output]


def _without_logs(output: NotebookNode) -> NotebookNode | None:
    """The output without the lines that TensorFlow logs; None where nothing else is left."""
    if output.output_type != "stream":
        return output
    lines = output.text.splitlines(keepends=True)
    output.text = "".join(line for line in lines if not _TENSORFLOW_LOG.match(line))
    return output if output.text.strip() else None


def with_outputs_of(notebook: NotebookNode, built: NotebookNode) -> None:
    """Gives a notebook the outputs of a built one with the same code.

    Raises:
        ValueError: If the code differs, but for the cell that installs tfrecs.
    """
    old, new = ([c for c in n.cells if c.cell_type == "code"] for n in (built, notebook))
    if [c.source for c in old[1:]] != [c.source for c in new[1:]]:
        raise ValueError("The code has changed since the notebook was built: build it whole.")
    for cell, before in zip(new, old, strict=True):
        cell.outputs, cell.execution_count = before.outputs, before.execution_count


def built(name: str) -> NotebookNode:
    """The notebook of a tutorial as it stands."""
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def build(name: str, *, text_only: bool = False) -> float:
    """Writes `tutorials/NAME.ipynb`.

    Args:
        name: The tutorial.
        text_only: Whether to take the outputs of the notebook that is there.

    Returns:
        The seconds that it took.
    """
    start = time.monotonic()
    notebook = unexecuted(name)
    if text_only:
        with_outputs_of(notebook, built(name))
    else:
        with tempfile.TemporaryDirectory() as folder:
            execute(notebook, folder)
    nbformat.validate(notebook)
    nbformat.write(notebook, FOLDER / f"{name}.ipynb")
    return time.monotonic() - start


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser("tutorials.build", description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all")
    parser.add_argument("--text-only", action="store_true", help="keep the outputs that are there")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(NAMES)
    if unknown:
        parser.error(f"there is no tutorial {', '.join(unknown)}, only {', '.join(NAMES)}")
    for name in arguments.names or NAMES:
        print(f"{name}: {build(name, text_only=arguments.text_only):.0f} s", flush=True)


if __name__ == "__main__":
    main()
