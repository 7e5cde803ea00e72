"""Replacing files: what an existing file keeps, any legal name, and nothing left behind."""

import contextlib
import errno
import os
import random
import resource
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from argus.errors import InvalidInput
from argus.files import (
    is_disk_full,
    replace_atomically,
    require_file,
    require_utf8,
    require_writable,
    write_text,
)

NAMES = {
    "255 bytes": b"n" * 251 + b".mp4",
    "255 bytes of emoji": "🎥".encode() * 62 + b"abc.mp4",
    "a long suffix": b"n." + b"s" * 253,
    "no suffix": b"n" * 255,
    "not UTF-8": b"\xe9t\xe9.mp4",
    "a suffix that is not UTF-8": b"video.\xff\xfe",
    "a dash": b"-i.mp4",
    "a dot": b".hidden.mp4",
    "only a dot and a suffix": b".mp4",
    "a line break": b"two\nlines.mp4",
    "escape codes": b"\x1b[31mred.mp4",
    "spaces": b" film .mp4 ",
    "an asterisk": b"*[a].mp4",
    "a percent sign": b"100%d.mp4",
}
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


def list_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def pack_acl(*entries: tuple[int, int, int]) -> bytes:
    """Return the value of an access control list of (tag, permissions, id)."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


NO_ID = 2**32 - 1
ACL = pack_acl((1, 6, NO_ID), (2, 4, 12345), (4, 0, NO_ID), (16, 4, NO_ID), (32, 0, NO_ID))
DEFAULT_ACL = pack_acl((1, 7, NO_ID), (2, 7, 54321), (4, 5, NO_ID), (16, 7, NO_ID), (32, 5, NO_ID))


def set_attribute(path: Path, name: str, value: bytes) -> None:
    try:
        os.setxattr(path, name, value)
    except OSError as error:
        pytest.skip(f"the file system has no such attribute: {error}")


def read_attributes(path: Path) -> dict[str, bytes]:
    return {name: os.getxattr(path, name) for name in os.listxattr(path)}


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


@contextlib.contextmanager
def as_user(number: int) -> Iterator[None]:
    """Act as another user, of the group of the same number."""
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(number)
    os.seteuid(number)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o755, 0o444, 0o400, 0o2755])
def test_an_existing_file_keeps_its_mode(mode: int, tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text("old")
    path.chmod(mode)
    write_text(path, "new")
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert list_names(tmp_path) == ["file.json"]


def test_a_new_file_has_the_usual_mode(tmp_path: Path) -> None:
    write_text(tmp_path / "new.json", "{}")
    (tmp_path / "usual").write_text("")
    assert (tmp_path / "new.json").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_an_existing_file_keeps_its_extended_attributes(tmp_path: Path) -> None:
    path = tmp_path / "file.mp4"
    path.write_text("old")
    set_attribute(path, "user.tag", b"holiday")
    set_attribute(path, "user.empty", b"")
    set_attribute(path, "system.posix_acl_access", ACL)
    kept, mode = read_attributes(path), path.stat().st_mode
    write_text(path, "new")
    assert read_attributes(path) == kept
    assert path.stat().st_mode == mode


def test_an_existing_file_gets_no_list_from_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "file.mp4"
    path.write_text("old")
    set_attribute(tmp_path, "system.posix_acl_default", DEFAULT_ACL)
    mode = path.stat().st_mode
    write_text(path, "new")
    assert read_attributes(path) == {}
    assert path.stat().st_mode == mode
    write_text(tmp_path / "new", "")
    assert "system.posix_acl_access" in read_attributes(tmp_path / "new")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
def test_an_existing_file_keeps_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "file.mp4"
    path.write_text("old")
    os.chown(path, 12345, 54321)
    path.chmod(0o4750)
    write_text(path, "new")
    found = path.stat()
    assert (found.st_uid, found.st_gid) == (12345, 54321)
    assert stat.S_IMODE(found.st_mode) == 0o4750


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
@pytest.mark.parametrize(("owner", "group"), [(0, 0), (0, 12345), (12345, 0)])
def test_a_file_whose_owner_cannot_be_kept_is_refused(
    owner: int, group: int, tmp_path: Path
) -> None:
    path = tmp_path / "file.json"
    path.write_text("old")
    os.chown(path, owner, group)
    path.chmod(0o666)
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(0o777)
    before = path.stat()
    with as_user(12345), pytest.raises(InvalidInput), replace_atomically(path):
        pytest.fail("the caller began to write")
    assert path.read_text() == "old"
    assert path.stat() == before
    assert list_names(tmp_path) == ["file.json"]


def test_no_other_user_can_read_what_the_file_will_hold(tmp_path: Path) -> None:
    path = tmp_path / "private.mp4"
    path.write_text("old")
    path.chmod(0o600)
    with replace_atomically(path) as partial:
        partial.write_text("new")
        assert stat.S_IMODE(partial.stat().st_mode) == 0o600


def test_attributes_are_kept_by_a_caller_that_moves_its_own_file(tmp_path: Path) -> None:
    path, own = tmp_path / "file.mp4", tmp_path / "own"
    path.write_text("old")
    path.chmod(0o640)
    set_attribute(path, "user.tag", b"holiday")
    own.write_text("new")
    with replace_atomically(path) as partial:
        shutil.move(own, partial)
    assert path.read_text() == "new"
    assert read_attributes(path) == {"user.tag": b"holiday"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_link_stays_and_its_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    file, near, far = tmp_path / "store" / "blob", tmp_path / "near.mp4", tmp_path / "far.mp4"
    file.write_text("old")
    file.chmod(0o600)
    near.symlink_to("store/blob")
    far.symlink_to(near)
    for path in (near, far):
        with replace_atomically(path) as partial:
            assert partial.suffix == ".mp4"
            partial.write_text(path.name)
        assert file.read_text() == path.name
        assert path.is_symlink()
    assert not file.is_symlink()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list_names(tmp_path) == ["far.mp4", "near.mp4", "store"]
    assert list_names(tmp_path / "store") == ["blob"]


def test_a_dangling_link_gets_its_file(tmp_path: Path) -> None:
    link = tmp_path / "link.json"
    link.symlink_to("absent/file.json")
    write_text(link, "new")
    assert link.is_symlink()
    assert (tmp_path / "absent" / "file.json").read_text() == "new"


def test_a_loop_of_links_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "self").symlink_to("self")
    for name in ("a", "self"):
        with pytest.raises(InvalidInput):
            write_text(tmp_path / name, "new")
    assert list_names(tmp_path) == ["a", "b", "self"]


def test_a_file_with_several_names_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    path, link = tmp_path / "file.mp4", tmp_path / "link.mp4"
    path.write_text("old")
    (tmp_path / "other.mp4").hardlink_to(path)
    link.symlink_to(path)
    for name in (path, link):
        with pytest.raises(InvalidInput), replace_atomically(name):
            pytest.fail("the caller began to write")
    assert path.read_text() == "old"
    assert list_names(tmp_path) == ["file.mp4", "link.mp4", "other.mp4"]


def test_what_is_no_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket must be short
    os.mkfifo("pipe")
    Path("link").symlink_to("pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
    for name in ("pipe", "link", "socket"):
        mode = Path(name).stat().st_mode
        with pytest.raises(InvalidInput):
            write_text(Path(name), "new")
        assert Path(name).stat().st_mode == mode


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES.keys())
def test_any_legal_name_can_be_written(name: bytes, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(name)
    for text in ("first", "second"):
        with replace_atomically(path) as partial:
            assert partial.name.isascii()
            assert len(partial.name) < 100
            assert partial.parent == path.parent
            if path.suffix == ".mp4":
                assert partial.suffix == ".mp4"
            partial.write_text(text)
        assert path.read_text() == text
    assert [os.fsencode(found) for found in list_names(tmp_path)] == [name]


@pytest.mark.parametrize("name", [b"\xe9t\xe9", "日本".encode(), b"-", b"a\nb"])
def test_any_legal_folder_can_be_written_to(name: bytes, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(name) / "poses.npz"
    with replace_atomically(path) as partial:
        np.savez(partial, values=np.arange(3))
    with np.load(path) as stored:
        assert stored["values"].tolist() == [0, 1, 2]


def test_a_name_that_is_not_utf8_is_refused_only_where_it_is_stored(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"\xff.mp4")
    path.write_bytes(b"content")
    assert require_file(path, "video") == require_writable(path, "output") == path
    with pytest.raises(InvalidInput) as caught:
        require_utf8(path, "video")
    assert str(caught.value).isascii()


def test_an_output_that_cannot_be_replaced_is_refused_at_once(tmp_path: Path) -> None:
    path, link = tmp_path / "one.mp4", tmp_path / "link.mp4"
    path.write_bytes(b"content")
    link.symlink_to(path)
    assert require_writable(link, "output", [".mp4"]) == link
    (tmp_path / "two.mp4").hardlink_to(path)
    for name in (path, link, tmp_path / ("n" * 252 + ".mp4"), path / "inside.mp4"):
        with pytest.raises(InvalidInput):
            require_writable(name, "output", [".mp4"])
    assert list_names(tmp_path) == ["link.mp4", "one.mp4", "two.mp4"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
def test_an_output_of_another_user_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "file.mp4"
    path.write_bytes(b"content")
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(0o777)
    with as_user(12345), pytest.raises(InvalidInput):
        require_writable(path, "output")
    assert list_names(tmp_path) == ["file.mp4"]


def test_names_that_differ_in_an_unsupported_byte_do_not_meet(tmp_path: Path) -> None:
    one, two = (tmp_path / os.fsdecode(name) for name in (b"\xe9.mp4", b"\xe8.mp4"))
    with replace_atomically(one) as first, replace_atomically(two) as second:
        assert first != second
        first.write_text("one")
        second.write_text("two")
    assert (one.read_text(), two.read_text()) == ("one", "two")


def write_part(partial: Path) -> None:
    partial.write_text("half")


def write_folder(partial: Path) -> None:
    partial.unlink(missing_ok=True)
    partial.mkdir()
    write_part(partial / "inside")


def write_more(partial: Path) -> None:
    write_part(partial)
    write_part(partial.with_suffix(".plain.mp4"))


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("write", [write_part, write_folder, write_more, lambda _: None])
@pytest.mark.parametrize("exists", [True, False])
def test_an_error_leaves_the_original_and_nothing_else(
    exists: bool, write: Callable[[Path], None], error: type[BaseException], tmp_path: Path
) -> None:
    path = tmp_path / "file.mp4"
    if exists:
        path.write_text("old")
        path.chmod(0o640)
    before = path.stat() if exists else None
    with pytest.raises(error), replace_atomically(path) as partial:
        write(partial)
        raise error
    assert list_names(tmp_path) == ["file.mp4"] * exists
    if before:
        assert path.read_text() == "old"
        assert path.stat() == before


def test_a_caller_that_writes_nothing_does_not_empty_the_file(tmp_path: Path) -> None:
    path = tmp_path / "file.mp4"
    path.write_text("old")
    with pytest.raises(InvalidInput), replace_atomically(path):
        pass
    assert path.read_text() == "old"
    write_text(path, "")
    assert path.read_text() == ""
    with pytest.raises(FileNotFoundError), replace_atomically(tmp_path / "new.mp4"):
        pass
    assert list_names(tmp_path) == ["file.mp4"]


def test_a_full_folder_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "inside").write_text("old")
    (tmp_path / "empty").mkdir()
    with pytest.raises(OSError, match="empty"), replace_atomically(tmp_path / "full") as partial:
        write_folder(partial)
    with pytest.raises(IsADirectoryError):
        write_text(tmp_path / "full", "new")
    with replace_atomically(tmp_path / "empty") as partial:
        write_folder(partial)
    assert (tmp_path / "full" / "inside").read_text() == "old"
    assert list_names(tmp_path) == ["empty", "full"]
    assert list_names(tmp_path / "empty") == ["inside"]


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


def test_a_full_disk_leaves_the_original(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text("old")
    before = path.stat()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, limits[1]))
    try:
        with pytest.raises(OSError) as caught:  # noqa: PT011 - the number is checked
            write_text(path, "x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert is_disk_full(caught.value)
    assert caught.value.errno == errno.EFBIG
    assert path.stat() == before
    assert list_names(tmp_path) == ["file.json"]


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
