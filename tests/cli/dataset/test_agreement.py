"""`argus dataset agree` and the note on small splits, on a small dataset."""

from pathlib import Path

import pytest

from tests.support.cli import assert_invalid, run_argus, run_argus_json

pytestmark = pytest.mark.usefixtures("home")


def test_agree_prints_the_table_of_a_list(sample_dataset: Path, tmp_path: Path) -> None:
    path = tmp_path / "hq.tsv"
    path.write_text("category, video_id, clip\nRide\tdQw4w9WgXcQ\t0\nRide\tAAAAAAAAAAA\t3\n")
    found = run_argus_json("dataset", "agree", path, "--dataset", sample_dataset, "--json")
    assert (found["videos"], found["present"], found["unread"]) == (2, 1, {"bot_check": 1})
    assert (found["spans"], found["agreement"]) == (0, None)
    shown = run_argus("dataset", "agree", path, "--dataset", sample_dataset)
    assert shown.exit_code == 0, shown.output
    assert "1 of 2 listed videos" in shown.stdout


def test_another_file_is_refused(sample_dataset: Path, tmp_path: Path) -> None:
    path = tmp_path / "hq.tsv"
    path.write_text("url\nhttps://e.com/\n")
    refused = run_argus("dataset", "agree", path, "--dataset", sample_dataset)
    assert_invalid(refused, "line 1")


def test_stats_name_splits_that_are_too_small(sample_dataset: Path) -> None:
    shown = run_argus("dataset", "stats", "--dataset", sample_dataset)
    assert "test has 0 clips of 0 videos" in shown.stderr
