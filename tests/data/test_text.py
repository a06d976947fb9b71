"""Words and their ids: the rule, the vocabulary, and the same rule as TensorFlow operations."""

import json
import re
import sys
import unicodedata

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tfrecs._keras import tf
from tfrecs.data import Tokenizer
from tfrecs.data.features.folding import fold, fold_table

WORDS = ["toy", "story", "ete", "1", "2", "фильм", "映", "が", "か", "strasse", "हिनदी", "σοφος"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Toy Story (1995)", ["toy", "story", "1995"]),
        ("L'Été  n’est_pas\tfini\u00a0!", ["l", "ete", "n", "est", "pas", "fini"]),
        ("E\u0301te\u0301", ["ete"]),  # the same letters, decomposed
        ("STRASSE Straße", ["strasse", "strasse"]),
        ("ΣΟΦΟΣ σοφός", ["σοφοσ", "σοφοσ"]),  # both small sigmas are one
        ("İstanbul", ["istanbul"]),
        ("ﬁlm １２ ½ x²", ["film", "12", "1", "2", "x2"]),
        ("co\u00adoperate", ["cooperate"]),  # a soft hyphen
        ("千と千尋", ["千", "と", "千", "尋"]),
        ("ガ ｶﾞ", ["カ", "カ"]),
        ("한글 영화", [unicodedata.normalize("NFD", "한글"), unicodedata.normalize("NFD", "영화")]),
        ("हिन्दी", ["हिनदी"]),  # vowel signs are letters, the virama is dropped
        ("1\ufe0f\u20e3 ❤\ufe0f", ["1"]),  # emoji, and what follows them
        ("👩\u200d🚀 \ud800 \x00", []),
        ("", []),
    ],
)
def test_words_of_a_text(text, words):
    assert Tokenizer.tokenize(text) == words


def test_ascii_is_lower_case_letters_and_digits():
    text = "".join(map(chr, range(128))) * 2
    assert Tokenizer.tokenize(text) == re.findall("[a-z0-9]+", text.lower())


def test_every_code_point_is_folded_once():
    starts, kinds, others = fold_table()
    assert starts[0] == 0
    assert (np.diff(starts) > 0).all()
    assert set(kinds) == {0, 1, 2, 3}
    assert others[ord("Å")] == "a"
    assert len(others) > 10_000
    # What a replacement holds stays as it is, but for spaces around it.
    letters = sorted(set("".join(others.values())) - {" "})
    for letter in letters:
        assert fold(letter).strip() == letter
        assert not letter.isspace()
    same = np.repeat(kinds, np.diff(starts, append=sys.maxunicode + 1))
    for character in map(chr, np.flatnonzero(same == 0)):
        if character == " ":
            continue
        assert character.isalnum() or unicodedata.category(character)[0] == "M"
        assert unicodedata.normalize("NFKD", character).casefold() == character


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.text(max_size=30))
def test_equivalent_texts_have_the_same_words(text):
    words = Tokenizer.tokenize(text)
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert Tokenizer.tokenize(unicodedata.normalize(form, text)) == words
    assert Tokenizer.tokenize(text.casefold()) == words


def test_vocabulary_is_the_most_frequent_words():
    texts = ["b a", "a, c", "A b d"]
    assert Tokenizer.from_texts(texts).words == ["a", "b", "c", "d"]
    assert Tokenizer.from_texts(texts, min_count=2).words == ["a", "b"]
    assert Tokenizer.from_texts(iter(texts), max_size=3).words == ["a", "b", "c"]
    assert len(Tokenizer.from_texts(["?"])) == 0


def test_ids():
    tokenizer = Tokenizer(["toy", "story", "17", "3"])
    ids = tokenizer.encode(["Story of a TOY 17 017", "", "3"], max_tokens=5)
    assert ids.dtype == np.int32
    assert ids.tolist() == [[2, 5, 5, 1, 3], [0] * 5, [4, 0, 0, 0, 0]]
    assert tokenizer.encode([], max_tokens=2).shape == (0, 2)
    assert tokenizer.encode(["?!", ""], max_tokens=2).tolist() == [[0, 0], [0, 0]]


def test_words_that_are_all_numbers():
    tokenizer = Tokenizer(["3", "1"])
    assert tokenizer.encode(["1 3 03 x"], max_tokens=4).tolist() == [[2, 1, 3, 3]]
    assert Tokenizer.from_config(tokenizer.get_config()) == tokenizer


@pytest.fixture(scope="module")
def graph():
    """A tokenizer in Python, and the same one as an operation of a graph."""
    tokenizer = Tokenizer([*{word: None for text in WORDS for word in Tokenizer.tokenize(text)}])
    module = tokenizer.in_graph(max_tokens=6)
    return tokenizer, tf.function(module, input_signature=[tf.TensorSpec([None], tf.string)])


def agree(graph, texts):
    tokenizer, compiled = graph
    found = compiled(tf.constant([text.encode() for text in texts], tf.string))
    assert found.dtype == tf.int32
    np.testing.assert_array_equal(found, tokenizer.encode(texts, max_tokens=6))


messy = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    st.lists(st.sampled_from([*WORDS, "Été", "ﬁ", "½", "ガ", "é", "\u0301", "\u200d", "?", " "]))
    .map("".join)
    .filter(lambda text: len(text) < 40),
)


@pytest.mark.slow
@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.lists(messy, max_size=5))
@example(["", " ", "toy\u00a0story\u2028фильм\x00été 映が1"])
def test_the_graph_gives_equal_ids(graph, texts):
    agree(graph, texts)


def test_the_graph_folds_every_code_point():
    # As words of their own, so that a difference anywhere changes an id.
    codes = [code for code in range(sys.maxunicode + 1) if not 0xD800 <= code <= 0xDFFF]
    _, _, others = fold_table()
    rng = np.random.default_rng(0)
    some = [*others, *rng.choice(codes, 20_000, replace=False).tolist()]
    texts = [f"a{chr(code)}b" for code in some]
    tokenizer = Tokenizer.from_texts(texts)
    found = tokenizer.in_graph(max_tokens=8)(tf.constant(texts))
    np.testing.assert_array_equal(found, tokenizer.encode(texts, max_tokens=8))


def test_the_graph_reads_broken_utf8_as_no_letters(graph):
    tokenizer, compiled = graph
    found = compiled(tf.constant([b"toy\xff\xfestory"]))
    np.testing.assert_array_equal(found, tokenizer.encode(["toy story"], max_tokens=6))


def test_the_graph_can_be_saved(tmp_path):
    module = tf.Module()
    module.tokenizer = Tokenizer(["toy"]).in_graph(max_tokens=2)
    module.ids = tf.function(
        module.tokenizer.__call__, input_signature=[tf.TensorSpec([None], tf.string)]
    )
    tf.saved_model.save(module, str(tmp_path))
    again = tf.saved_model.load(str(tmp_path))
    assert again.ids(tf.constant(["A TÖY", ""])).numpy().tolist() == [[2, 1], [0, 0]]


def test_round_trips(tmp_path):
    tokenizer = Tokenizer.from_texts(["Été 映画 один", "1 été"])
    assert Tokenizer.from_config(json.loads(json.dumps(tokenizer.get_config()))) == tokenizer
    tokenizer.save(tmp_path / "words.txt")
    assert (tmp_path / "words.txt").read_text("utf-8").split("\n")[0] == "ete"
    again = Tokenizer.load(tmp_path / "words.txt")
    assert again == tokenizer
    assert hash(again) == hash(tokenizer)
    assert again.fingerprint() == tokenizer.fingerprint()
    assert tokenizer != Tokenizer(["ete"])
    assert tokenizer.fingerprint() != Tokenizer(["ete"]).fingerprint()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Tokenizer(["Toy"]), r"'Toy' is no word .*\['toy'\]"),
        (lambda: Tokenizer(["toy story"]), "is no word"),
        (lambda: Tokenizer([""]), "is no word"),
        (lambda: Tokenizer(["toy", "toy"]), "twice"),
        (lambda: Tokenizer.from_texts(["a", None]), "position 1 is None"),
        (lambda: Tokenizer.from_texts("a text"), "not one string"),
        (lambda: Tokenizer.from_texts(["a"], min_count=0), "min_count"),
        (lambda: Tokenizer(["a"]).encode([1.5]), r"position 0 is 1.5 \(float\)"),
        (lambda: Tokenizer(["a"]).encode(["a"], max_tokens=0), "max_tokens"),
        (lambda: Tokenizer(["a"]).in_graph(0), "max_tokens"),
    ],
)
def test_errors_say_what_and_where(make, message):
    with pytest.raises(ValueError, match=message):
        make()
