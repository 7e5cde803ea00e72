"""Folder of weights: the state of each file, and its verification before it is loaded.

A file must have the SHA-256 of the manifest, or one that a person accepted. Accepted digests are
in `accepted.json` in the folder: `fetch` adds what it downloaded, and `accept_weights` files that
were placed by hand, also in the place of pinned ones (own or fine-tuned weights).
"""

import json
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path

from argus.errors import InvalidInput
from argus.files import lock_folder, sha256_file, write_text
from argus.networks.manifest import NETWORKS, Network, WeightFile

ACCEPTED_FILE = "accepted.json"


class WeightState(StrEnum):
    """State of a file in the folder of weights."""

    READY = "ready"
    MISSING = "missing"
    DAMAGED = "damaged"  # neither the pinned nor an accepted digest
    UNPINNED = "not pinned"  # present, but nothing says what it must be


def check_weights(folder: Path, file: WeightFile) -> WeightState:
    """Compute the SHA-256 of a file and return its state."""
    return _inspect(folder, file)[0]


def verified_path(folder: Path, file: WeightFile) -> Path:
    """Return the path of a file after its SHA-256 was verified.

    Args:
        folder: folder of weights.
        file: a file of the manifest.

    Raises:
        InvalidInput: it is missing or damaged, or nothing says what its SHA-256 must be.
    """
    verified_digest(folder, file)
    return folder / file.path


def verified_digest(folder: Path, file: WeightFile) -> str:
    """Return the SHA-256 of a file that `verified_path` would return.

    Raises:
        InvalidInput: as `verified_path`.
    """
    state, digest = _inspect(folder, file)
    if state is not WeightState.READY:
        raise InvalidInput(_describe(folder, file, state))
    return digest


def describe_lack(folder: Path, file: WeightFile) -> str:
    """Return why a file cannot be loaded and what to do, as a clause; empty if it can."""
    return _describe(folder, file, check_weights(folder, file))


def _inspect(folder: Path, file: WeightFile) -> tuple[WeightState, str]:
    """Return the state of a file and its SHA-256."""
    path = folder / file.path
    if not path.is_file():
        return WeightState.MISSING, ""
    digest = sha256_file(path)
    allowed = {file.sha256, read_accepted(folder).get(file.path)} - {None}
    if not allowed:
        return WeightState.UNPINNED, digest
    return (WeightState.READY if digest in allowed else WeightState.DAMAGED), digest


def _describe(folder: Path, file: WeightFile, state: WeightState) -> str:
    """Return why a file in this state cannot be loaded; empty if it can."""
    name = file.network
    match state:
        case WeightState.MISSING:
            return f"{file.path} is missing in {folder}; run `argus weights fetch {name}`"
        case WeightState.DAMAGED:
            return (
                f"{file.path} in {folder} is not the file of the manifest; "
                f"run `argus weights fetch {name}`, or `argus weights accept {name}` if it is yours"
            )
        case WeightState.UNPINNED:
            return (
                f"{file.path} in {folder} has no SHA-256 to be verified with; "
                f"run `argus weights accept {name}` if you trust it"
            )
        case WeightState.READY:
            return ""


def require_network(name: str) -> Network:
    """Return a network of the manifest.

    Raises:
        InvalidInput: the name is unknown.
    """
    if name not in NETWORKS:
        raise InvalidInput(f"unknown network {name!r}; choose from {', '.join(NETWORKS)}")
    return NETWORKS[name]


def find_model(hub_id: str, folder: Path) -> Path:
    """Return the folder of a model of the Hugging Face hub after all its files were verified.

    Args:
        hub_id: such as `stabilityai/stable-video-diffusion-img2vid`.
        folder: folder of weights.

    Raises:
        InvalidInput: the manifest does not name the model, or a file is missing, damaged, or
            neither pinned nor accepted.
    """
    for network in NETWORKS.values():
        if all(f"/{hub_id}/resolve/" in file.origin for file in network.files):
            for file in network.files:
                verified_path(folder, file)
            return folder / network.name
    raise InvalidInput(
        f"{hub_id} is neither a folder nor a model that `argus weights` can verify; if you trust "
        f"it, run `hf download {hub_id} --local-dir DIR`, and give the folder"
    )


def accept_weights(folder: Path, files: Iterable[WeightFile]) -> dict[str, str]:
    """Accept files as they are: their SHA-256 is required from now on.

    Args:
        folder: folder of weights.
        files: files of the manifest; those that are missing are skipped.

    Returns:
        The digests of the accepted files by path.
    """
    present = [file.path for file in files if (folder / file.path).is_file()]
    digests = {path: sha256_file(folder / path) for path in present}
    if digests:
        with lock_folder(folder):
            accepted = {**read_accepted(folder), **digests}
            write_text(folder / ACCEPTED_FILE, json.dumps(accepted, indent=1, sort_keys=True))
    return digests


def read_accepted(folder: Path) -> Mapping[str, str]:
    """Return the accepted digests by path.

    Raises:
        InvalidInput: the file of accepted digests is damaged.
    """
    path = folder / ACCEPTED_FILE
    try:
        accepted = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise InvalidInput(f"{path} is no JSON: {error}; remove it, and accept again") from error
    if not isinstance(accepted, dict):
        raise InvalidInput(f"{path} holds no table of digests; remove it, and accept again")
    return accepted
