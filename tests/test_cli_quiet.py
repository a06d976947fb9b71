"""What is kept off standard error while TensorFlow is imported, and what is not."""

import logging
import os
import sys

from tfrecs.cli.errors import quiet_import


def test_what_c_code_writes_is_kept_off_and_loggers_set_up_meanwhile_go_on(monkeypatch, capfd):
    # As if it had not been imported yet.
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    with quiet_import():
        os.write(2, b"from C\n")
        print("from Python", file=sys.stderr)
        handler = logging.StreamHandler()  # On the standard error of this moment.
    handler.emit(logging.makeLogRecord({"msg": "later"}))
    os.write(2, b"from C, later\n")
    assert capfd.readouterr().err == "from Python\nlater\nfrom C, later\n"
