import io

import pytest
from rich.console import Console

from tfrecs.training import EpochProgress


def run(progress, clock, epochs):
    """Two batches of 2 s and then 5 s of validation an epoch, with the given losses and metrics."""
    for epoch, (loss, metric) in enumerate(epochs):
        progress.on_epoch_begin(epoch)
        for batch in range(2):
            clock[0] += 2
            progress.on_train_batch_end(batch)
        clock[0] += 5
        logs = {"loss": loss, "val_HR@10": 0.5, "val_NDCG@10": metric}
        progress.on_epoch_end(epoch, logs)
    progress.on_train_end()
    return logs


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("tfrecs.training.history.time.perf_counter", lambda: now[0])
    return now


@pytest.mark.parametrize("terminal", [False, True])
def test_one_line_an_epoch(clock, terminal):
    out = io.StringIO()
    console = Console(
        file=out, force_terminal=terminal, width=120, highlight=False, color_system=None
    )
    progress = EpochProgress(10, steps=2, targets=1000, console=console)
    logs = run(progress, clock, [(3.25, 0.1), (3.0, 0.125), (2.5, 0.11)])
    text = out.getvalue()
    expected = [
        "epoch  1/10  loss 3.2500  val_HR@10 0.5000  val_NDCG@10 0.1000  250 targets/s  4.0 s  *",
        "epoch  2/10  loss 3.0000  val_HR@10 0.5000  val_NDCG@10 0.1250  250 targets/s  4.0 s  *",
        "epoch  3/10  loss 2.5000  val_HR@10 0.5000  val_NDCG@10 0.1100  250 targets/s  4.0 s",
    ]
    if terminal:
        for line in expected:
            assert line in text
        assert "2/2" in text  # the bar
    else:
        assert text.splitlines() == expected
    # The validation's time is not the training's.
    assert (logs["seconds"], logs["targets_per_second"]) == (4.0, 250.0)


def test_without_targets_or_validation(clock):
    out = io.StringIO()
    progress = EpochProgress(1, console=Console(file=out, width=120, highlight=False))
    progress.on_epoch_begin(0)
    clock[0] += 3
    progress.on_train_batch_end(0)
    progress.on_epoch_end(0, {"loss": 1.5})
    assert out.getvalue() == "epoch 1/1  loss 1.5000  3.0 s\n"
