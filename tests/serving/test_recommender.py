"""The Recommender's answers and its errors."""

import inspect
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tfrecs.serving import Client, Recommender, export

INTEGERS = [7, 3, 1000000007, 12, 5, -2]
STRINGS = ["milk", "bread", "7", "eggs", "figs", "電影"]


@pytest.fixture(scope="module")
def exports(make_model, tmp_path_factory):
    """Version folders of the same table over integers and strings, k = 4, max_history = 3."""
    base = tmp_path_factory.mktemp("exports")
    folders = {}
    for name, ids in (("int", INTEGERS), ("str", STRINGS)):
        model, table = make_model(ids)
        folders[name] = Path(export(model, base / name, k=4))
    return folders, table


@pytest.fixture(scope="module")
def integers(exports):
    return Recommender(exports[0]["int"])


@pytest.fixture(scope="module")
def strings(exports):
    return Recommender(exports[0]["str"].parent)  # The folder of versions does as well.


def test_recommends(integers, strings, exports, reference):
    table = exports[1]
    for recommender, ids in ((integers, INTEGERS), (strings, STRINGS)):
        history = [ids[4], ids[0]]
        raw, scores = reference(ids, table, 3, history, 3, None)
        answer = recommender.recommend(history, k=3)
        assert [item for item, _ in answer] == raw
        assert all(type(item) is type(ids[0]) and type(score) is float for item, score in answer)
        np.testing.assert_allclose([score for _, score in answer], scores, rtol=1e-5)
    assert "DecayProduct, 6 items, k=4" in repr(integers)


def test_fewer_left_than_asked(integers):
    answer = integers.recommend(INTEGERS[:4], k=4)
    assert {item for item, _ in answer} == set(INTEGERS[4:])
    assert integers.recommend(INTEGERS, k=4) == []


def test_an_export_of_all_items_has_no_more_to_give(make_model, tmp_path):
    model, _ = make_model(INTEGERS)
    recommender = Recommender(export(model, tmp_path))
    assert len(recommender.recommend([7])) == len(INTEGERS) - 1


def test_ids_are_read_as_the_export_has_them(integers, strings):
    expected = integers.recommend([7, -2], k=2)
    for same in (["7", "-2"], (" 7", b"-2"), np.array([7, -2]), [7.0, -2.0], iter([7, -2])):
        assert integers.recommend(same, k=2) == expected
    assert strings.recommend([7], k=2) == strings.recommend(["7"], k=2)
    assert strings.recommend(["電影".encode()], k=2) == strings.recommend(["電影"], k=2)


def test_ids_that_are_no_integers(integers):
    for wrong in ("seven", "7.5", 7.5, "", None, "1_0", True, 2**63, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="is not an item id: the ids of this export are int"):
            integers.recommend([7, wrong], k=2)


def test_unknown_ids_are_named(integers, strings):
    assert integers.unknown([99, 7, 98, 99]) == [99, 98]
    with pytest.warns(UserWarning, match=r"^Ignored unknown ids: 99, 98\.$"):
        answer = integers.recommend([99, 7, 98, 99], k=4)
    assert answer == integers.recommend([7], k=4)
    with pytest.raises(ValueError, match="No id of the history is known to this export: jam, tea"):
        strings.recommend(["jam", "tea"], k=4)
    many = list(range(100, 130))
    with pytest.raises(ValueError, match="100, 101, .*, 109 and 20 more"):
        integers.recommend(many, k=4)


def test_wrong_requests(integers, strings):
    with pytest.raises(
        ValueError, match="k = 10 is more than the 4 items that this export answers"
    ):
        integers.recommend([7])
    for k in (0, 2.5, "3", None):
        with pytest.raises(ValueError, match="k must be a positive integer, not"):
            integers.recommend([7], k=k)
    with pytest.raises(ValueError, match="The history is empty"):
        integers.recommend([], k=2)
    with pytest.raises(ValueError, match="history must be a list of ids, not one str"):
        strings.recommend("milk", k=2)
    with pytest.raises(ValueError, match="exclude must be a list of ids, not one str"):
        strings.recommend(["milk"], k=2, exclude="eggs")
    scalar = np.array(7)
    for wrong, name in ((7, "int"), (None, "NoneType"), ({"a": 1}, "dict"), (scalar, "ndarray")):
        with pytest.raises(ValueError, match=f"history must be a list of ids, not one {name}"):
            strings.recommend(wrong, k=2)
        with pytest.raises(ValueError, match=f"histories must be a list of lists, not one {name}"):
            strings.recommend_batch(wrong, k=2)
    for wrong in (None, float("nan"), pd.NA, ["milk"], np.array(["milk"])):
        with pytest.raises(ValueError, match="is not an item id: the ids of this export are text"):
            strings.recommend(["bread", wrong], k=2)


def test_exclusions(make_model, integers, tmp_path):
    best = [item for item, _ in integers.recommend([7], k=4)]
    without = integers.recommend([7], k=4, exclude=[best[0], str(best[2]), 999, best[0], 7])
    assert [item for item, _ in without][:2] == [best[1], best[3]]
    assert len(without) == 3
    model, _ = make_model(INTEGERS)
    none = Recommender(export(model, tmp_path, k=4, num_exclusions=0))
    assert none.recommend([7], k=4, exclude=[7, 999]) == integers.recommend([7], k=4)
    with pytest.raises(ValueError, match="There are 1 items to exclude, and this export takes 0"):
        none.recommend([7], k=4, exclude=[3])


def test_scores_of_candidates(strings, exports, reference):
    table = exports[1]
    lists = [["eggs", "milk", "jam"], ["figs"]]
    frame = pd.DataFrame({"history": [["bread"], ["milk", "eggs"]], "candidates": lists})
    scores = strings.score(frame)
    lowest = np.finfo(np.float32).min
    assert scores.shape == (2, 3)
    # Items of the history have their scores too.
    np.testing.assert_allclose(scores[0, :2], table[1, [3, 0]], rtol=1e-5)
    np.testing.assert_allclose(scores[1, 0], table[3, 4] + 0.5 * table[0, 4], rtol=1e-5)
    assert scores[0, 2] == scores[1, 1] == scores[1, 2] == lowest


def test_a_damaged_file_is_named(exports, tmp_path):
    folder = tmp_path / "1"
    shutil.copytree(exports[0]["int"], folder)
    files = json.loads((folder / "assets.extra" / "tfrecs_manifest.json").read_text())["files"]
    assert {"saved_model.pb", "fingerprint.pb", "assets/items.txt"} < set(files)
    for name in files:
        content = (folder / name).read_bytes()
        flipped = bytes([content[0] ^ 1]) + content[1:]
        (folder / name).write_bytes(flipped)
        with pytest.raises(ValueError, match=f"damaged: {name} differs"):
            Recommender(folder)
        (folder / name).unlink()
        if name != "saved_model.pb":
            with pytest.raises(ValueError, match=f"incomplete: {name} is missing"):
                Recommender(folder)
        (folder / name).write_bytes(content)
    Recommender(folder)


def test_a_damaged_or_foreign_manifest(exports, tmp_path):
    folder = tmp_path / "1"
    shutil.copytree(exports[0]["int"], folder)
    manifest = folder / "assets.extra" / "tfrecs_manifest.json"
    content = manifest.read_text()
    for broken in (content[:-9], "", "[]", '{"format": 2}', "[" * 10_000):
        manifest.write_text(broken)
        with pytest.raises(ValueError, match="tfrecs_manifest.json is damaged"):
            Recommender(folder)
    manifest.write_text(content.replace('"format": 2', '"format": 1'))
    with pytest.raises(ValueError, match=r"has format 1, this tfrecs reads 2"):
        Recommender(folder)
    manifest.unlink()
    with pytest.raises(ValueError, match="a SavedModel that tfrecs did not export"):
        Recommender(folder)


def assert_same(together, alone):
    for one, other in zip(together, alone, strict=True):
        assert [item for item, _ in one] == [item for item, _ in other]
        np.testing.assert_allclose([x for _, x in one], [x for _, x in other], rtol=1e-4)


def test_several_users_at_once(public_export):
    recommender = Recommender(public_export("SASRec"))
    items = [11, 5, 300, 42]
    histories, exclude = [items[:1], items[1:], items[:3]], [[42], [], [8, 77]]
    alone = [
        recommender.recommend(history, k=4, exclude=banned)
        for history, banned in zip(histories, exclude, strict=True)
    ]
    assert_same(recommender.recommend_batch(histories, k=4, exclude=exclude), alone)
    assert recommender.recommend_batch([]) == []
    with pytest.raises(ValueError, match="3 histories, 1 users and 3 lists"):
        recommender.recommend_batch(histories, users=[None])
    by_user = Recommender(public_export("MatrixFactorization"))
    both = by_user.recommend_batch([[], []], k=2, users=[5, 17])
    assert_same(both, [by_user.recommend(k=2, user=user) for user in (5, 17)])


def test_a_client_has_the_same_methods():
    for name in ("recommend", "recommend_batch", "score", "query_vectors", "item_vectors"):
        here, there = (
            list(inspect.signature(getattr(cls, name)).parameters.values())[1:]
            for cls in (Recommender, Client)
        )
        there = [parameter for parameter in there if parameter.name != "timeout"]
        assert [(p.kind, p.default) for p in here] == [(p.kind, p.default) for p in there], name


def test_columns_by_name_are_a_frame(public_export):
    recommender = Recommender(public_export("SASRec"))
    columns = {"history": [[11], [5, 300]], "candidates": [[42, 8], [77]]}
    np.testing.assert_array_equal(
        recommender.score(columns), recommender.score(pd.DataFrame(columns))
    )
