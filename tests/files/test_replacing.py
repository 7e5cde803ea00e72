"""Replacing files: any legal name, and nothing left behind."""

import errno
import os
import resource
import signal
import socket
from collections.abc import Callable
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
from tests.support.written_files import as_user, list_names, write_folder, write_part

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
        after = path.stat()  # before it is read, which changes its time of access
        assert path.read_text() == "old"
        assert after == before


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
