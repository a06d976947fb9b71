import csv
import os

import pytest

from tfrecs.training import plot_history, write_history

ROWS = [
    {"epoch": 1, "loss": 3.5, "val_NDCG@10": 0.1},
    {"epoch": 2, "loss": 2.5, "val_NDCG@10": 0.3, "seconds": 4.0},
    {"epoch": 3, "loss": 2.0, "val_NDCG@10": 0.2, "seconds": 4.5},
]


def test_history_is_a_table_with_a_column_for_every_value(tmp_path):
    write_history(tmp_path / "history.csv", ROWS)
    with (tmp_path / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["epoch", "loss", "val_NDCG@10", "seconds"]
    assert [row["seconds"] for row in rows] == ["", "4.0", "4.5"]
    assert float(rows[1]["val_NDCG@10"]) == 0.3


def test_history_replaces_the_one_before(tmp_path):
    write_history(tmp_path / "history.csv", ROWS)
    write_history(tmp_path / "history.csv", ROWS[:1])
    assert (tmp_path / "history.csv").read_text() == "epoch,loss,val_NDCG@10\n1,3.5,0.1\n"
    assert [path.name for path in tmp_path.iterdir()] == ["history.csv"]


def test_what_is_written_is_on_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    path, sync = tmp_path / "history.csv", os.fsync
    seen = []

    def synced(descriptor):
        sync(descriptor)
        seen.append((path.exists(), os.fstat(descriptor).st_size))

    monkeypatch.setattr(os, "fsync", synced)
    write_history(path, ROWS[:1])
    assert seen == [(False, path.stat().st_size)]


@pytest.mark.parametrize("rows", [ROWS, ROWS[:1], [{"epoch": 1, "loss": 2.0}]])
def test_plot_is_a_picture(tmp_path, rows):
    path = tmp_path / "training.png"
    plot_history(path, rows, best_epoch=2, title="SASRec on ring")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size > 5_000


def test_plot_draws_both_curves_and_marks_the_best_epoch(tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    drawn = []
    monkeypatch.setattr(Figure, "savefig", lambda self, *args, **options: drawn.append(self))
    plot_history(tmp_path / "training.png", ROWS, best_epoch=2)
    left, right = drawn[0].axes
    loss, marker_line = left.get_lines()
    assert loss.get_ydata().tolist() == [3.5, 2.5, 2.0]
    assert list(marker_line.get_xdata()) == [2, 2]
    metric, best = right.get_lines()
    assert list(metric.get_xydata().ravel()) == [1, 0.1, 2, 0.3, 3, 0.2]
    assert best.get_xydata().tolist() == [[2, 0.3]]
    assert [text.get_text() for text in left.get_legend().get_texts()] == [
        "training loss",
        "validation NDCG@10",
        "best: 0.3000 in epoch 2",
    ]
