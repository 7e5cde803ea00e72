"""The commands `generate` and `tag`, which read and write video files."""

import shlex
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import typer

from argus.cli.console import escape_controls, handle_errors, print_json, print_note
from argus.cli.jobs import (
    named_cluster,
    print_dry_run,
    print_result,
    require_registered,
    resolve_job_config,
    run_job,
    use_local_registry,
)
from argus.cli.options import (
    ConfigOption,
    DryRunOption,
    JsonOption,
    SetOption,
    require_model,
    resolve_path,
)
from argus.errors import InvalidInput, VideoError
from argus.files import require_file, require_writable
from schemas.config import GenerateConfig
from schemas.names import JobKind

if TYPE_CHECKING:
    from argus.media import MediaInfo, Omission, SphericalMetadata

Projection = Literal["equirectangular", "half_equirectangular", "cubemap", "eac"]
StereoMode = Literal["mono", "top-bottom", "left-right"]
TaggedArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="[OUT]",
        help="The tagged copy to write (.mp4, .mov or .m4v), which may be IN "
        "[default: only show IN's tags]",
    ),
]
ProjectionOption = Annotated[
    Projection | None,
    typer.Option(
        help="Mapping of the sphere to the frames [default: as IN declares, else equirectangular]"
    ),
]
StereoOption = Annotated[
    StereoMode | None,
    typer.Option(help="Arrangement of the two eyes [default: as IN declares, else mono]"),
]
ForceOption = Annotated[
    bool,
    typer.Option("--force", help="Tag a video whose pixels are not the map, or cannot be decoded"),
]
ShowTagsOption = Annotated[
    bool, typer.Option("--dry-run", help="Show the tags that would be written, and stop")
]


@handle_errors
def generate(
    video: Annotated[str, typer.Argument(metavar="VIDEO", help="The ordinary video")],
    *,
    output: Annotated[str, typer.Option("--output", "-o", help="The 360° video to write, .mp4")],
    model: Annotated[
        str | None,
        typer.Option(help="A registry URI or a pipeline folder [default: models:/argus@champion]"),
    ] = None,
    fov: Annotated[
        float | None,
        typer.Option(
            help="Horizontal field of view in degrees, used without --poses [default: 75]"
        ),
    ] = None,
    poses: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            help="The camera's trajectory: npz or json of Argus, npz of MegaSaM, a folder with "
            "COLMAP's text files, or motion/NAME.txt with fov/NAME.txt of the published evaluation",
        ),
    ] = None,
    max_seconds: Annotated[
        float | None,
        typer.Option(help="Use only the first seconds of the video [default: all of it]"),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Random seed [default: 0]")] = None,
    config: ConfigOption = None,
    sets: SetOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Turn an ordinary video into a full 360° video.

    Example: `argus generate walk.mp4 -o walk360.mp4 --fov 90 --max-seconds 5`
    """
    _check_files(video, output, poses)
    fields = {
        "input": resolve_path(video, "video"),
        "output": resolve_path(output, "output"),
        "model": require_model(model),
        "fov_deg": fov,
        "poses": resolve_path(poses, "poses"),
        "max_seconds": max_seconds,
        "seed": seed,
    }
    settings = resolve_job_config(GenerateConfig, JobKind.GENERATE, fields, file=config, sets=sets)
    if dry_run:
        print_dry_run(settings, _describe_generation(settings))
        return
    cluster = named_cluster()
    if not cluster:
        require_registered(settings.model)
    _check_content(settings)
    use_local_registry()
    result = run_job(JobKind.GENERATE, settings, ray_address=cluster, as_json=as_json)
    print_result(result, shlex.join(["argus", "tag", output]), as_json=as_json)


@handle_errors
def tag(
    video: Annotated[Path, typer.Argument(metavar="IN", help="A video of any container")],
    output: TaggedArgument = None,
    *,
    projection: ProjectionOption = None,
    stereo: StereoOption = None,
    force: ForceOption = False,
    dry_run: ShowTagsOption = False,
    as_json: JsonOption = False,
) -> None:
    """Mark a video as 360° for players, or show how it is marked.

    Writes Spherical Video V2 metadata and, for an equirectangular video, V1. Earlier metadata is
    replaced, faulty metadata repaired; the frames are copied unchanged. An mp4 or mov keeps all
    else. Another container becomes an mp4 with all of its tracks, chapters and tags that an mp4
    can hold; what it cannot hold is listed, and pictures or sound that it cannot hold are refused.

    If IN declares no projection, its pixels must look like the map that is to be declared: an
    ordinary video is refused, and options that fit are named. --force tags it all the same.

    JSON keys: output, version (null: no tags), projection, stereo, bounds (missing part at the
    top, bottom, left and right, as fractions), yaw_deg, pitch_deg, roll_deg, problem (what is
    wrong with IN's tags), repaired (what was wrong), omissions (part, detail and track of each
    loss).

    Example: `argus tag plain.mp4 tagged.mp4 --stereo top-bottom`
    """
    if output is None and (projection or stereo or force):
        raise InvalidInput(
            "--projection, --stereo and --force need a file to write: argus tag IN OUT"
        )
    require_file(video, "video")
    if output:
        _require_target(output, (".mp4", ".mov", ".m4v"))
    from argus.media import list_omissions

    declared = _read_declared(video, may_fail=output is not None)
    if output is None:
        _print_tags(declared, None, as_json=as_json)
        return
    metadata = _merge_tags(declared, projection, stereo)
    _require_writable_projection(metadata, video)
    if not force and (declared is None or declared.projection == "undeclared"):
        from argus.cli.sphere_check import require_map

        require_map(video, metadata)
    repaired = declared.problem if declared else ""
    if dry_run:
        print_note(f"would {'overwrite' if output.exists() else 'write'} {output}")
        omissions = list_omissions(video)
    else:
        metadata, omissions = _write_tags(video, output, metadata)
    _print_tags(
        metadata,
        None if dry_run else output,
        repaired=repaired,
        omissions=omissions,
        as_json=as_json,
    )


def _require_target(path: Path | str, suffixes: tuple[str, ...]) -> Path:
    """Return the path of a video to write; raise InvalidInput if it cannot be written."""
    target = require_writable(path, "output", suffixes)
    if not target.absolute().parent.is_dir():
        raise InvalidInput(f"the folder of the output {target} does not exist; make it first")
    return target


def _check_files(video: str, output: str, poses: str | None) -> None:
    """Raise InvalidInput for files that cannot be used, before anything heavy is imported."""
    source = require_file(video, "video")
    target = _require_target(output, (".mp4",))
    if target.exists() and target.samefile(source):
        raise InvalidInput(f"the output {target} is the video itself; give another name")
    if poses and not Path(poses).is_dir():
        require_file(poses, "poses file")


def _check_content(settings: GenerateConfig) -> None:
    """Raise InvalidInput for files with unusable content, before the model is loaded."""
    info = _probe_ordinary(settings.input)
    if settings.poses:
        from argus.sphere import Trajectory

        Trajectory.load(settings.poses, fps=info.fps, size=(info.height, info.width))


def _describe_generation(settings: GenerateConfig) -> str:
    from argus.media import describe_reading

    info = _probe_ordinary(settings.input)
    camera = f"poses {settings.poses}" if settings.poses else f"a fixed {settings.fov_deg:g}° view"
    length = f"the first {settings.max_seconds:g} s" if settings.max_seconds else "all"
    verb = "overwrite" if Path(settings.output).exists() else "write"
    source = f"{settings.input} ({info.width}×{info.height}, {info.frames} frames)"
    plan = f"would {verb} {settings.output} with {settings.model} from {length} of {source}"
    return "; ".join((f"{plan}, with {camera}", *describe_reading(info)))


def _probe_ordinary(path: str) -> "MediaInfo":
    """Return the properties of a video; refuse the raw pictures of a two-lens camera."""
    from argus.media import probe

    info = probe(Path(path))
    if info.camera:
        raise InvalidInput(
            f"{path} is a recording of a two-lens camera ({info.camera}), which shows all "
            "directions already; argus stitch makes a 360° video of it"
        )
    return info


def _read_declared(video: Path, *, may_fail: bool) -> "SphericalMetadata | None":
    """Return what a video declares.

    A video that is to be tagged may fail to open: the check of its pixels, or the writer, says why.
    """
    from argus.media import read_spherical

    try:
        return read_spherical(video)
    except VideoError:
        if may_fail:
            return None
        raise


def _merge_tags(
    declared: "SphericalMetadata | None",
    projection: Projection | None,
    stereo: StereoMode | None,
) -> "SphericalMetadata":
    """Return the declared tags with the given changes.

    Bounds and orientation belong to a projection: another one keeps only the stereo mode. A video
    that declares no projection is equirectangular.
    """
    from argus.media import SphericalMetadata

    base = replace(declared, problem="") if declared else SphericalMetadata()
    if projection is None and base.projection == "undeclared":
        projection = "equirectangular"
    base = SphericalMetadata(projection, base.stereo_mode) if projection else base
    return replace(base, stereo_mode=stereo) if stereo else base


def _require_writable_projection(metadata: "SphericalMetadata", video: Path) -> None:
    names = get_args(Projection)
    if metadata.projection not in names:
        raise InvalidInput(
            f"{video} declares the projection {metadata.projection}, which cannot be written; "
            f"give --projection {' or '.join(names)}"
        )


def _write_tags(
    video: Path, output: Path, metadata: "SphericalMetadata"
) -> "tuple[SphericalMetadata, tuple[Omission, ...]]":
    """Write a tagged copy; return what a player reads from it, and what it does not hold."""
    from argus.media import read_spherical, tag_spherical

    try:
        omissions = tag_spherical(video, output, metadata)
    except OSError as error:
        raise InvalidInput(
            f"{video} cannot be copied to {output}: {error.strerror}; choose another path"
        ) from error
    return read_spherical(output) or metadata, omissions


def _print_tags(
    metadata: "SphericalMetadata | None",
    output: Path | None,
    *,
    repaired: str = "",
    omissions: "tuple[Omission, ...] | None" = None,
    as_json: bool,
) -> None:
    path = str(output.absolute()) if output else None
    if as_json:
        print_json(
            {
                "output": path,
                "version": metadata and metadata.version,
                "projection": metadata and metadata.projection,
                "stereo": metadata and metadata.stereo_mode,
                "bounds": metadata and list(metadata.bounds),
                "yaw_deg": metadata and metadata.yaw_deg,
                "pitch_deg": metadata and metadata.pitch_deg,
                "roll_deg": metadata and metadata.roll_deg,
                "problem": (metadata and metadata.problem) or None,
                "repaired": repaired or None,
                "omissions": None if omissions is None else [asdict(one) for one in omissions],
            }
        )
        return
    lines = [("output", path), ("spherical", metadata.version if metadata else "no")]
    if metadata:
        angles = (metadata.yaw_deg, metadata.pitch_deg, metadata.roll_deg)
        lines += [("projection", metadata.projection), ("stereo", metadata.stereo_mode)]
        lines += [("missing at top, bottom, left, right", _join(metadata.bounds))]
        lines += [("yaw, pitch, roll in degrees", _join(angles)), ("problem", metadata.problem)]
    lines += [("repaired", repaired)]
    lines += [("not kept", escape_controls(str(one))) for one in omissions or ()]
    for name, value in lines:
        if value:
            typer.echo(f"{name}: {value}")


def _join(values: tuple[float, ...]) -> str:
    """Return the numbers as a list, or an empty string if all are 0."""
    return ", ".join(f"{value:g}" for value in values) if any(values) else ""
