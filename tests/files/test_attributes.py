"""Attributes, links and names of an existing file, which its replacement keeps."""

import os
import shutil
import stat
import struct
from pathlib import Path

import pytest

from argus.errors import InvalidInput
from argus.files import replace_atomically, write_text
from tests.support.written_files import as_user, list_names


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
