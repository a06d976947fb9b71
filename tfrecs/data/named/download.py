"""Files from the network, checked before they are opened, and files out of zip archives."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

_TIMEOUT = 10  # seconds without a byte; short, as another source may be at hand
_PIP_TIMEOUT = 300  # seconds for pip as a whole
_LIMIT = 1 << 30  # bytes; the largest member needed, the ratings of ML-25M, has 678 million


def file_sha256(path: Path) -> str:
    """Returns the sha256 of a file's bytes, as hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def from_url(url: str, target: Path, sha256: str, progress: bool = True) -> None:
    """Downloads a file whole or not at all: it appears at `target` once its sha256 is checked."""
    with (
        _placed(target, sha256) as part,
        urllib.request.urlopen(url, timeout=_TIMEOUT) as answer,
        part.open("wb") as file,
        _bar(progress) as bar,
    ):
        size = answer.headers.get("Content-Length")
        task = bar.add_task(target.name, total=int(size) if size else None)
        while block := answer.read(1 << 16):
            file.write(block)
            bar.advance(task, len(block))


def from_wheel(requirement: str, target: Path, sha256: str, progress: bool = True) -> None:
    """Downloads the wheel of a requirement such as "recbole==1.2.1" by pip; installs nothing."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    command += ["--disable-pip-version-check", "--no-input", "--timeout", str(_TIMEOUT)]
    with (
        _placed(target, sha256) as part,
        tempfile.TemporaryDirectory(dir=target.parent) as folder,
        _bar(progress) as bar,
    ):
        bar.add_task(f"{requirement} from the package index", total=None)
        try:
            done = subprocess.run(
                [*command, "--quiet", "--dest", folder, requirement],
                capture_output=True,
                text=True,
                timeout=_PIP_TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise OSError(f"pip did not end within {_PIP_TIMEOUT} seconds") from None
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode or len(wheels) != 1:
            said = [line for line in done.stderr.splitlines() if line.strip()]
            raise OSError(said[-1].removeprefix("ERROR: ") if said else "pip gave no wheel")
        shutil.move(wheels[0], part)


@contextlib.contextmanager
def _placed(target: Path, sha256: str) -> Iterator[Path]:
    """Yields a temporary file beside the target to write to, then checks it and renames it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    os.close(handle)
    part = Path(name)
    try:
        yield part
        found = file_sha256(part)
        if found != sha256:
            raise OSError(
                f"its {part.stat().st_size} bytes have the sha256 {found}, not {sha256}: "
                "not the file that was expected, or damaged on the way"
            )
        part.replace(target)
    except urllib.error.HTTPError as error:
        raise OSError(f"the server answers {error.code} {error.reason}") from None
    except urllib.error.URLError as error:
        raise OSError(f"not reached: {error.reason}") from None
    except http.client.HTTPException as error:
        raise OSError(f"the server answers what is not HTTP: {error!r}") from None
    finally:
        part.unlink(missing_ok=True)


def read_members(archive: Path, names: Iterable[str], limit: int = _LIMIT) -> dict[str, bytes]:
    """Returns the bytes of the named members of a zip archive, by name.

    They are read into memory alone: no name in an archive becomes a path, so a hostile archive can
    write no file, inside or outside a folder. `limit` bounds their true size, whatever the archive
    says.
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


def _bar(shown: bool) -> Progress:
    """Returns a progress bar on the standard error, shown if that is a terminal."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=console,
        transient=True,
        disable=not (shown and console.is_terminal),
    )
