"""Ctrl-C and SIGTERM as wishes: a training ends after the step it is in, once that is saved."""

from __future__ import annotations

import contextlib
import enum
import os
import signal
import threading
from types import FrameType
from typing import Any

_NOTICE = {
    signal.SIGINT: b"tfrecs: stopping once this step is saved; Ctrl-C again stops at once\n",
    signal.SIGTERM: b"tfrecs: stopping once this step is saved\n",
}


class Wish(enum.IntEnum):
    """What a process would do after a step; where several train together, the largest counts."""

    GO_ON = 0
    SAVE = 1
    STOP = 2


class Interrupted(KeyboardInterrupt):
    """A training that was told to stop and whose state is safe; the message says how to go on.

    Args:
        message: What was reached, and how to go on.
        number: The signal that told it.

    Attributes:
        exit_code: What a program that ends by it returns, as shells have it: 128 and the signal's
            number, 130 for Ctrl-C and 143 for SIGTERM.
    """

    def __init__(self, message: str, number: int = signal.SIGINT) -> None:
        super().__init__(message)
        self.exit_code = 128 + number


class StopSignals:
    """Notes SIGINT and SIGTERM while it is entered; a second SIGINT raises KeyboardInterrupt.

    Afterwards signals are handled as before. Nothing is changed outside the main thread, where
    Python handles no signals, nor for a signal that the process was started to ignore, as one in
    the background of a script is.

    Attributes:
        received: The signal that came first, or None.

    Example:
        ```python
        with StopSignals() as stop:
            while stop.received is None:
                step()
        ```
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for number in _NOTICE:
                before = signal.getsignal(number)
                if before not in (signal.SIG_IGN, None):
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)
        self._before = {}

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = self.received or number
        # Not print: the signal may have come in the middle of one.
        with contextlib.suppress(OSError):
            os.write(2, _NOTICE[signal.Signals(number)])
