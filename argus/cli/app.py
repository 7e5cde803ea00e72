"""The command line, the roof of the house: it may import `ray_jobs` and `flows`, inside a command; nothing imports it.

Each command resolves one configuration, runs one job or flow, and leaves with the exit status of its outcome.
"""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer
from rich.markup import escape

from argus.cli.errors import console, guarded
from argus.cli.jobs import ConfigFile, PrivateHosts, RunId, Sets, run_job
from argus.cli.tables import Folder, absolute
from argus.cli.versions import dataset_app
from argus.config import resolve_config
from argus.errors import InvalidInput
from argus.runs import argus_home
from schemas.config import (
    CurateConfig,
    EvaluateConfig,
    GenerateConfig,
    JobConfig,
    PromoteConfig,
    TrainConfig,
)
from schemas.names import JobKind

if TYPE_CHECKING:
    from argus.media import SphericalMetadata
    from argus.media.spherical import Projection, StereoMode

app = typer.Typer(
    help="Turns an ordinary video into a full 360° video, and runs the factory around it: curate, train, evaluate, register, generate.",
    epilog="Exit status: 0 done or nothing to do, 10 invalid input, 30 try again later, 130 stopped, 1 anything else. "
    "Everything written goes under ARGUS_HOME (default ./.argus).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",  # rich's own markup would swallow "[default: 75]"
)
app.add_typer(dataset_app, name="dataset")
C = TypeVar("C", bound=JobConfig)

DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print the resolved configuration and stop")
]
Port = Annotated[
    int | None, typer.Option(min=1, max=65535, help="Port on loopback [default: a free one]")
]
Snapshot = Annotated[int | None, typer.Option(help="Version of the dataset [default: the latest]")]


@app.command()
@guarded
def demo(
    media: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Add the real videos of this folder (its labels.csv is shown beside the decisions) [env: ARGUS_TEST_MEDIA]",
        ),
    ] = None,
    home: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Where everything is written [default: ARGUS_HOME, else ./.argus/demo]",
        ),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Training steps [default: the demo preset's]")
    ] = None,
) -> None:
    """Run the whole factory once, on this machine, on a synthetic world: real Prefect, Ray and MLflow servers on loopback.

    Takes a few minutes and no download. Ends with a table, the address of the model registry, and a report with pictures.
    """
    from flows.demo import run_demo

    folder = media or (
        Path(os.environ["ARGUS_TEST_MEDIA"]) if os.environ.get("ARGUS_TEST_MEDIA") else None
    )
    place = home or (
        Path(os.environ["ARGUS_HOME"]) if os.environ.get("ARGUS_HOME") else Path(".argus/demo")
    )
    run_demo(place.absolute(), media=folder, steps=steps)


@app.command()
@guarded
def up(
    prefect_port: Port = None,
    mlflow_port: Port = None,
    ray_port: Port = None,
) -> None:
    """Start Prefect, Ray and MLflow on this machine, deploy the flows, and serve them until Ctrl-C.

    A server that PREFECT_API_URL, MLFLOW_TRACKING_URI or ARGUS_RAY_ADDRESS names already is used as it is.
    """
    from flows.local import LocalStack
    from flows.serve import up as serve

    serve(
        typer.echo,
        LocalStack(prefect_port=prefect_port, mlflow_port=mlflow_port, ray_port=ray_port),
    )


@app.command()
@guarded
def refresh(
    catalogue: Annotated[
        str, typer.Argument(help="Parquet, CSV, TSV or JSONL with `url` or `id`, or one url a line")
    ],
    dataset: Folder = None,
    allow_private_hosts: PrivateHosts = False,
    config: ConfigFile = None,
    sets: Sets = None,
    run_id: RunId = None,
    dry_run: DryRun = False,
) -> None:
    """Fetch and judge the new videos of a catalogue, and commit their clips as a new snapshot.

    Videos that are settled already cost nothing. Kill it at any moment: the same command goes on. With --dry-run it tells what there is to do.
    """
    fields = {
        "catalogue": absolute(catalogue),
        "dataset": absolute(dataset),
        "run_id": run_id,
        "fetch.allow_private_hosts": allow_private_hosts or None,
    }
    settings = _resolved(CurateConfig, JobKind.CURATE, config, sets, fields)
    if _shown(settings, dry_run):
        from argus.curate.plan import plan

        console.print(str(plan(settings)), soft_wrap=True, highlight=False)
    else:
        run_job(JobKind.CURATE, settings)


@app.command()
@guarded
def train(
    preset: Annotated[
        str | None,
        typer.Option(help="tiny (a laptop), demo, stage1 or stage2 (the full-size model)"),
    ] = "tiny",
    dataset: Folder = None,
    snapshot: Snapshot = None,
    steps: Annotated[int | None, typer.Option(min=1)] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Training processes; the global batch stays the same")
    ] = None,
    config: ConfigFile = None,
    sets: Sets = None,
    run_id: RunId = None,
    dry_run: DryRun = False,
) -> None:
    """Train a model on a snapshot and register it as a candidate. The same --run-id resumes."""
    fields = {
        "dataset": absolute(dataset),
        "snapshot": snapshot,
        "steps": steps,
        "workers": workers,
        "run_id": run_id,
    }
    settings = _resolved(TrainConfig, JobKind.TRAIN, config, sets, fields, preset)
    if not _shown(settings, dry_run):
        _use_registry()
        run_job(JobKind.TRAIN, settings)


@app.command()
@guarded
def evaluate(
    model: Annotated[
        str | None,
        typer.Option(help="A registry uri or a pipeline folder [default: models:/argus@candidate]"),
    ] = None,
    dataset: Folder = None,
    snapshot: Snapshot = None,
    config: ConfigFile = None,
    sets: Sets = None,
    run_id: RunId = None,
    dry_run: DryRun = False,
) -> None:
    """Measure a model on held-out videos, beside the untrained model and the strongest fill."""
    fields = {"model": model, "dataset": absolute(dataset), "snapshot": snapshot, "run_id": run_id}
    settings = _resolved(EvaluateConfig, JobKind.EVALUATE, config, sets, fields)
    if not _shown(settings, dry_run):
        _use_registry()
        run_job(JobKind.EVALUATE, settings)


@app.command()
@guarded
def promote(
    model_name: Annotated[
        str | None, typer.Option(help="Registered model [default: argus]")
    ] = None,
    version: Annotated[
        int | None, typer.Option(min=1, help="Version to judge [default: the candidate]")
    ] = None,
    config: ConfigFile = None,
    sets: Sets = None,
    dry_run: DryRun = False,
) -> None:
    """Let the gate decide whether a candidate becomes champion. Its evaluation must have been run."""
    fields = {"model_name": model_name, "version": version}
    settings = resolve_config(
        PromoteConfig,
        "promote",
        file=config,
        fields=fields,
        sets=sets or (),
        environ=_environ_withoutargus_home(),
    )
    if not _shown(settings, dry_run):
        from argus.registry.models import judge

        _use_registry()
        verdict = judge(settings)
        console.print(
            f"[bold]{verdict.decision}[/bold]: {escape('; '.join(verdict.reasons))}", soft_wrap=True
        )


@app.command()
@guarded
def generate(
    video: Annotated[str, typer.Argument(help="The ordinary video")],
    output: Annotated[str, typer.Option("--output", "-o", help="The 360° video to write, .mp4")],
    model: Annotated[
        str | None,
        typer.Option(help="A registry uri or a pipeline folder [default: models:/argus@champion]"),
    ] = None,
    fov: Annotated[
        float | None,
        typer.Option(
            help="Horizontal field of view in degrees, where no poses are given [default: 75]"
        ),
    ] = None,
    poses: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            help="The camera's trajectory: npz or json of Argus, npz of MegaSaM, a folder with COLMAP's text files, "
            "or motion/NAME.txt with fov/NAME.txt of the published evaluation",
        ),
    ] = None,
    max_seconds: Annotated[float | None, typer.Option(help="Generate only the beginning")] = None,
    seed: Annotated[int | None, typer.Option(min=0)] = None,
    config: ConfigFile = None,
    sets: Sets = None,
    dry_run: DryRun = False,
) -> None:
    """Turn an ordinary video into a full 360° video."""
    fields = {
        "input": absolute(video),
        "output": absolute(output),
        "model": model,
        "fov_deg": fov,
        "poses": absolute(poses),
        "max_seconds": max_seconds,
        "seed": seed,
    }
    settings = _resolved(GenerateConfig, JobKind.GENERATE, config, sets, fields)
    if not _shown(settings, dry_run):
        _use_registry()
        run_job(JobKind.GENERATE, settings)


@app.command()
@guarded
def tag(
    video: Annotated[Path, typer.Argument(metavar="IN", help="A video: mp4, mov, mkv, webm or ts")],
    output: Annotated[
        Path | None,
        typer.Argument(
            metavar="OUT",
            help="The tagged copy to write, which may be IN; without it, show IN's tags",
        ),
    ] = None,
    projection: Annotated[
        Literal["equirectangular", "half_equirectangular", "cubemap", "eac"] | None,
        typer.Option(
            help="How the sphere lies in the frames [default: as IN declares, else equirectangular]"
        ),
    ] = None,
    stereo: Annotated[
        Literal["mono", "top-bottom", "left-right"] | None,
        typer.Option(help="Where the two eyes lie [default: as IN declares, else mono]"),
    ] = None,
) -> None:
    """Tell players that a video is a sphere, or show what it tells them.

    Writes Spherical Video V2 metadata and, for an equirectangular video, V1; earlier ones are replaced, the pictures stay as they are.
    """
    from argus.media import SphericalMetadata, read_spherical, tag_spherical

    if output is None:
        if projection or stereo:
            raise InvalidInput(
                "--projection and --stereo are to be written, but no file to write was given; name it after the video"
            )
    else:
        if output.suffix.lower() not in {".mp4", ".mov", ".m4v"}:
            raise InvalidInput(
                f"the output is {output}, but its name must end in .mp4, .mov or .m4v"
            )
        try:
            tag_spherical(
                video,
                output,
                _changed(read_spherical(video) or SphericalMetadata(), projection, stereo),
            )
        except OSError as error:
            raise InvalidInput(
                f"{video} cannot be copied to {output}: {error.strerror}; choose another place"
            ) from error
        typer.echo(f"output: {output.absolute()}")
    _tell(read_spherical(output or video))


def _changed(
    declared: "SphericalMetadata", projection: "Projection | None", stereo: "StereoMode | None"
) -> "SphericalMetadata":
    """What a file declares, but for what is asked for; another projection takes nothing over but the eyes."""
    base = type(declared)(projection, declared.stereo_mode) if projection else declared
    return replace(base, stereo_mode=stereo) if stereo else base


def _tell(metadata: "SphericalMetadata | None") -> None:
    """What a file declares, as `name: value` lines."""
    typer.echo(f"spherical: {metadata.version if metadata else 'no'}")
    if metadata is None:
        return
    typer.echo(f"projection: {metadata.projection}")
    typer.echo(f"stereo: {metadata.stereo_mode}")
    for name, values in (
        ("missing at top, bottom, left, right", metadata.bounds),
        ("yaw, pitch, roll", _pose(metadata)),
    ):
        if any(values):
            typer.echo(f"{name}: {', '.join(f'{value:g}' for value in values)}")


def _pose(metadata: "SphericalMetadata") -> tuple[float, ...]:
    return metadata.yaw_deg, metadata.pitch_deg, metadata.roll_deg


def _environ_withoutargus_home() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "ARGUS_HOME"}


def _resolved(
    model: type[C],
    kind: JobKind,
    file: Path | None,
    sets: list[str] | None,
    fields: Mapping[str, Any],
    preset: str | None = None,
) -> C:
    return resolve_config(
        model,
        kind,
        preset=preset,
        file=file,
        sets=sets or (),
        fields={"home": str(argus_home()), **fields},
    )


def _shown(settings: Any, dry_run: bool) -> bool:
    """Prints the configuration as JSON on standard output where only that was asked for."""
    if dry_run:
        typer.echo(settings.model_dump_json(indent=2))
    return dry_run


def _use_registry() -> None:
    """Without a tracking server named, runs and models are kept in a database under ARGUS_HOME, the one that `argus up` serves."""
    from flows.local import mlflow_database

    os.environ.setdefault("MLFLOW_TRACKING_URI", mlflow_database(argus_home()))


def main() -> None:
    """The console script `argus`."""
    app()
