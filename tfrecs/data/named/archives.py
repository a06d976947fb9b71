"""Files out of zip archives, without unpacking them."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path

_LIMIT = 1 << 30  # bytes; the largest member needed, the ratings of ML-25M, has 678 million


def read_members(archive: Path, names: Iterable[str], limit: int = _LIMIT) -> dict[str, bytes]:
    """The bytes of named members of a zip archive.

    Only what is named is opened, in memory: nothing an archive says is ever used as a path, so
    that nothing it holds can land outside of a folder, be a link, or be more files than expected.

    Args:
        archive: the zip file.
        names: full names of members.
        limit: bytes that all of them may have together.

    Returns:
        Name to bytes.

    Raises:
        ValueError: for a file that is no zip archive, a missing or a damaged member, and for
            members larger than the limit, whatever size the archive says they have.
    """
    found: dict[str, bytes] = {}
    try:
        with zipfile.ZipFile(archive) as opened:
            for name in names:
                with opened.open(name) as member:
                    found[name] = member.read(limit + 1)
                limit -= len(found[name])
                if limit < 0:
                    raise ValueError(f"{archive}: {name} is larger than expected; not read.")
    except KeyError as error:
        raise ValueError(f"{archive}: {error.args[0]}") from None
    except zipfile.BadZipFile as error:
        raise ValueError(f"{archive}: a damaged archive: {error}") from None
    return found
