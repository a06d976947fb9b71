"""The rule that splits texts into words. A graph can follow it, one code point at a time.

Each code point has a replacement that depends on nothing around it. Letters are decomposed (NFKD),
case folded, and rid of combining marks, so that "É", "é" and "e" followed by an accent are one.
Anything but letters and digits becomes a space. A Chinese or Japanese character stands alone.

Composition (NFC, NFKC) depends on neighbours and TensorFlow has no operation for it. So accents are
dropped, as BERT's uncased tokeniser does, rather than composed.
"""

from __future__ import annotations

import sys
import unicodedata
from functools import cache

import numpy as np

SAME, SPACE, ALONE, OTHER = range(4)
_ALONE = (
    (0x2E80, 0x2FDF),  # radicals
    (0x3005, 0x3007),
    (0x3021, 0x3029),
    (0x3040, 0x30FF),  # hiragana, katakana
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x1B000, 0x1B16F),
    (0x20000, 0x323AF),
)
# Marks and letters that stand for nothing (Default_Ignorable_Code_Point); categories say the rest.
_NOTHING = (
    (0x034F, 0x034F),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0xFE00, 0xFE0F),  # variation selectors
    (0xE0100, 0xE01EF),
)


class _Folds(dict[int, str]):
    """Replacements of code points for `str.translate`, each computed at its first use."""

    def __missing__(self, code: int) -> str:
        self[code] = _replacement(chr(code))
        return self[code]


_FOLDS = _Folds()


def fold(text: str) -> str:
    """Returns the words of a text, folded, with spaces between them.

    Example:
        >>> fold("Les Misérables (ﬁlm), 2½").split()
        ['les', 'miserables', 'film', '21', '2']
    """
    return text.translate(_FOLDS)


def _replacement(character: str) -> str:
    if unicodedata.category(character) in ("Cn", "Co", "Cs"):
        return " "  # No character: three quarters of all code points.
    decomposed = unicodedata.normalize("NFKD", character).casefold()
    return "".join(map(_letter, unicodedata.normalize("NFKD", decomposed)))


def _letter(character: str) -> str:
    """Returns a decomposed character's form in a word, or a space, or nothing."""
    kind, code = unicodedata.category(character), ord(character)
    if unicodedata.combining(character) or kind in ("Cf", "Me") or _within(code, _NOTHING):
        return ""
    if kind[0] not in "LNM":
        return " "
    return f" {character} " if _within(code, _ALONE) else character


def _within(code: int, ranges: tuple[tuple[int, int], ...]) -> bool:
    return any(first <= code <= last for first, last in ranges)


@cache
def fold_table() -> tuple[np.ndarray, np.ndarray, dict[int, str]]:
    """Returns the rule as runs of code points of one kind.

    These are the first code point of each run, ascending; its kind: SAME (unchanged), SPACE, ALONE
    (between spaces) or OTHER; and the replacements of kind OTHER.
    """
    kinds = np.empty(sys.maxunicode + 1, np.int32)
    others = {}
    for code in range(len(kinds)):
        character = chr(code)
        replacement = _replacement(character)
        if replacement == character:
            kinds[code] = SAME
        elif replacement == " ":
            kinds[code] = SPACE
        elif replacement == f" {character} ":
            kinds[code] = ALONE
        else:
            kinds[code] = OTHER
            others[code] = replacement
    starts = np.flatnonzero(np.diff(kinds, prepend=-1))
    return starts.astype(np.int32), kinds[starts], others
