"""Temporary files of writers that were killed, and of those that still run."""

import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from argus.files import replace_atomically, write_text
from tests.support.written_files import list_names, write_part

HOLDING = (  # a writer that says that it holds temporary files, and goes on when it is told to
    "import sys\nfrom pathlib import Path\nfrom argus.files import replace_atomically\n"
    "with replace_atomically(Path(sys.argv[1])) as partial:\n"
    "    if sys.argv[2] == 'folder':\n"
    "        partial.mkdir()\n"
    "        (partial / 'inside').write_text('new')\n"
    "    else:\n"
    "        partial.write_text('new')\n"
    "    partial.with_suffix('.plain.mp4').write_text('more')\n"
    "    print(flush=True)\n"
    "    sys.stdin.readline()\n"
    "    partial.with_suffix('.plain.mp4').unlink()\n"
)


def start_holding(path: Path, kind: str = "file") -> "subprocess.Popen[str]":
    """Start a writer in a process of its own, and wait until it holds temporary files."""
    command = [sys.executable, "-c", HOLDING, path, kind]
    writer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    writer.stdout.readline()
    return writer


def end(writer: "subprocess.Popen[str]", *, kill: bool) -> int:
    if kill:
        writer.kill()
    writer.communicate("\n", timeout=60)
    return writer.returncode


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_a_killed_writer_left_is_removed_by_the_next_write(kind: str, tmp_path: Path) -> None:
    path, other = tmp_path / "out.mp4", tmp_path / "other.mp4"
    writers = [start_holding(path, kind), start_holding(path, "file"), start_holding(other)]
    for writer in writers[:2]:
        assert end(writer, kill=True) == -signal.SIGKILL
    write_text(tmp_path / "unrelated.mp4", "new")
    assert len(list_names(tmp_path)) == 9  # 2, 2 and 2 temporary files, 2 locks, unrelated.mp4
    write_text(path, "newest")
    assert path.read_text() == "newest"
    assert end(writers[2], kill=False) == 0
    assert list_names(tmp_path) == ["other.mp4", "out.mp4", "unrelated.mp4"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_living_writer_is_not_disturbed(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    living, killed = start_holding(path, kind), start_holding(path, kind)
    end(killed, kill=True)
    if kind == "file":
        write_text(path, "newer")  # while one lives and one was killed
    assert end(living, kill=False) == 0
    assert path.is_dir() == (kind == "folder")
    if kind == "file":
        assert path.read_text() == "new"
        write_text(path, "newest")
        assert list_names(tmp_path) == ["out.mp4"]


def test_a_temporary_file_that_is_replaced_leaves_nothing_either(tmp_path: Path) -> None:
    code = (  # as a video that is tagged while it is written
        "import os, sys\nfrom pathlib import Path\nfrom argus.files import replace_atomically\n"
        "with replace_atomically(Path(sys.argv[1])) as outer:\n"
        "    with replace_atomically(outer) as inner:\n"
        "        inner.write_text('part')\n"
        "        if sys.argv[2] == 'killed':\n"
        "            os.kill(os.getpid(), 9)\n"
        "    with replace_atomically(outer) as inner:\n"
        "        inner.write_text('whole')\n"
    )
    path = tmp_path / "out.mp4"
    for end_of_writer in ("killed", "finished", "killed"):
        subprocess.run([sys.executable, "-c", code, path, end_of_writer], check=False)
    assert path.read_text() == "whole"
    assert len(list_names(tmp_path)) > 1
    write_text(path, "new")
    assert list_names(tmp_path) == ["out.mp4"]


def test_writers_in_one_process_do_not_disturb_each_other(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    with replace_atomically(path) as first:
        first.write_text("first")
        with replace_atomically(path) as second:
            second.write_text("second")
        assert path.read_text() == "second"
    assert path.read_text() == "first"
    assert list_names(tmp_path) == ["out.json"]


def test_a_link_in_the_place_of_a_lock_is_not_followed(tmp_path: Path) -> None:
    path, precious = tmp_path / "out.mp4", tmp_path / "precious"
    precious.mkdir()
    (precious / "inside").write_text("old")
    end(start_holding(path), kill=True)
    lock = next(tmp_path.glob(".*.lock"))
    lock.unlink()
    lock.symlink_to(precious / "made")
    (tmp_path / lock.name.replace("lock", "trap")).symlink_to(precious)
    write_text(path, "new")
    assert path.read_text() == "new"
    assert list_names(precious) == ["inside"]


@pytest.mark.faults
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_killed_at_random_moments(kind: str, tmp_path: Path) -> None:
    """Each kill leaves the whole original or a whole later version."""
    path, size = tmp_path / "folder" / "out.bin", 200_000
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom argus.files import replace_atomically\n"
        "path, size, number = Path(sys.argv[1]), int(sys.argv[2]), 0\n"
        "while True:\n"
        "    number += 1\n"
        "    if sys.argv[3] == 'folder' and path.exists():\n"
        "        path.rename(path.parent.with_name(f'{time.time_ns()}'))\n"
        "    with replace_atomically(path) as partial:\n"
        "        target = partial\n"
        "        if sys.argv[3] == 'folder':\n"
        "            partial.mkdir()\n"
        "            target = partial / 'inside'\n"
        "        plain = partial.with_suffix('.plain')\n"
        "        plain.write_bytes(bytes([number % 256]) * size)\n"
        "        plain.replace(target)\n"
        "    print(flush=True)\n"
    )
    draw = random.Random(0)
    for _ in range(40):
        command = [sys.executable, "-c", code, str(path), str(size), kind]
        writer = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(draw.uniform(0, 0.03))
        writer.kill()
        writer.communicate()
        if kind == "file" or path.exists():  # the writer itself moves the earlier folder away
            content = (path if kind == "file" else path / "inside").read_bytes()
            assert len(content) == size
            assert len(set(content)) == 1
        if path.is_dir():
            shutil.rmtree(path)
        with replace_atomically(path) as partial:
            write_part(partial)
        assert list_names(path.parent) == ["out.bin"]
