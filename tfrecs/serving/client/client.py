"""Recommendations, scores and vectors from a server that runs TensorFlow Serving."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from tfrecs.serving.client.answers import check_recommendations
from tfrecs.serving.client.connection import Connection
from tfrecs.serving.folder.manifest import raw_ids, read_manifest
from tfrecs.serving.folder.versions import find_export
from tfrecs.serving.requests import (
    asked_rows,
    column_request,
    parsed,
    recommendation_request,
    required_of_queries,
)
from tfrecs.serving.values import array_of

if TYPE_CHECKING:
    from tfrecs.serving.requests import Columns

_LOWEST = float(np.finfo(np.float32).min)


class Client:
    """Asks a TensorFlow Serving server for an export, by gRPC or by REST: raw ids in and out.

    It has the methods of `Recommender`, for an export that is somewhere else. At the first request,
    and again when a new version of the model has taken over, it asks the server what the model
    takes: integers or strings, with users or without. REST needs neither TensorFlow nor another
    package; gRPC, which is faster, needs the extra `serving`.

    A server does not tell which ids the model knows: it skips unknown ones without a warning, and
    answers for an unknown user as for one that the model was not trained on. Threads may share a
    client.

    Args:
        address: `"host:8500"` for gRPC, `"http://host:8501"` or `"https://.."` for REST.
        model: The model's name on the server.
        version: The version to ask; None for the newest that the server has.
        label: The label of the version to ask, instead of its number.
        timeout: Seconds that a whole call may take, however many requests it makes; each method
            takes its own too.
        batch_size: The most rows of one request; more rows make several requests. A server that
            batches refuses more than its `max_batch_size`, 128 in `docker/`.
        history_width: The least length of histories, to which shorter ones are filled up. A server
            that batches puts only histories of one length together, so all its clients should give
            the model's `max_history`; longer histories are sent in full. `candidates` of `score`
            must then be equally many in all requests: None, or an id that nobody has, fills them.
        export: The export that is served, or the folder of its versions, where it is at hand. Its
            manifest tells what the server does not: the names of columns that TensorFlow would not
            take, what stands for a missing integer feature, and which items an answer may hold.
        credentials: `grpc.ChannelCredentials` of a server with TLS.

    Raises:
        ValueError: An argument is out of range, or both `version` and `label` are given.
        ImportError: gRPC is asked for, and the extra `serving` is not installed.

    Example:
        ```python
        client = tfrecs.serving.Client("localhost:8500", model="sasrec")
        client.recommend([50, 172, 181], k=10)
        ```
    """

    def __init__(
        self,
        address: str,
        model: str,
        *,
        version: int | None = None,
        label: str | None = None,
        timeout: float = 5.0,
        batch_size: int = 128,
        history_width: int = 0,
        export: str | os.PathLike[str] | None = None,
        credentials: Any = None,
    ) -> None:
        self.model, self.timeout, self.history_width = model, timeout, history_width
        self._seconds(timeout)
        self._manifest: Mapping[str, Any] = {}
        self._items: frozenset[str] | None = None
        if export is not None:
            folder = find_export(export)
            manifest = read_manifest(folder, verify=False)
            self._manifest = manifest["signatures"]
            if "vocabulary" in manifest:
                self._items = raw_ids(folder / manifest["vocabulary"])
                self._items |= {str(manifest["padding_id"])}
        self._connection = Connection(address, model, version, label, batch_size, credentials)

    def recommend(
        self,
        history: Iterable[Any] = (),
        k: int = 10,
        *,
        user: Any = None,
        exclude: Iterable[Any] = (),
        events: Mapping[str, Iterable[Any]] | None = None,
        request_time: Any = None,
        timeout: float | None = None,
    ) -> list[tuple[int | str, float]]:
        """Recommends items to somebody with this history; see `Recommender.recommend`.

        Raises:
            ServingError: The server refuses, or cannot be reached within `timeout` seconds.
            ValueError: The model recommends nothing, `k` is less than 1 or more than the export
                answers with, there is neither history nor user, the model knows no users, reads no
                history, or takes fewer exclusions or none, or an id is no integer though the
                model's are.
        """
        (best,) = self.recommend_batch(
            [history],
            k,
            users=[user],
            exclude=[exclude],
            events=[events],
            request_times=[request_time],
            timeout=timeout,
        )
        return best

    def recommend_batch(
        self,
        histories: Iterable[Iterable[Any]],
        k: int = 10,
        *,
        users: Iterable[Any] | None = None,
        exclude: Iterable[Iterable[Any]] | None = None,
        events: Iterable[Mapping[str, Iterable[Any]] | None] | None = None,
        request_times: Iterable[Any] | None = None,
        timeout: float | None = None,
    ) -> list[list[tuple[int | str, float]]]:
        """Recommends items to several users at once; see `Recommender.recommend_batch`.

        Raises:
            ServingError: The server refuses, or cannot be reached within `timeout` seconds.
            ValueError: As `recommend`; or there are not as many users or lists as histories.
        """
        if not isinstance(k, Integral) or k < 1:
            raise ValueError(f"k must be a positive integer, not {k!r}.")
        rows = asked_rows(histories, users, exclude, events, request_times)
        if not rows:
            return []

        def request(signature: Mapping[str, Any]) -> dict[str, np.ndarray]:
            if "item_id" not in signature["outputs"]:
                raise ValueError("The served model recommends nothing: use Client.score.")
            known = {**signature, "inputs": self._described("serving_default", signature)}
            asked = [parsed(row, known, "The served model", "the served model") for row in rows]
            return recommendation_request(asked, known["inputs"], self.history_width)

        answer = self._connection.ask("serving_default", request, self._seconds(timeout))
        check_recommendations(answer, self._items, self._connection.transport.where)
        found = []
        pairs = zip(answer["item_id"].tolist(), answer["score"].tolist(), strict=True)
        for items, scores in pairs:
            # An answer is padded where fewer than the export's k items are left.
            best = [pair for pair in zip(items, scores, strict=True) if pair[1] > _LOWEST]
            if len(items) == len(best) < k:
                raise ValueError(
                    f"k = {k} is more than the {len(items)} items that the served export answers "
                    "with. Ask for fewer, or export the model with a larger k."
                )
            found.append(best[:k])
        return found

    def score(
        self, rows: Columns, *, timeout: float | None = None
    ) -> np.ndarray | dict[str, np.ndarray]:
        """Scores candidates of users, or predicts the label of rows; see `Recommender.score`.

        A column of histories or users may be left out beside `candidates`. Several heads are named
        by the outputs of the signature.

        Raises:
            ServingError: The server refuses, or cannot be reached within `timeout` seconds.
            ValueError: The export has no such signature, or a column is missing or cannot be read.
        """
        answer = self._ask("score", rows, timeout)
        return answer["score"] if list(answer) == ["score"] else answer

    def query_vectors(self, rows: Columns, *, timeout: float | None = None) -> np.ndarray:
        """Returns the vectors of users, known and new; see `Recommender.query_vectors`.

        Raises:
            ServingError: The server refuses, or cannot be reached within `timeout` seconds.
            ValueError: The export has no such signature, none of its columns is there, or one
                cannot be read.
        """
        return self._ask("query_vectors", rows, timeout)["vector"]

    def item_vectors(self, rows: Columns, *, timeout: float | None = None) -> np.ndarray:
        """Returns the vectors of items, known and new; see `Recommender.item_vectors`.

        Raises:
            ServingError: As `query_vectors`.
            ValueError: As `query_vectors`.
        """
        return self._ask("item_vectors", rows, timeout)["vector"]

    def predict(
        self,
        inputs: Mapping[str, Any],
        signature: str = "serving_default",
        *,
        timeout: float | None = None,
    ) -> dict[str, np.ndarray]:
        """Asks any signature of any model: nothing is filled up, split or left out.

        Args:
            inputs: By the names of inputs: arrays of the inputs' types, strings as objects, or
                lists.
            signature: The signature's name.
            timeout: Seconds to wait, instead of the client's.

        Returns:
            Arrays by the names of outputs; strings as arrays of `str`, or of `bytes` where the
            output's name ends in `_bytes`.

        Raises:
            ServingError: The server refuses, or cannot be reached in time.
        """
        return self._connection.predict(signature, inputs, self._seconds(timeout))

    def metadata(self, *, timeout: float | None = None) -> dict[str, Any]:
        """Asks the server about the model, also where an earlier answer is kept.

        Returns:
            `{"version": .., "signatures": ..}`; the signatures have the form of the export's
            manifest, `{name: {"inputs": {name: {"dtype": .., "shape": ..}}, "outputs": ..}}`, with
            None for any size.

        Raises:
            ServingError: There is no such model or version, or no answer within `timeout` seconds.
        """
        version, signatures = self._connection.metadata(self._seconds(timeout))
        return {"version": version, "signatures": signatures}

    def status(self, *, timeout: float | None = None) -> list[dict[str, Any]]:
        """Returns the state of each version that the server knows of, the newest first.

        Returns:
            `{"version": .., "state": .., "code": .., "message": ..}` each. A version that is
            "AVAILABLE" answers; one that is "START", "LOADING", "UNLOADING" or "END" does not, and
            where loading failed, `code` and `message` say why.

        Raises:
            ServingError: There is no such model or version, or no answer within `timeout` seconds.
        """
        return self._connection.status(self._seconds(timeout))

    def close(self) -> None:
        """Closes the connection of gRPC; REST holds none."""
        self._connection.transport.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        """Which model, where."""
        return f"Client({self._connection.transport.where!r}, model={self.model!r})"

    def _ask(self, name: str, rows: Any, timeout: float | None) -> dict[str, np.ndarray]:
        def request(signature: Mapping[str, Any]) -> dict[str, np.ndarray]:
            inputs = self._described(name, signature)
            required = {"candidates"} if "candidates" in inputs else None
            # The export falls back to the stored values of missing features.
            if name.endswith("_vectors"):
                required = required_of_queries(rows, inputs)
            return column_request(
                rows, inputs, read=array_of, required=required, history_width=self.history_width
            )

        return self._connection.ask(name, request, self._seconds(timeout))

    def _described(self, name: str, signature: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """Returns what the server and, where it is at hand, the manifest say of the inputs."""
        known = self._manifest.get(name, {"inputs": {}})["inputs"]
        # The server's types and shapes override the manifest's.
        return {key: {**known.get(key, {}), **given} for key, given in signature["inputs"].items()}

    def _seconds(self, timeout: float | None) -> float:
        seconds = self.timeout if timeout is None else timeout
        if not seconds > 0:
            raise ValueError(f"timeout must be more than 0 seconds, not {seconds}.")
        return seconds
