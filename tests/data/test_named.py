"""Named data sets: cache, publisher, package index; checks, and what is said when all fail.

No test of the fast suite leaves this machine: archives are made here and served from here.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import http.server
import os
import threading
import zipfile

import pandas as pd
import pytest

from tfrecs.data import cache_folder, dataset_names, load, named
from tfrecs.data.named import catalogue, download, movielens
from tfrecs.data.named.download import read_members

DATA = "3\t2\t4\t30\n1\t1\t5\t10\n1\t2\t3\t20\n"
USERS = [("1", "24", "M", "technician", "05201"), ("3", "53", "F", "other", "T8H1N")]
FLAGS = {"Action": 1, "Drama": 8}
TITLES = {  # publisher's title: title, year, genres
    "Misérables, Les (1995)": ("Misérables, Les", 1995, ["Drama"]),
    "Land (1996) (V)": ("Land", 1996, ["Action", "Drama"]),
    "unknown": ("unknown", None, ["unknown"]),
}
LAST = "https://127.0.0.1:9/ml-100k.zip"  # a port where nobody answers


def publisher(path, data=DATA):
    lines = []
    for number, (title, (_, _, genres)) in enumerate(TITLES.items(), 1):
        flags = ["1" if genre in genres else "0" for genre in movielens._GENRES_100K]
        lines.append("|".join([str(number), title, "01-Jan-1995", "", "http://x", *flags]))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ml-100k/u.data", data)
        archive.writestr("ml-100k/u.user", "".join("|".join(row) + "\n" for row in USERS))
        archive.writestr("ml-100k/u.item", ("\n".join(lines) + "\n").encode("latin-1"))
        archive.writestr("../escaped.txt", "never written")
    return path


def wheel(path, data=DATA):
    folder = "recbole/dataset_example/ml-100k/ml-100k"
    items = (
        "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
        "1\tMisérables, Les\t1995\tDrama\n2\tLand (1996)\tV\tAction Drama\n"
        "3\tunkonwn\tunkonwn\tunknown\n"
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{folder}.inter", "user_id:token\tetc\n" + data)
        archive.writestr(
            f"{folder}.user", "header\n" + "".join("\t".join(row) + "\n" for row in USERS)
        )
        archive.writestr(f"{folder}.item", items)
    return path


def sha256(path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TFRECS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "ml-100k"


@pytest.fixture
def sources(tmp_path, monkeypatch, cache):
    """Made archives as the sources of ml-100k: an http server, and a folder of wheels for pip."""
    served, wheels = tmp_path / "served", tmp_path / "wheels"
    served.mkdir()
    wheels.mkdir()
    archive = publisher(served / "ml-100k.zip")
    package = wheel(wheels / "recbole-1.2.1-py3-none-any.whl")
    with zipfile.ZipFile(package, "a") as opened:  # what pip wants to see in a wheel
        opened.writestr("recbole-1.2.1.dist-info/METADATA", "Name: recbole\nVersion: 1.2.1\n")
        opened.writestr("recbole-1.2.1.dist-info/WHEEL", "Wheel-Version: 1.0\n")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    handler = functools.partial(QuietHandler, directory=str(served))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}/ml-100k.zip"
    first, second = catalogue.CATALOGUE["ml-100k"].sources

    sums = sha256(archive), sha256(package)

    def use(url=address, archive_sum=sums[0], wheel_sum=sums[1], fingerprint=None):
        made = catalogue.NamedDataset(
            (
                dataclasses.replace(first, location=url, sha256=archive_sum),
                dataclasses.replace(second, sha256=wheel_sum),
            ),
            fingerprint,
        )
        monkeypatch.setitem(catalogue.CATALOGUE, "ml-100k", made)

    use()
    yield use
    server.shutdown()
    server.server_close()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def check(log):
    frame = log.frame
    assert list(frame) == ["user_id", "item_id", "timestamp", "rating"]
    rows = [(1, 1, 10, 5.0), (1, 2, 20, 3.0), (3, 2, 30, 4.0)]
    assert list(frame.itertuples(index=False, name=None)) == rows
    assert log.user_features.loc[3].to_dict() == {
        "age": 53, "gender": "F", "occupation": "other", "zip_code": "T8H1N",
    }  # fmt: skip
    assert log.user_features.loc[1, "zip_code"] == "05201"
    for number, (title, year, genres) in enumerate(TITLES.values(), 1):
        item = log.item_features.loc[number]
        assert item["title"] == title
        assert pd.isna(item["release_year"]) if year is None else item["release_year"] == year
        assert item["genres"] == genres
    assert log.name == "ml-100k"


def test_from_the_publisher_then_from_the_cache(sources, cache):
    check(load("ml-100k", progress=False))
    assert [path.name for path in cache.iterdir()] == ["ml-100k.zip"]
    sources(url=LAST)
    check(load("ml-100k", progress=False))


def test_from_the_package_index_where_the_publisher_is_not_reached(sources, cache):
    sources(url=LAST)
    check(load("ml-100k"))
    assert [path.name for path in cache.iterdir()] == ["recbole-1.2.1-py3-none-any.whl"]


def test_both_sources_give_equal_logs(tmp_path):
    first = movielens.ml_100k(publisher(tmp_path / "a.zip"))
    second = movielens.ml_100k_recbole(wheel(tmp_path / "b.whl"))
    assert first.fingerprint() == second.fingerprint()
    pd.testing.assert_frame_equal(first.frame, second.frame)
    pd.testing.assert_frame_equal(first.user_features, second.user_features)
    pd.testing.assert_frame_equal(first.item_features, second.item_features)


def test_a_file_in_the_cache_is_checked_before_it_is_opened(sources, cache):
    cache.mkdir(parents=True)
    (cache / "ml-100k.zip").write_bytes(b"half a download")
    check(load("ml-100k", progress=False))  # fetched anew


def test_bytes_that_are_not_the_expected_ones_are_not_opened(sources, cache):
    sources(archive_sum="0" * 64, wheel_sum="1" * 64)
    with pytest.raises(OSError, match=r"(?s)sha256 .*, not 0000.*sha256 .*, not 1111"):
        load("ml-100k", progress=False)
    assert list(cache.iterdir()) == []


def test_a_failure_names_every_source_and_why(sources, cache, monkeypatch, tmp_path):
    sources(url=LAST)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(OSError) as caught:
        load("ml-100k", progress=False)
    message = str(caught.value)
    assert f"{cache / 'ml-100k.zip'}: not in the cache" in message
    assert f"{LAST}: not reached" in message
    assert "recbole==1.2.1: No matching distribution" in message
    assert f"into {cache}" in message
    assert list(cache.iterdir()) == []


def test_the_server_says_no(sources, cache):
    sources(url=catalogue.CATALOGUE["ml-100k"].sources[0].location + "x", wheel_sum="1" * 64)
    with pytest.raises(OSError, match="the server answers 404"):
        load("ml-100k", progress=False)


def test_pip_that_is_not_there_is_a_reason(tmp_path, monkeypatch):
    monkeypatch.setattr(download.sys, "executable", str(tmp_path / "no-python"))
    with pytest.raises(OSError, match="no-python"):
        download.from_wheel("recbole==1.2.1", tmp_path / "x.whl", "", progress=False)


def test_rows_other_than_the_tested_ones_are_refused(sources):
    sources(fingerprint="f" * 64)
    with pytest.raises(ValueError, match="not those that this version"):
        load("ml-100k", progress=False)


def test_named_sets_take_conditions(sources):
    sources()
    whole = load("ml-100k", progress=False)
    item = whole.frame["item_id"][0]
    others = whole.frame["item_id"] != item
    left = load("ml-100k", progress=False, where=f"item_id != {item}")
    assert left.dropped["where"] == len(whole) - len(left) == (~others).sum()
    told = load("ml-100k", progress=False, dislike=f"item_id == {item}")
    assert told.disliked.tolist() == (~others).tolist()
    assert not whole.has_dislikes
    with pytest.raises(ValueError, match=r"dislike='rating < 9' fits every row"):
        load("ml-100k", progress=False, dislike="rating < 9")


def test_named_sets_take_no_columns_and_unknown_names_are_listed():
    with pytest.raises(ValueError, match=r"needs no user.*\./ml-100k"):
        load("ml-100k", user="u")
    with pytest.raises(FileNotFoundError, match=r"ml-100.*by name: ml-100k, ml-1m"):
        load("ml-100")
    assert dataset_names() == ("ml-100k", "ml-1m", "ml-20m", "ml-25m", "ml-latest-small")


def test_load_reads_paths(tmp_path, monkeypatch):
    (tmp_path / "log.csv").write_text("who,item_id\n1,2\n")
    monkeypatch.setenv("TFRECS_DATA", str(tmp_path))
    assert len(load("log.csv", user="who")) == 1


def test_cache_folder(monkeypatch):
    monkeypatch.delenv("TFRECS_CACHE", raising=False)
    assert cache_folder().name == "tfrecs"
    monkeypatch.setenv("TFRECS_CACHE", "~/somewhere")
    assert cache_folder() == cache_folder().home() / "somewhere"


def test_ml_1m(tmp_path):
    with zipfile.ZipFile(tmp_path / "ml-1m.zip", "w") as archive:
        archive.writestr("ml-1m/ratings.dat", "1::9::5::978300760\n2::8::3::978300750\n")
        archive.writestr("ml-1m/users.dat", "1::F::1::10::48067\n2::M::56::16::70072-1\n")
        archive.writestr("ml-1m/movies.dat", "8::Café (2000)::Comedy|War\n".encode("latin-1"))
    log = movielens.ml_1m(tmp_path / "ml-1m.zip")
    assert log.frame["item_id"].tolist() == [8, 9]
    assert log.user_features.loc[2].tolist() == ["M", 56, "16", "70072-1"]
    assert log.item_features.loc[8].tolist() == ["Café", 2000, ["Comedy", "War"]]


def test_a_folder_of_ml_1m_takes_conditions_alone(tmp_path):
    (tmp_path / "ratings.dat").write_text("1::9::5::978300760\n2::8::3::978300750\n")
    (tmp_path / "users.dat").write_text("1::F::1::10::48067\n2::M::56::16::70072-1\n")
    (tmp_path / "movies.dat").write_text("8::Heat (1995)::Drama\n9::Dune (1984)::Drama\n")
    assert load(tmp_path, dislike="rating <= 3").disliked.tolist() == [True, False]
    with pytest.raises(ValueError, match="holds files of ML-1M and needs no user"):
        load(tmp_path, user="u")


@pytest.mark.parametrize("name", ["ml-20m", "ml-25m", "ml-latest-small"])
def test_ml_csv(tmp_path, name):
    path = tmp_path / f"{name}.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            f"{name}/ratings.csv", "userId,movieId,rating,timestamp\n1,9,4.5,20\n1,8,3.0,10\n"
        )
        archive.writestr(
            f"{name}/movies.csv",
            'movieId,title,genres\n8,"Dog, The (1999)",Drama|War\n9,Cat,(no genres listed)\n',
        )
    log = movielens.ml_csv(path)
    assert log.frame["rating"].tolist() == [3.0, 4.5]
    assert log.name == name
    assert log.item_features.loc[8].tolist() == ["Dog, The", 1999, ["Drama", "War"]]
    assert log.item_features.loc[9, "genres"] == []


def test_archives(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = publisher(tmp_path / "a.zip")
    assert read_members(path, ["ml-100k/u.data"]) == {"ml-100k/u.data": DATA.encode()}
    assert read_members(path, ["../escaped.txt"])  # bytes in memory, and no file
    assert not list(tmp_path.parent.glob("escaped.txt"))
    with pytest.raises(ValueError, match=r"no item named 'other'"):
        read_members(path, ["other"])
    with pytest.raises(ValueError, match="larger than expected"):
        read_members(path, ["ml-100k/u.data"], limit=len(DATA) - 1)
    with pytest.raises(ValueError, match="larger than expected"):  # both together
        read_members(path, ["ml-100k/u.data", "ml-100k/u.user"], limit=len(DATA))
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ValueError, match="damaged"):
        read_members(path, ["ml-100k/u.data"])


def test_every_sum_is_a_sha256():
    sources = [source for known in catalogue.CATALOGUE.values() for source in known.sources]
    assert len({source.sha256 for source in sources}) == len(sources) == 6
    assert all(len(bytes.fromhex(source.sha256)) == 32 for source in sources)


@pytest.mark.slow
def test_ml_100k_itself(tmp_path, monkeypatch):
    """The real one, by any source, and by the publisher's form of the same bytes."""
    monkeypatch.setenv("TFRECS_CACHE", os.environ.get("TFRECS_CACHE", str(tmp_path)))
    log = load("ml-100k", progress=False)
    assert (len(log), log.num_users, log.num_items) == (100_000, 943, 1682)
    assert not any(log.dropped.values())
    assert log.user_features["gender"].value_counts().to_dict() == {"M": 670, "F": 273}
    assert log.item_features.loc[1].tolist() == [
        "Toy Story", 1995, ["Animation", "Children's", "Comedy"],
    ]  # fmt: skip
    assert log.item_features["release_year"].isna().sum() == 1

    package = named.cache_folder() / "ml-100k" / "recbole-1.2.1-py3-none-any.whl"
    if not package.exists():
        return  # the publisher was reached
    member = "recbole/dataset_example/ml-100k/ml-100k.inter"
    data = read_members(package, [member])[member].partition(b"\n")[2]
    assert (
        hashlib.sha256(data).hexdigest()  # the sum of the publisher's u.data
        == "06416e597f82b7342361e41163890c81036900f418ad91315590814211dca490"
    )
    archive = publisher(tmp_path / "ml-100k.zip", data)
    assert movielens.ml_100k(archive).fingerprint() == log.fingerprint()
