"""Version folders: numbered, whole or absent, never overwritten."""

import os

import pytest

from tfrecs.serving import export
from tfrecs.serving.folder.versions import find_export, new_version, versions


def publish(base, version=None):
    with new_version(base, version) as (folder, final):
        (folder / "saved_model.pb").write_text("x")
    return final


def names(base):
    return sorted(path.name for path in base.iterdir())


def test_numbers_follow_the_newest(tmp_path):
    base = tmp_path / "deep" / "model"
    assert publish(base) == base / "1"
    assert publish(base, 9) == base / "9"
    (base / ".tmp-77-1").mkdir()
    (base / "010").mkdir()
    (base / "latest").mkdir()
    (base / "12").write_text("a file is no version")
    assert versions(base) == [1, 9]
    assert publish(base) == base / "10"
    assert find_export(base) == base / "10"
    assert find_export(base / "9") == base / "9"


def test_a_version_has_its_name_only_when_whole(tmp_path):
    with new_version(tmp_path, None) as (folder, final):
        assert folder.name == f".tmp-1-{os.getpid()}"
        assert final == tmp_path / "1"
        assert not final.exists()
        assert versions(tmp_path) == []
    assert names(tmp_path) == ["1"]
    (tmp_path / "plain").mkdir()
    assert final.stat().st_mode == (tmp_path / "plain").stat().st_mode, "the server cannot read it"


def test_nothing_is_left_of_a_failed_export(tmp_path):
    def fail():
        with new_version(tmp_path, None) as (folder, _):
            (folder / "half").write_text("x")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert names(tmp_path) == []


def test_leftovers_of_a_killed_export_are_ignored(tmp_path):
    """In a container the next process may well have the same number."""
    stale = tmp_path / f".tmp-1-{os.getpid()}"
    stale.mkdir()
    (stale / "half").write_text("x")
    assert names(publish(tmp_path)) == ["saved_model.pb"]


def test_never_overwrites(tmp_path):
    publish(tmp_path, 2)
    with pytest.raises(FileExistsError, match="2 exists. A served version is never overwritten"):
        publish(tmp_path, 2)
    (tmp_path / "3").mkdir()  # os.rename would take its place.
    with pytest.raises(FileExistsError, match="3 exists"):
        publish(tmp_path, 3)

    def be_late():
        with new_version(tmp_path, 4) as (folder, _):
            (folder / "mine").write_text("x")
            (tmp_path / "4").mkdir()  # Another process, in the meantime.
            (tmp_path / "4" / "theirs").write_text("x")

    with pytest.raises(FileExistsError, match="4 exists"):
        be_late()
    assert names(tmp_path) == ["2", "3", "4"]
    assert names(tmp_path / "4") == ["theirs"]
    (tmp_path / "file").write_text("x")
    with pytest.raises(FileExistsError, match="file is a file"):
        publish(tmp_path / "file")


@pytest.mark.slow
def test_export_takes_the_next_version(make_model, tmp_path):
    model, _ = make_model([1, 2, 3])
    assert export(model, tmp_path) == str(tmp_path / "1")
    assert export(model, tmp_path) == str(tmp_path / "2")
    with pytest.raises(FileExistsError, match="1 exists"):
        export(model, tmp_path, version=1)
    assert names(tmp_path) == ["1", "2"]


def test_no_export(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no such folder"):
        find_export(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="is not an export: it holds neither"):
        find_export(tmp_path)


def test_a_newest_version_that_is_not_whole_is_not_passed_over(tmp_path):
    """A server takes the largest number, whatever is in it."""
    publish(tmp_path)
    newest = publish(tmp_path)
    (newest / "saved_model.pb").unlink()
    with pytest.raises(FileNotFoundError, match="2 is incomplete: saved_model.pb is missing. Copy"):
        find_export(tmp_path)
    newest.rmdir()
    assert find_export(tmp_path) == tmp_path / "1"
