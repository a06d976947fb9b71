"""Signals as wishes: noted, not obeyed at once, and handled as before afterwards."""

import signal
import threading

import pytest

from tfrecs.training import Interrupted, StopSignals

pytestmark = pytest.mark.usefixtures("as_in_a_terminal")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_noted(number, capfd):
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    with StopSignals() as stop:
        assert stop.received is None
        signal.raise_signal(number)
        assert stop.received == number
        signal.raise_signal(signal.SIGTERM)
        assert stop.received == number
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before
    said = capfd.readouterr().err.splitlines()
    assert said[0].startswith("tfrecs: stopping once this step is saved")
    assert ("Ctrl-C again" in said[0]) == (number == signal.SIGINT)


def test_the_second_ctrl_c_interrupts(capfd):
    with StopSignals() as stop:
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert stop.received == signal.SIGTERM
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_signals_are_handled_as_before_after_an_error():
    with pytest.raises(RuntimeError), StopSignals():
        raise RuntimeError
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_ignored_signal_stays_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with StopSignals() as stop:
        signal.raise_signal(signal.SIGINT)
    assert stop.received is None


def test_other_threads_change_nothing():
    seen = []

    def run():
        with StopSignals():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]


def test_exit_codes_are_those_of_shells():
    assert Interrupted("").exit_code == 130
    assert Interrupted("", signal.SIGTERM).exit_code == 143
