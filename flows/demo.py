"""`argus demo`: the pipeline run once on a synthetic dataset, with real servers on loopback.

Modules that need pictures or videos are imported inside functions, so that flows start fast.
"""

import csv
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Protocol

from rich.console import Console

from argus.dataset import Dataset
from argus.errors import InvalidInput
from argus.files import write_text
from argus.registry import find_champion
from argus.report import write_report
from argus.runs import RunFolder
from flows.demo_report import list_cards, make_report, summarize, tabulate, tabulate_labels
from flows.local import LocalStack, mlflow_database_uri
from schemas.credentials import to_public_uri
from schemas.forms import GenerateForm, PipelineForm
from schemas.names import JobKind

if TYPE_CHECKING:
    from argus.synth import DemoWorld
    from flows.pipeline import PipelineSummary

_STAGES = (JobKind.CURATE, JobKind.TRAIN, JobKind.EVALUATE, JobKind.GENERATE)
_VIDEO_SUFFIXES = (".mp4", ".mkv", ".mov", ".ts", ".webm")
_CHAMPION_URI = "models:/argus@champion"
_MISSING_VIDEO = "never-there.mp4"  # a URL of the catalogue that does not exist
_POLL_S = 0.5

Labels = Mapping[str, Mapping[str, str]]
"""Rows of labels.csv (path, keep, reason) by the video's path."""


class ProgressView(Protocol):
    """A display of one job's progress."""

    def update(self, step: int, total: int, unit: str, message: str) -> None:
        """Show progress (a `ProgressHook`)."""


OpenProgress = Callable[[str], AbstractContextManager[ProgressView]]
"""Opens the display of a job with a title."""


@dataclass(frozen=True)
class DemoRun:
    """The folders and files of one demo run."""

    home: Path
    run_id: str

    def folder(self, kind: JobKind) -> RunFolder:
        """Return the run folder of a stage."""
        return RunFolder(self.home, kind, self.run_id)

    @property
    def output(self) -> Path:
        """The generated 360° video."""
        return self.folder(JobKind.GENERATE).path / "generated.mp4"

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.home / "report.html"


def run_demo(
    home: Path,
    *,
    media: Path | None = None,
    steps: int | None = None,
    console: Console | None = None,
    open_progress: OpenProgress | None = None,
) -> DemoRun:
    """Run the demo, and print a table of its results.

    A second run with the same home finds no new videos, trains again, and compares the new model
    with the champion.

    Args:
        home: The folder to write to.
        media: A folder of real videos to add, with or without a labels.csv.
        steps: Training steps (default: those of the demo preset).
        console: Where to print (default: standard output).
        open_progress: Opens the progress display of a job (default: none).

    Returns:
        The folders and files that were written.

    Raises:
        InvalidInput: The media folder contains no video.
        ArgusError: A stage failed.
    """
    from argus.synth import serve_folder, write_demo

    console = console or Console()
    labels = read_labels(media) if media else {}
    run = DemoRun(home, f"demo-{datetime.now(UTC):%Y%m%dT%H%M%S}")
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")
    console.print("Starting Prefect, Ray and MLflow on loopback, and rendering synthetic videos …")
    with ThreadPoolExecutor(1) as pool:
        pending_world = pool.submit(write_demo, home / "world")
        with LocalStack(home) as servers:
            world = pending_world.result()
            addresses = (
                f"Prefect {to_public_uri(servers.prefect_url)} · "
                f"Ray {to_public_uri(servers.ray_url)} · "
                f"MLflow {to_public_uri(servers.mlflow_uri)}"
            )
            console.print(addresses, highlight=False)
            with (
                serve_folder(world.folder, port=_read_site_port(home)) as site,
                _serve_media(media) as media_url,
                _show_progress(run, open_progress),
            ):
                write_text(home / "site-port", site.url.rsplit(":", 1)[1])
                catalogue = home / "catalogue.csv"
                _write_catalogue(catalogue, world, site.url, labels, media_url)
                summary = _run_flows(run, catalogue, world.input, steps)
    _report_results(run, console, world, summary, {media_url: labels} if labels else {})
    return run


def read_labels(media: Path) -> dict[str, Mapping[str, str]]:
    """Return the videos of a folder with their rows of labels.csv.

    Args:
        media: The folder; its labels.csv (path, keep, reason) is optional.

    Returns:
        The row by the video's path relative to the folder; empty for a video without a label.

    Raises:
        InvalidInput: The folder contains no video.
    """
    names = sorted(
        path.relative_to(media).as_posix()
        for path in media.rglob("*")
        if path.suffix.lower() in _VIDEO_SUFFIXES
    )
    if not names:
        raise InvalidInput(
            f"{media} contains no video; "
            f"give a folder with files that end in {', '.join(_VIDEO_SUFFIXES)}"
        )
    labels: dict[str, Mapping[str, str]] = {}
    if (media / "labels.csv").exists():
        with (media / "labels.csv").open(newline="", encoding="utf-8") as file:
            labels = {row["path"]: row for row in csv.DictReader(file)}
    return {name: labels.get(name, {}) for name in names}


def _run_flows(run: DemoRun, catalogue: Path, video: Path, steps: int | None) -> "PipelineSummary":
    """Run the pipeline, and generate a video with the champion, or the candidate if there is none.

    The flows are imported only now, because Prefect reads the servers' addresses when imported.
    """
    from flows.models import generate
    from flows.pipeline import pipeline

    form = PipelineForm(
        catalogue=str(catalogue),
        preset="demo",
        steps=steps,
        allow_private_hosts=True,
        train_anyway=True,
        run_id=run.run_id,
    )
    summary = pipeline(form)
    assert summary.train is not None
    candidate = str(summary.train.outputs["model_uri"])
    model = _CHAMPION_URI if find_champion(form.model_name) else candidate
    generate(GenerateForm(input=str(video), output=str(run.output), model=model, run_id=run.run_id))
    return summary


@contextmanager
def _serve_media(media: Path | None) -> Iterator[str]:
    """Serve the real videos, and yield their URL; yield an empty string if there are none."""
    from argus.synth import serve_folder

    if media is None:
        yield ""
        return
    with serve_folder(media) as site:
        yield site.url


def _read_site_port(home: Path) -> int:
    """Return the port of the previous run, so that the videos keep their URLs and ids; 0 if new."""
    path = home / "site-port"
    return int(path.read_text()) if path.exists() else 0


def _write_catalogue(
    path: Path, world: "DemoWorld", site_url: str, labels: Labels, media_url: str
) -> None:
    """Write the synthetic videos, one that does not exist, and the real ones (for training)."""
    rows = [(f"{site_url}/{name}", split) for name, split in world.videos]
    rows.append((f"{site_url}/{_MISSING_VIDEO}", "train"))
    rows += [(f"{media_url}/{name}", "train") for name in labels]
    write_text(path, "url,split\n" + "".join(f"{url},{split}\n" for url, split in rows))


@contextmanager
def _show_progress(run: DemoRun, open_progress: OpenProgress | None) -> Iterator[None]:
    """Show the progress files of the stages, one after the other, within this context."""
    if open_progress is None:
        yield
        return
    ended = Event()
    watcher = Thread(target=_watch_stages, args=(run, open_progress, ended), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def _watch_stages(run: DemoRun, open_progress: OpenProgress, ended: Event) -> None:
    for kind in _STAGES:
        folder = run.folder(kind)
        while not folder.read_progress():
            if ended.wait(_POLL_S):
                return
        with open_progress(f"{kind} {run.run_id}") as view:
            has_ended = False
            while not has_ended:
                has_ended = folder.read_result() is not None or ended.wait(_POLL_S)
                if progress := folder.read_progress():
                    view.update(progress.step, progress.total, progress.unit, progress.message)


def _report_results(
    run: DemoRun,
    console: Console,
    world: "DemoWorld",
    summary: "PipelineSummary",
    labels_by_url: Mapping[str, Labels],
) -> None:
    """Write the report, and print the tables and the commands to continue with."""
    cards = list_cards(Dataset(run.home / "dataset"))
    rows = summarize(summary, cards)
    # The server has ended, but its database and files remain.
    database = mlflow_database_uri(run.home)
    write_report(run.report, make_report(summary, cards, rows, world.input, run.output, database))
    console.print(tabulate(rows))
    for media_url, labels in labels_by_url.items():
        console.print(tabulate_labels(cards, labels, media_url))
    for line in (
        f"360° video: {run.output}",
        f"Report:     {run.report}",
        "",
        f"export MLFLOW_TRACKING_URI={database}",
        "argus generate VIDEO.mp4 -o OUT.mp4",
    ):
        console.print(line, soft_wrap=True, highlight=False)
