"""The contract of a model: nothing outside of `models` asks which model it has."""

import ast
from pathlib import Path

import tfrecs
from tests.public_models import MODELS as PUBLIC

PACKAGE = Path(tfrecs.__file__).parent
MODELS = set(tfrecs.models.__all__) - {"Model"}
FILES = [p for p in PACKAGE.rglob("*.py") if "models" not in p.relative_to(PACKAGE).parts]


def asked(tree):
    """Calls that tell one model from another."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        words = {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}
        words |= {name.attr for name in ast.walk(node) if isinstance(name, ast.Attribute)}
        if node.func.id in ("isinstance", "issubclass") and words & MODELS:
            yield ast.unparse(node)
        subject = ast.unparse(node.args[0]).rpartition(".")[2] if node.args else ""
        if node.func.id == "getattr" and subject in ("model", "_model", "network"):
            attribute = node.args[1]
            of_keras = isinstance(attribute, ast.Constant) and attribute.value == "optimizer"
            if len(node.args) == 3 and not of_keras:
                yield ast.unparse(node)


def test_every_public_model_is_in_the_list():
    """`tests/public_models.py`, over which the suites run."""
    assert set(PUBLIC) == MODELS
    untested = {n for n, x in PUBLIC.items() if None in (x.replicas, x.resumed)}
    assert untested == {"RetrieveThenRank"}  # It has nothing to train.


def test_no_model_is_known_by_sight():
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}
    assert {path: found for path, tree in trees.items() if (found := list(asked(tree)))} == {}


def test_the_check_finds_what_it_looks_for():
    source = "isinstance(x, models.DeepCross)\ngetattr(self.model, 'users', None)"
    assert len(list(asked(ast.parse(source)))) == 2
