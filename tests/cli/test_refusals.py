"""Bad paths in any command: refused in one line, before anything slow is imported or written."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

SLOW = ("av", "cv2", "diffusers", "mlflow", "prefect", "ray", "torch", "transformers")
RUN_ALL = f"""
import json, sys
from typer.testing import CliRunner
from argus.cli import app
for arguments in json.load(sys.stdin):
    result = CliRunner().invoke(app, arguments)
    slow = sorted(set({SLOW}) & set(sys.modules))
    print(json.dumps([result.exit_code, result.stderr, slow]))
"""
ABSENT = {
    "plain": "absent.mp4",
    "not UTF-8": os.fsdecode(b"\xe9t\xe9.mp4"),
    "a line break": "two\nlines.mp4",
    "escape codes": "\x1b[2J\x1b[31mred.mp4",
    "reversed text": "\u202egnp.mp4",
    "markup": "[bold]:warning:.mp4",
    "a dash": "./-x.mp4",
    "too long": "x" * 300 + ".mp4",
    "in a file": "list.csv/x.mp4",
}
OUT = ["-o", "out.mp4"]
TABLE: dict[str, tuple[list[str], str]] = {
    **{f"generate, {kind}": (["generate", name, *OUT], "") for kind, name in ABSENT.items()},
    **{f"tag, {kind}": (["tag", name, "out.mp4"], "") for kind, name in ABSENT.items()},
    **{f"refresh, {kind}": (["refresh", name], "") for kind, name in ABSENT.items()},
    **{f"rebuild, {kind}": (["dataset", "rebuild", name], "") for kind, name in ABSENT.items()},
    **{f"train, {kind}": (["train", "--config", name], "") for kind, name in ABSENT.items()},
    **{f"stitch, {kind}": (["stitch", name, "out.mp4"], "") for kind, name in ABSENT.items()},
    "stitch, no lens file": (["stitch", "video.mp4", "out.mp4", "--lens", "no.json"], "no.json"),
    "stitch, folder": (["stitch", "video.mp4", "folder", "out.mp4"], "folder"),
    "stitch, output has two names": (["stitch", "video.mp4", "one.mp4"], "one.mp4"),
    "stitch, output is a recording": (["stitch", "video.mp4", "video.mp4"], "video.mp4"),
    "generate, folder": (["generate", "folder", *OUT], "folder"),
    "generate, loop": (["generate", "loop.mp4", *OUT], "loop.mp4"),
    "generate, dangling link": (["generate", "dangling.mp4", *OUT], "dangling.mp4"),
    "generate, empty": (["generate", "empty.mp4", *OUT], "0 bytes"),
    "generate, present but not UTF-8": (["generate", os.fsdecode(b"\xff.mp4"), *OUT], "UTF-8"),
    "generate, output not UTF-8": (
        ["generate", "video.mp4", "-o", os.fsdecode(b"\xe9.mp4")],
        "UTF-8",
    ),
    "generate, output elsewhere": (["generate", "video.mp4", "-o", "no/out.mp4"], "no/out.mp4"),
    "generate, output folder": (["generate", "video.mp4", "-o", "folder.mp4"], "folder.mp4"),
    "generate, output in a file": (["generate", "video.mp4", "-o", "list.csv/x.mp4"], "list.csv"),
    "generate, output is a loop": (["generate", "video.mp4", "-o", "loop.mp4"], "loop.mp4"),
    "generate, output has two names": (["generate", "video.mp4", "-o", "one.mp4"], "one.mp4"),
    "generate, output is a pipe": (["generate", "video.mp4", "-o", "pipe.mp4"], "pipe.mp4"),
    "generate, output is a suffix": (["generate", "video.mp4", "-o", "out.mkv"], ".mp4"),
    "generate, long output": (["generate", "video.mp4", "-o", ABSENT["too long"]], "xxx"),
    "generate, no poses": (["generate", "video.mp4", *OUT, "--poses", "no.npz"], "no.npz"),
    "generate, empty poses": (["generate", "video.mp4", *OUT, "--poses", "empty.mp4"], "empty.mp4"),
    "generate, no model": (["generate", "video.mp4", *OUT, "--model", "absent"], "absent"),
    "generate, no pipeline": (["generate", "video.mp4", *OUT, "--model", "folder"], "folder"),
    "generate, no registry": (["generate", "video.mp4", *OUT], "argus train"),
    "generate, config is binary": (["generate", "video.mp4", *OUT, "--config", "binary"], "binary"),
    "tag, folder": (["tag", "folder"], "folder"),
    "tag, empty": (["tag", "empty.mp4"], "0 bytes"),
    "tag, output folder": (["tag", "video.mp4", "folder.mp4"], "folder.mp4"),
    "tag, output has two names": (["tag", "video.mp4", "one.mp4"], "one.mp4"),
    "tag, in place with two names": (["tag", "one.mp4", "one.mp4"], "one.mp4"),
    "train, dataset absent": (["train", "--dataset", "absent"], "absent"),
    "train, dataset empty": (["train", "--dataset", "folder"], "folder"),
    "train, dataset is a file": (["train", "--dataset", "video.mp4"], "video.mp4"),
    "train, dataset not UTF-8": (["train", "--dataset", os.fsdecode(b"\xe9")], "UTF-8"),
    "train, config is a folder": (["train", "--config", "folder"], "folder"),
    "evaluate, dataset absent": (["evaluate", "--dataset", "absent"], "absent"),
    "evaluate, no model": (["evaluate", "--model", "video.mp4"], "video.mp4"),
    "evaluate, no pipeline": (["evaluate", "--model", "folder"], "folder"),
    "promote, no registry": (["promote"], "argus train"),
    "refresh, folder": (["refresh", "folder"], "folder"),
    "refresh, empty": (["refresh", "empty.mp4"], "0 bytes"),
    "refresh, dataset is a file": (["refresh", "list.csv", "--dataset", "binary"], "binary"),
    "refresh, dataset in a file": (["refresh", "list.csv", "--dataset", "binary/x"], "binary"),
    "demo, no media": (["demo", "--media", "absent"], "absent"),
    "demo, media is a file": (["demo", "--media", "video.mp4"], "video.mp4"),
    "demo, home is a file": (["demo", "--home", "video.mp4"], "video.mp4"),
    "demo, home not UTF-8": (["demo", "--home", os.fsdecode(b"\xe9")], "UTF-8"),
    **{
        f"{name}, dataset absent": (["dataset", *name.split(), "--dataset", "absent"], "absent")
        for name in (
            "stats",
            "log",
            "show",
            "why x",
            "diff 1 2",
            "compact",
            "sweep static",
            "gallery page.html",
            "export-manifest out.parquet",
        )
    },
    "stats, dataset is a file": (["dataset", "stats", "--dataset", "list.csv"], "list.csv"),
    "stats, page is a folder": (["dataset", "stats", "--html", "folder.html"], "folder.html"),
    "sweep, plot is a gif": (["dataset", "sweep", "x", "--plot", "x.gif"], ".png"),
    "gallery, page not UTF-8": (["dataset", "gallery", os.fsdecode(b"\xe9.html")], "UTF-8"),
    "export, file is csv": (["dataset", "export-manifest", "x.csv"], ".parquet"),
}


@dataclass(frozen=True)
class Refusal:
    """The end of a command, and the slow modules that were imported until then."""

    exit_code: int
    stderr: str
    slow: list[str]


@pytest.fixture(scope="module")
def refusals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Refusal]:
    """Run all commands of the table in one process; a slow import shows from its command on."""
    folder = tmp_path_factory.mktemp("refusals")
    for name in ("folder", "folder.mp4", "folder.html"):
        (folder / name).mkdir()
    for name in ("video.mp4", "one.mp4", os.fsdecode(b"\xff.mp4")):
        (folder / name).write_bytes(b"no video")
    (folder / "two.mp4").hardlink_to(folder / "one.mp4")
    (folder / "loop.mp4").symlink_to("loop.mp4")
    (folder / "dangling.mp4").symlink_to("absent.mp4")
    (folder / "empty.mp4").touch()
    (folder / "binary").write_bytes(b"\xff\xfe\x00")
    (folder / "list.csv").write_text("url\nhttps://videos.example/a\n")
    os.mkfifo(folder / "pipe.mp4")
    before = sorted(folder.iterdir())
    variables = {name: value for name, value in os.environ.items() if "_URI" not in name}
    done = subprocess.run(
        [sys.executable, "-c", RUN_ALL],
        input=json.dumps([arguments for arguments, _ in TABLE.values()]),
        cwd=folder,
        env={**variables, "ARGUS_HOME": str(folder / "home"), "COLUMNS": "80"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert sorted(folder.iterdir()) == before, "a refused command wrote something"
    found = (Refusal(*json.loads(line)) for line in done.stdout.splitlines())
    return dict(zip(TABLE, found, strict=True))


@pytest.mark.parametrize("case", TABLE)
def test_a_bad_path_is_refused_at_once_in_one_line(case: str, refusals: dict[str, Refusal]) -> None:
    refusal = refusals[case]
    assert refusal.exit_code == 10, refusal.stderr
    assert refusal.stderr.startswith("argus: ")
    assert refusal.stderr.removesuffix("\n").isprintable()
    assert TABLE[case][1] in refusal.stderr
    assert refusal.slow == []


def test_a_name_is_shown_as_it_is_or_escaped(refusals: dict[str, Refusal]) -> None:
    shown = {
        "not UTF-8": r"\udce9t\udce9.mp4",
        "a line break": r"two\nlines.mp4",
        "escape codes": r"\x1b[2J\x1b[31mred.mp4",
        "reversed text": r"\u202egnp.mp4",
        "markup": "[bold]:warning:.mp4",
    }
    for kind, name in shown.items():
        for command in ("generate", "tag", "stitch", "refresh", "rebuild", "train"):
            assert name in refusals[f"{command}, {kind}"].stderr


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root reads every file")
    path = tmp_path / "video.mp4"
    path.write_bytes(b"no video")
    path.chmod(0)
    command = [sys.executable, "-c", RUN_ALL]
    done = subprocess.run(
        command, input=json.dumps([["tag", str(path)]]), capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)[0] == 10
