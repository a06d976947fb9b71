"""Recommendations, scores and vectors out of an export."""

from __future__ import annotations

import os
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from numbers import Integral
from typing import TYPE_CHECKING, Any

from tfrecs.serving.folder.manifest import raw_ids, read_manifest
from tfrecs.serving.folder.replay import ask, load
from tfrecs.serving.folder.versions import find_export
from tfrecs.serving.requests import (
    Asked,
    asked_rows,
    column_request,
    id_list,
    parsed,
    recommendation_request,
    required_of_queries,
)
from tfrecs.serving.values import as_trained, parse_id

if TYPE_CHECKING:
    import numpy as np

    from tfrecs.serving.requests import Columns


class Recommender:
    """Answers from an export: the items to recommend after a history, scores of rows, vectors.

    `recommend` needs TensorFlow alone. The methods that take a DataFrame read it as training did,
    by `tfrecs.data`.

    Args:
        path: An export, or the folder of its versions, whose newest is read.
        verify: Whether to compare every file with the checksum that the export wrote.

    Raises:
        FileNotFoundError: There is no export at `path`.
        ValueError: The export is damaged, or tfrecs did not write it.

    Example:
        >>> import tempfile, tfrecs
        >>> folder = tempfile.mkdtemp()
        >>> items = tfrecs.data.Vocabulary([10, 20, 30])
        >>> model = tfrecs.models.SASRec(items, dim=8, num_blocks=1, max_length=5)
        >>> export = tfrecs.serving.export(model, folder, k=2)
        >>> recommender = tfrecs.serving.Recommender(folder)
        >>> sorted(item for item, score in recommender.recommend([20], k=2))
        [10, 30]
    """

    def __init__(self, path: str | os.PathLike[str], *, verify: bool = True) -> None:
        self.path = find_export(path)
        self.manifest = read_manifest(self.path, verify=verify)
        # An export that does not recommend has neither.
        self.k: int = self.manifest.get("k", 0)
        self.is_integer: bool = self.manifest.get("id_dtype") == "int64"
        self._model = load(self.path, self.manifest)

    def recommend(
        self,
        history: Iterable[Any] = (),
        k: int = 10,
        *,
        user: Any = None,
        exclude: Iterable[Any] = (),
        events: Mapping[str, Iterable[Any]] | None = None,
        request_time: Any = None,
    ) -> list[tuple[int | str, float]]:
        """Recommends items to somebody with this history.

        Args:
            history: Raw ids of their items, oldest first. Where the export has integers, strings of
                digits are read as such. Leave it out for an export that knows users by their id
                alone.
            k: How many items to recommend; at most the export's own k.
            user: Raw id of the user, for exports that know users; None for an unknown user.
            exclude: Raw ids of more items never to be recommended; unknown ones are no mistake.
            events: What the export reads of the history's events, by column: a value an item, None
                for a missing one. Times are seconds since 1970 or datetimes.
            request_time: The time of the request, for exports that read it: seconds or a datetime.

        Returns:
            `(raw id, score)` of the best items, best first, without those of `exclude` and, unless
            the export has `recommend_known`, those that the user has; fewer than `k` where fewer
            are left.

        Raises:
            ValueError: The export only scores rows, `k` is less than 1 or more than the export
                answers with, the history is empty or holds no known id (and no user is given), the
                export reads no history and one is given, the user is unknown or the export knows
                none, `events` or `request_time` are not what the export reads, an id is no integer
                though the export's are, or there are more items to exclude than the export takes.

        Warns:
            UserWarning: Unknown ids were ignored; it names them, and `unknown` tells them
                beforehand. Or a user is given without a history, which the export reads.
        """
        rows = asked_rows([history], [user], [exclude], [events], [request_time])
        return self._recommended(rows, k)[0]

    def recommend_batch(
        self,
        histories: Iterable[Iterable[Any]],
        k: int = 10,
        *,
        users: Iterable[Any] | None = None,
        exclude: Iterable[Iterable[Any]] | None = None,
        events: Iterable[Mapping[str, Iterable[Any]] | None] | None = None,
        request_times: Iterable[Any] | None = None,
    ) -> list[list[tuple[int | str, float]]]:
        """Recommends items to several users at once, each with a history as `recommend` takes it.

        Args:
            histories: A history each.
            k: How many items to recommend to each.
            users: A user each, None for an unknown one.
            exclude: Items that are not to be recommended, a list each.
            events: What the export reads of the events of each history.
            request_times: The time of each request.

        Raises:
            ValueError: As `recommend`; or there are not as many users or lists as histories.
        """
        return self._recommended(asked_rows(histories, users, exclude, events, request_times), k)

    def _check_k(self, k: int) -> None:
        """Refuses a number of items that the export does not answer with."""
        if not self.k:
            raise ValueError(
                f"The {self.manifest['model']} of this export scores rows and recommends nothing: "
                "use Recommender.score."
            )
        if not isinstance(k, Integral) or k < 1:
            raise ValueError(f"k must be a positive integer, not {k!r}.")
        if self.k < min(k, self.manifest["num_items"]):
            raise ValueError(
                f"k = {k} is more than the {self.k} items that this export answers with. Ask for "
                "fewer, or export the model with a larger k."
            )

    def _recommended(self, rows: Sequence[Asked], k: int) -> list[list[tuple[int | str, float]]]:
        """What the export answers to rows of requests."""
        self._check_k(k)
        signature = self.manifest["signatures"]["serving_default"]
        if not rows:
            return []
        known = []
        for row in rows:  # A comprehension would be one more caller to some Pythons; see `_warn`.
            known.append(self._known_of(parsed(row, signature, self.manifest["model"])))
        request = recommendation_request(known, signature["inputs"])
        answer = ask(self._model, "serving_default", request, signature)
        found = []
        for items, scores in zip(answer["item_id"][:, :k], answer["score"][:, :k], strict=True):
            raw = items.tolist() if self.is_integer else [item.decode() for item in items]
            pairs = zip(raw, scores.tolist(), strict=True)
            found.append([pair for pair in pairs if pair[0] != self.manifest["padding_id"]])
        return found

    def _known_of(self, asked: Asked) -> Asked:
        """What the export knows of a row; warns of the rest, and refuses a row without any."""
        history, user, exclude = asked[:3]
        if user is not None and str(user) not in self._known_users:
            raise ValueError(f"The user {user!r} is not known to this export.")
        if self.reads_history and not history and not self.recommend_known:
            _warn(
                "No history was given, and the export holds none: items that the user already has "
                "may be among the answers."
            )
        unknown = self.unknown(history)
        if history and len(unknown) == len(set(history)) and user is None:
            raise ValueError(f"No id of the history is known to this export: {_listed(unknown)}.")
        if unknown:
            _warn(f"Ignored unknown ids: {_listed(unknown)}.")
        if unknown := self.unknown(exclude):
            _warn(f"Ignored unknown ids to exclude: {_listed(unknown)}.")
        # The export leaves out the history anyway, unless it recommends known items.
        done = set() if self.recommend_known else set(history)
        more = [x for x in dict.fromkeys(exclude) if x not in done and str(x) in self._known]
        inputs = self.manifest["signatures"]["serving_default"]["inputs"]
        width = inputs["exclude"]["shape"][1] if "exclude" in inputs else 0
        if len(more) > width:
            raise ValueError(
                f"There are {len(more)} items to exclude, and this export takes {width}: exclude "
                "fewer, or export the model with a larger num_exclusions."
            )
        return asked._replace(exclude=more)

    def score(self, frame: Columns) -> np.ndarray | dict[str, np.ndarray]:
        """Scores candidates for users; or, for exports of `DeepCross`, predicts the label of rows.

        Args:
            frame: A DataFrame, or columns by name. A row is a user: `user_id` and `history` (lists
                of item ids, oldest first) as far as the model reads them, and `candidates`, lists
                of item ids; beside a history also what `query_vectors` takes. For `DeepCross` a row
                is a prediction: every column that the model reads, `user_id` and `item_id` among
                them where it knows users and items. Missing and unknown values are allowed.

        Returns:
            float32 `[rows, c]`, the scores that rank recommendations, and the least float32 for
            unknown items and beyond the end of a shorter list. For `DeepCross` `[rows]`, as
            `model.predict` gives for the encoded rows; with several heads one array by label.

        Raises:
            ValueError: The export has no such signature, or a column is missing or cannot be read.
        """
        answer = self._ask("score", frame)
        outputs = self.manifest["signatures"]["score"]["outputs"]
        if list(outputs) == ["score"]:
            return answer["score"]
        return {outputs[name]["label"]: values for name, values in answer.items()}

    def query_vectors(self, frame: Columns) -> np.ndarray:
        """Returns the vectors of users, known and new, for exports of models of vectors.

        Args:
            frame: A row a user: `user_id`, `history` (lists of item ids, oldest first) and the raw
                features of users, as far as the model reads them. Missing features and columns fall
                back to the stored values for the user. Beside a history also `history.<column>`
                (lists, a value an item) and `request_time`, where the model reads them.

        Returns:
            float32 `[rows, dim]`: the product with an item's vector is the score.

        Raises:
            ValueError: The export has no such signature or none of its columns, or cannot read one.
        """
        described = self.manifest["signatures"].get("query_vectors", {"inputs": {}})
        required = required_of_queries(frame, described["inputs"])
        return self._ask("query_vectors", frame, required)["vector"]

    def item_vectors(self, frame: Columns) -> np.ndarray:
        """Returns the vectors of items, known and new, for exports of models of vectors.

        Args:
            frame: A row an item: `item_id` and the raw features of items, where the model reads
                some. Missing features and columns fall back to the stored values for the item. A
                new item is one whose id the export does not know.

        Returns:
            float32 `[rows, dim]`; zeros for an unknown item of a model without features.

        Raises:
            ValueError: As `query_vectors`.
        """
        return self._ask("item_vectors", frame, required=())["vector"]

    def _ask(
        self, name: str, frame: Columns, required: Collection[str] | None = None
    ) -> dict[str, np.ndarray]:
        signatures = self.manifest["signatures"]
        if name not in signatures:
            raise ValueError(
                f"The export of {self.manifest['model']} has no signature {name!r}, only "
                f"{', '.join(signatures)}."
            )
        described = signatures[name]
        request = column_request(frame, described["inputs"], read=as_trained, required=required)
        return ask(self._model, name, request, described)

    def unknown(self, history: Iterable[Any]) -> list[int | str]:
        """Returns the distinct ids of a history that `recommend` would ignore, in order.

        Raises:
            ValueError: An id is no integer though the export's are.
        """
        whose, items = "ids of this export", id_list(history, "history")
        ids = [parse_id(item, self.is_integer, "an item id", whose) for item in items]
        return [item for item in dict.fromkeys(ids) if str(item) not in self._known]

    @property
    def reads_history(self) -> bool:
        """Whether requests take a history."""
        return "history" in self.manifest["signatures"]["serving_default"]["inputs"]

    @property
    def recommend_known(self) -> bool:
        """Whether items that the user already has may be recommended."""
        return bool(self.manifest.get("recommend_known", False))

    @property
    def knows_users(self) -> bool:
        """Whether the export knows users by their id."""
        return "user_vocabulary" in self.manifest

    @cached_property
    def _known(self) -> frozenset[str]:
        return raw_ids(self.path / self.manifest["vocabulary"])

    @cached_property
    def _known_users(self) -> frozenset[str]:
        return raw_ids(self.path / self.manifest["user_vocabulary"])

    def __repr__(self) -> str:
        """What was loaded, from where."""
        model, items = self.manifest["model"], self.manifest.get("num_items")
        what = f"{items} items, k={self.k}" if self.k else "scores of rows"
        return f"Recommender({str(self.path)!r}: {model}, {what})"


def _warn(message: str) -> None:
    """Warns at the line that calls `recommend` or `recommend_batch`."""
    warnings.warn(message, stacklevel=5)


def _listed(ids: Sequence[Any]) -> str:
    more = f" and {len(ids) - 10} more" if len(ids) > 10 else ""
    return ", ".join(map(str, ids[:10])) + more
