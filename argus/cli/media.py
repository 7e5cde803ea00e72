"""The commands `generate` and `tag`, which read and write video files."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from argus.cli.console import handle_errors, print_json
from argus.cli.jobs import (
    named_cluster,
    print_dry_run,
    print_result,
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
from argus.errors import InvalidInput
from argus.files import require_file, require_writable
from schemas.config import GenerateConfig
from schemas.names import JobKind

if TYPE_CHECKING:
    from argus.media import SphericalMetadata

Projection = Literal["equirectangular", "half_equirectangular", "cubemap", "eac"]
StereoMode = Literal["mono", "top-bottom", "left-right"]


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
    from argus.media import probe

    probe(Path(settings.input))  # a file that is no video fails before the model is loaded
    use_local_registry()
    result = run_job(JobKind.GENERATE, settings, ray_address=named_cluster(), as_json=as_json)
    print_result(result, f"argus tag {output}", as_json=as_json)


@handle_errors
def tag(
    video: Annotated[Path, typer.Argument(metavar="IN", help="A video: mp4, mov, mkv, webm or ts")],
    output: Annotated[
        Path | None,
        typer.Argument(
            metavar="[OUT]",
            help="The tagged copy to write, which may be IN [default: only show IN's tags]",
        ),
    ] = None,
    *,
    projection: Annotated[
        Projection | None,
        typer.Option(
            help="Mapping of the sphere to the frames "
            "[default: as IN declares, else equirectangular]"
        ),
    ] = None,
    stereo: Annotated[
        StereoMode | None,
        typer.Option(help="Arrangement of the two eyes [default: as IN declares, else mono]"),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the tags that would be written, and stop")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Mark a video as 360° for players, or show how it is marked.

    Writes Spherical Video V2 metadata and, for an equirectangular video, V1. Earlier metadata is
    replaced; the frames are copied unchanged.

    JSON keys: output, version (null: no tags), projection, stereo, bounds (missing part at the
    top, bottom, left and right, as fractions), yaw_deg, pitch_deg, roll_deg.

    Example: `argus tag plain.mp4 tagged.mp4 --stereo top-bottom`
    """
    if output is None and (projection or stereo):
        raise InvalidInput("--projection and --stereo need a file to write: argus tag IN OUT")
    require_file(video, "video")
    if output:
        require_writable(output, "output", (".mp4", ".mov", ".m4v"))
    from argus.media import SphericalMetadata, read_spherical

    metadata = read_spherical(video)
    if output:
        metadata = _merge_tags(metadata or SphericalMetadata(), projection, stereo)
        if not dry_run:
            metadata = _write_tags(video, output, metadata)
    _print_tags(metadata, None if dry_run else output, as_json=as_json)


def _check_files(video: str, output: str, poses: str | None) -> None:
    """Raise InvalidInput for files that cannot be used, before anything heavy is imported."""
    source = require_file(video, "video")
    target = require_writable(output, "output", (".mp4",))
    if not target.absolute().parent.is_dir():
        raise InvalidInput(f"the folder of the output {target} does not exist; make it first")
    if target.exists() and target.samefile(source):
        raise InvalidInput(f"the output {target} is the video itself; give another name")
    if poses and not Path(resolve_path(poses, "poses") or "").exists():
        raise InvalidInput(f"the poses {poses} do not exist; check the path")


def _describe_generation(settings: GenerateConfig) -> str:
    from argus.media import probe

    info = probe(Path(settings.input))
    camera = f"poses {settings.poses}" if settings.poses else f"a fixed {settings.fov_deg:g}° view"
    length = f"the first {settings.max_seconds:g} s" if settings.max_seconds else "all"
    verb = "overwrite" if Path(settings.output).exists() else "write"
    return (
        f"would {verb} {settings.output} with {settings.model} from {length} of {settings.input} "
        f"({info.width}×{info.height}, {info.frames} frames), with {camera}"
    )


def _merge_tags(
    declared: "SphericalMetadata", projection: Projection | None, stereo: StereoMode | None
) -> "SphericalMetadata":
    """Return the declared tags with the given changes.

    Bounds and orientation belong to a projection: another one keeps only the stereo mode.
    """
    base = type(declared)(projection, declared.stereo_mode) if projection else declared
    return replace(base, stereo_mode=stereo) if stereo else base


def _write_tags(
    video: Path, output: Path, metadata: "SphericalMetadata"
) -> "SphericalMetadata | None":
    """Write a tagged copy and return what a player reads from it."""
    from argus.media import read_spherical, tag_spherical

    try:
        tag_spherical(video, output, metadata)
    except OSError as error:
        raise InvalidInput(
            f"{video} cannot be copied to {output}: {error.strerror}; choose another path"
        ) from error
    return read_spherical(output)


def _print_tags(
    metadata: "SphericalMetadata | None", output: Path | None, *, as_json: bool
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
            }
        )
        return
    lines = {"output": path, "spherical": metadata.version if metadata else "no"}
    if metadata:
        angles = (metadata.yaw_deg, metadata.pitch_deg, metadata.roll_deg)
        lines["projection"], lines["stereo"] = metadata.projection, metadata.stereo_mode
        lines["missing at top, bottom, left, right"] = _join(metadata.bounds)
        lines["yaw, pitch, roll in degrees"] = _join(angles)
    for name, value in lines.items():
        if value:
            typer.echo(f"{name}: {value}")


def _join(values: tuple[float, ...]) -> str:
    """Return the numbers as a list, or an empty string if all are 0."""
    return ", ".join(f"{value:g}" for value in values) if any(values) else ""
