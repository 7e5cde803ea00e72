"""`argus demo`: the pipeline once on a synthetic world, with real servers on loopback, then a table and a report.

What needs pictures or video (`argus.synth`, `argus.media`, `argus.report.pictures`) is imported inside functions: flows start without it.
"""

import csv
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from argus.dataset import Dataset
from argus.errors import InvalidInput
from argus.files import write_text
from argus.registry.history import curve, pictures
from argus.report import Picture, ReportData, VideoCard, first_picture, write_report
from argus.runs import RunFolder
from flows.local import LocalStack, mlflow_database_uri
from schemas.names import JobKind

if TYPE_CHECKING:
    from argus.synth import DemoWorld
    from flows.pipeline import PipelineSummary

STAGES = (JobKind.CURATE, JobKind.TRAIN, JobKind.EVALUATE, JobKind.GENERATE)
METHODS = {
    "model": "trained",
    "untrained": "untrained",
    "fill": "strongest fill",
    "champion": "champion before",
}
SHORT = (
    "videos considered",
    "videos kept",
    "clips",
    "snapshot",
    "training steps",
    "validation loss",
)
VIDEOS = (".mp4", ".mkv", ".mov", ".ts", ".webm")
CHAMPION = "models:/argus@champion"
ABSENT = "never-there.mp4"


@dataclass(frozen=True)
class DemoRun:
    """Where one demonstration is written."""

    home: Path
    run_id: str

    def folder(self, kind: JobKind) -> RunFolder:
        return RunFolder(self.home, kind, self.run_id)

    @property
    def output(self) -> Path:
        return self.folder(JobKind.GENERATE).path / "generated.mp4"

    @property
    def report(self) -> Path:
        return self.home / "report.html"


def run_demo(
    home: Path,
    *,
    media: Path | None = None,
    steps: int | None = None,
    console: Console | None = None,
) -> DemoRun:
    """Runs all of it below `home`, prints the table, and returns where everything lies.

    `media` is a folder of real videos, with or without a labels.csv. A second call in the same home finds the videos settled, trains again, and
    lets the gate compare. Raises what the failing stage raises.
    """
    from argus.synth import serve_folder, write_demo

    console = console or Console()
    labels = read_labels(media) if media else {}
    run = DemoRun(home, f"demo-{datetime.now(UTC):%Y%m%dT%H%M%S}")
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")
    console.print("Starting Prefect, Ray and MLflow on loopback, and making a synthetic world …")
    with ThreadPoolExecutor(1) as pool:
        making = pool.submit(write_demo, home / "world")
        with LocalStack(home) as servers:
            world = making.result()
            console.print(
                f"Prefect {servers.prefect_url} · Ray {servers.ray_url} · MLflow {servers.mlflow_uri}",
                highlight=False,
            )
            with (
                serve_folder(world.folder, port=_site_port(home)) as site,
                _serve_media(media) as media_url,
                _bars(run, console),
            ):
                write_text(home / "site-port", site.url.rsplit(":", 1)[1])
                catalogue = _write_catalogue(
                    home / "catalogue.csv", world, site.url, labels, media_url
                )
                summary = _run_flows(run, catalogue, world.input, steps)
    _finish(run, console, world, summary, labels, media_url)
    return run


def _run_flows(run: DemoRun, catalogue: Path, video: Path, steps: int | None) -> "PipelineSummary":
    from argus.registry.models import champion
    from flows.generate import generate
    from flows.pipeline import pipeline
    from schemas.forms import GenerateForm, PipelineForm

    form = PipelineForm(
        catalogue=str(catalogue),
        preset="demo",
        steps=steps,
        allow_private_hosts=True,
        train_anyway=True,
        run_id=run.run_id,
    )
    summary = pipeline(form)
    model = CHAMPION if champion(form.model_name) else candidate_of(summary)
    generate(GenerateForm(input=str(video), output=str(run.output), model=model, run_id=run.run_id))
    return summary


def candidate_of(summary: "PipelineSummary") -> str:
    """The uri of the model that was trained."""
    assert summary.train is not None
    return str(summary.train.outputs["model_uri"])


def read_labels(media: Path) -> dict[str, Mapping[str, str]]:
    """The videos of a folder by their path in it; each with its row of labels.csv (path, keep, reason), where the folder has one."""
    names = sorted(
        path.relative_to(media).as_posix()
        for path in media.rglob("*")
        if path.suffix.lower() in VIDEOS
    )
    if not names:
        raise InvalidInput(
            f"{media} holds no video; give a folder with files that end in {', '.join(VIDEOS)}"
        )
    labels: dict[str, Mapping[str, str]] = {}
    if (media / "labels.csv").exists():
        with (media / "labels.csv").open(newline="", encoding="utf-8") as file:
            labels = {row["path"]: row for row in csv.DictReader(file)}
    return {name: labels.get(name, {}) for name in names}


@contextmanager
def _serve_media(media: Path | None) -> Iterator[str]:
    """The address of the real videos, or an empty text where there are none."""
    from argus.synth import serve_folder

    if media is None:
        yield ""
        return
    with serve_folder(media) as site:
        yield site.url


def _site_port(home: Path) -> int:
    """The port of the last time, so that the videos' addresses, and so their identities, stay; 0 finds a free one."""
    path = home / "site-port"
    return int(path.read_text()) if path.exists() else 0


def _write_catalogue(
    path: Path,
    world: "DemoWorld",
    site: str,
    labels: Mapping[str, Mapping[str, str]],
    media_url: str,
) -> Path:
    """The synthetic videos with the splits of the world, one that is not there, and the real ones, which only train."""
    rows = [(f"{site}/{name}", split) for name, split in (*world.videos, (ABSENT, "train"))]
    rows += [(f"{media_url}/{name}", "train") for name in labels]
    write_text(path, "url,split\n" + "".join(f"{url},{split}\n" for url, split in rows))
    return path


@contextmanager
def _bars(run: DemoRun, console: Console) -> Iterator[None]:
    """A bar for each stage, fed by the progress files that the jobs write."""
    columns = (
        TextColumn("{task.description:<9}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[message]}"),
        TimeElapsedColumn(),
    )
    ended = Event()
    with Progress(*columns, console=console) as progress:
        tasks = {
            kind: progress.add_task(kind, total=None, start=False, message="") for kind in STAGES
        }

        def watch() -> None:
            while not ended.wait(0.5):
                for kind, task in tasks.items():
                    if told := run.folder(kind).read_progress():
                        progress.start_task(task)
                        progress.update(
                            task,
                            completed=told.step,
                            total=told.total or None,
                            message=f"{told.unit}s · {told.message}"[:60],
                        )
                    if run.folder(kind).read_result():
                        progress.stop_task(task)

        watcher = Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()


def _finish(
    run: DemoRun,
    console: Console,
    world: "DemoWorld",
    summary: "PipelineSummary",
    labels: Mapping[str, Mapping[str, str]],
    media_url: str,
) -> None:
    cards = _cards(Dataset(run.home / "dataset"))
    summary_rows = summary_table(summary, cards)
    write_report(run.report, _report(run, world, summary, cards, summary_rows))
    table = Table("what", "figure", title="Argus demo", title_justify="left")
    for name, value in summary_rows.items():
        table.add_row(name, value)
    console.print(table)
    if labels:
        console.print(_against_labels(cards, labels, media_url))
    console.print(f"360° video: {run.output}", soft_wrap=True, highlight=False)
    console.print(f"Report:     {run.report}", soft_wrap=True, highlight=False)
    console.print(
        f"\nexport MLFLOW_TRACKING_URI={mlflow_database_uri(run.home)}", soft_wrap=True, highlight=False
    )
    console.print("argus generate VIDEO.mp4 -o OUT.mp4", highlight=False)


def summary_table(summary: "PipelineSummary", cards: Sequence[VideoCard]) -> dict[str, str]:
    """The demonstration's figures, by name, as text."""
    dropped: dict[str, int] = {}
    for card in cards:
        if card.decision != "kept":
            dropped[card.reason] = dropped.get(card.reason, 0) + 1
    rows = {
        "videos considered": str(len(cards)),
        "videos kept": str(len(cards) - sum(dropped.values())),
        "videos dropped": ", ".join(
            f"{count} {reason}"
            for reason, count in sorted(dropped.items(), key=lambda item: (-item[1], item[0]))
        )
        or "none",
        "clips": str(sum(card.clips for card in cards)),
        "snapshot": str(summary.refresh.outputs.get("snapshot")),
    }
    if summary.train:
        figures = summary.train.metrics
        rows["training steps"] = f"{figures['steps']:.0f}"
        rows["validation loss"] = (
            f"{figures['validation_loss_first']:.4f} → {figures['validation_loss_last']:.4f}"
        )
    if summary.evaluate:
        for method, values in by_method(summary.evaluate.metrics).items():
            shown = " · ".join(
                f"{values[f'psnr_{area}']:.2f} {area}" for area in ("all", "seen", "unseen")
            )
            rows[f"PSNR, {METHODS.get(method, method)}"] = f"{shown} dB"
    if summary.train and summary.verdict:
        rows["model"] = f"{summary.train.outputs['model_uri']}, {summary.verdict.decision}"
        rows["why"] = "; ".join(summary.verdict.reasons)
    return rows


def by_method(metrics: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """`{"model.psnr_all": 9.0}` → `{"model": {"psnr_all": 9.0}}`; the model first."""
    groups: dict[str, dict[str, float]] = {}
    for name, value in metrics.items():
        method, separator, metric = name.partition(".")
        if separator:
            groups.setdefault(method, {})[metric] = value
    order = list(METHODS)
    return {
        method: groups[method]
        for method in sorted(
            groups, key=lambda name: order.index(name) if name in order else len(order)
        )
    }


def _cards(dataset: Dataset) -> list[VideoCard]:
    """What was decided about every video of the dataset."""
    columns = [
        "source_id",
        "url",
        "decision",
        "reason",
        "detail",
        "thumbnail",
        "layout",
        "split",
        "clips",
    ]
    return [
        VideoCard(
            source_id=row["source_id"],
            url=row["url"],
            decision=row["decision"],
            reason=row["reason"] or "",
            detail=row["detail"] or "",
            thumbnail=first_picture(dataset.store.read(row["thumbnail"]))
            if row["thumbnail"]
            else None,
            layout=row["layout"] or "",
            split=row["split"] or "",
            clips=sum(clip["decision"] == "kept" for clip in row["clips"] or ()),
        )
        for row in dataset.read_latest(columns).to_pylist()
    ]


def _against_labels(
    cards: Sequence[VideoCard], labels: Mapping[str, Mapping[str, str]], media_url: str
) -> Table:
    """Decisions on the real videos beside their labels."""
    table = Table("real video", "label", "decided", "why", title="Real media", title_justify="left")
    decided = {card.url: card for card in cards}
    for name, label in labels.items():
        card = decided.get(f"{media_url}/{name}")
        wanted = ": ".join(part for part in (label.get("keep"), label.get("reason")) if part)
        table.add_row(
            name,
            wanted,
            card.decision if card else "not considered",
            f"{card.reason} {card.detail}".strip() if card else "",
        )
    return table


def _report(
    run: DemoRun,
    world: "DemoWorld",
    summary: "PipelineSummary",
    cards: Sequence[VideoCard],
    rows: Mapping[str, str],
) -> ReportData:
    train, evaluated = summary.train, summary.evaluate
    assert train is not None
    assert evaluated is not None
    database = mlflow_database_uri(run.home)  # the server has ended; its database and files stay
    mlflow_run = train.outputs["mlflow_run_id"]
    return ReportData(
        title="Argus demo",
        subtitle="url → video → clip → shard → batch → latents → loss → checkpoint → metrics → registered model → 360° video",
        summary={name: rows[name] for name in SHORT},  # the rest has its own place on the page
        model={
            "uri": str(train.outputs["model_uri"]),
            "gate": str(summary.verdict.decision if summary.verdict else ""),
        },
        metrics={
            METHODS.get(method, method): values
            for method, values in by_method(evaluated.metrics).items()
        },
        results=(
            Picture(
                _generated(run, world),
                "An ordinary video, the 360° video that the champion made of it, and its seam in the middle",
            ),
            Picture(
                Path(evaluated.outputs["picture"]), "Held-out videos: input, every method, truth"
            ),
        ),
        samples=tuple(
            Picture(picture.png, f"step {picture.step}: input, generated, truth")
            for picture in pictures(mlflow_run, tracking_uri=database)
        ),
        train_loss=curve(mlflow_run, "loss", tracking_uri=database),
        validation_loss=curve(mlflow_run, "validation_loss", tracking_uri=database),
        videos=tuple(cards),
        provenance=_provenance(run, summary),
    )


def _provenance(run: DemoRun, summary: "PipelineSummary") -> dict[str, str]:
    outputs: dict[str, Any] = {
        "run": run.run_id,
        **summary.refresh.outputs,
        **(summary.train.outputs if summary.train else {}),
    }
    outputs["gate"] = "; ".join(summary.verdict.reasons) if summary.verdict else None
    return {name: str(value) for name, value in outputs.items() if value is not None}


def _generated(run: DemoRun, world: "DemoWorld") -> bytes:
    """A middle frame of the input, of the generated video, and of the generated video turned by 180°, so that its seam is in the middle."""
    from argus.media import open_video
    from argus.report import encode_png, seam_view, strip

    with open_video(world.input) as video, open_video(run.output) as generated:
        ordinary = video.frames([len(video) // 2])[0]
        panorama = generated.frames([len(generated) // 2])[0]
    return encode_png(
        strip({"input": ordinary, "generated": panorama, "its seam": seam_view(panorama)})
    )
