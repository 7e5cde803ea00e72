"""`argus dataset log | diff | compact`: commits, snapshots, and what compaction removes."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import argus.cli.dataset.history
from argus.dataset import Dataset
from tests.cli.dataset.conftest import RECIPES
from tests.support.cli import assert_invalid, run_argus, run_argus_json, split_cells

pytestmark = pytest.mark.usefixtures("home")


def test_the_log_lists_commits_newest_first(history: Path) -> None:
    commits = run_argus_json("dataset", "log", "--json", "--dataset", history)
    names = ("run_ids", "clips", "published")
    assert [tuple(commit[name] for name in names) for commit in commits] == [
        (["tuesday"], 2, True),
        (["monday"], 0, False),
        (["monday"], 5, True),
    ]
    assert commits[0]["decisions"] == {"kept": 2, "dropped": 1, "failed": 0}
    sequences = [str(commit["sequence"]) for commit in commits]
    lines = run_argus("dataset", "log", "--dataset", history).stdout.splitlines()
    tuesday, monday = RECIPES["tuesday"], RECIPES["monday"]
    assert [" ".join(line.split()) for line in lines[1:]] == [
        f"{sequences[0]}* 2 1 2 2026-01-02 00:00:00 tuesday {tuesday}",
        f"{sequences[1]} 1 2026-01-01 00:00:00 monday {monday}",
        f"{sequences[2]}* 2 5 2026-01-01 00:00:00 monday {monday}",
    ]
    few = run_argus("dataset", "log", "--limit", "1", "--dataset", history)
    assert len(few.stdout.splitlines()) == 2
    assert "--limit" in few.stderr


def test_the_log_fits_eighty_columns(history: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = io.StringIO()
    terminal = Console(file=text, width=80, force_terminal=True, color_system=None)
    monkeypatch.setattr(argus.cli.dataset.history, "open_stdout", lambda: terminal)
    assert run_argus("dataset", "log", "--dataset", history).exit_code == 0
    lines = [line for line in text.getvalue().splitlines() if line.strip()]
    assert len(lines) == 2 + 3, "header, rule, and one line a commit"
    assert all(len(line) <= 80 for line in lines)
    assert "2026-01-02 00:00" in lines[2]


def test_a_difference_lists_changes_with_their_reasons(history: Path) -> None:
    before, after = (snapshot.version for snapshot in Dataset(history).list_snapshots())
    arguments = ["dataset", "diff", str(before), "--dataset", history]
    assert run_argus_json(*arguments, "--json") == {
        "before": before,
        "after": after,
        "added": ["url:d@0-9000"],
        "removed": {
            "url:a@18000-27000": "text",
            "url:a@9000-18000": "text",
            "url:b@0-9000": "text",
            "url:b@9000-18000": "text",
        },
        "changed": ["url:a@0-9000"],
    }
    output = run_argus(*arguments).stdout
    cells = split_cells(output)
    for line in (
        ["removed", "4", "0.010"],
        ["removed: text", "4"],
        ["added", "1", "0.003"],
        ["changed", "1", "0.003"],
    ):
        assert line in cells
    lines = output.splitlines()
    assert {"+ url:d@0-9000", "- url:b@0-9000  text", "~ url:a@0-9000"} <= set(lines)
    few = run_argus(*arguments, "--limit", "2")
    assert sum(line.startswith(("+", "-", "~")) for line in few.stdout.splitlines()) == 2
    assert "--limit" in few.stderr
    assert_invalid(run_argus("dataset", "diff", "1", "99", "--dataset", history), "99")


def test_compaction_removes_what_a_dry_run_lists(history: Path) -> None:
    options = ["--keep-snapshots", "1", "--grace-hours", "0", "--dataset", history]
    dataset = Dataset(history)
    shards = {path.name for path in (history / "shards").iterdir()}
    versions = [snapshot.version for snapshot in dataset.list_snapshots()]
    newest = dataset.get_snapshot().digest

    def compact(*more: str) -> dict[str, Any]:
        return dict(run_argus_json("dataset", "compact", *options, "--json", *more))

    planned = compact("--dry-run")
    assert planned["dry_run"]
    assert (len(planned["snapshots"]), len(planned["shards"])) == (1, 1)
    assert [snapshot.version for snapshot in dataset.list_snapshots()] == versions
    assert {path.name for path in (history / "shards").iterdir()} == shards
    table = run_argus("dataset", "compact", *options, "--dry-run").stdout
    assert ["shards", "1", "files"] in split_cells(table)
    done = compact()
    assert (done["snapshots"], done["shards"]) == (planned["snapshots"], planned["shards"])
    assert [snapshot.version for snapshot in dataset.list_snapshots()] == versions[1:]
    assert len(list((history / "shards").iterdir())) == len(shards) - 1
    assert Dataset(history).get_snapshot().digest == newest
