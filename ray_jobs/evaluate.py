"""Metrics of a model on held-out clips, spread over Ray tasks: `python -m ray_jobs.evaluate --config FILE`.

Beside the model stand the strongest fill, the untrained model that was registered with it, and the champion, so that the gate compares
figures of one test. Results are sums that add, so the number of tasks does not show in them.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from argus.dataset import Dataset, Snapshot, SnapshotRow, load_window, usable_rows
from argus.errors import InvalidInput
from argus.evaluate import ClipEvaluation, ErrorSums, evaluate_clip
from argus.files import replace_atomically
from argus.registry import models
from argus.registry.promotion import UNTRAINED, Measurement
from argus.registry.tracking import TrackedData, close_run, log_file, open_run
from argus.report import contact_sheet, encode_png
from argus.runs import RunFolder
from ray_jobs.entry import run_job, start_ray
from ray_jobs.tracked import job_tags, tracked_data
from schemas.config import EvaluateConfig, SampleOverrides
from schemas.names import JobKind, Outcome
from schemas.records import JobResult

MODEL, BASELINE, CHAMPION = "model", "untrained", "champion"
PICTURE_ROWS = 6
POLL_S = 0.5  # how soon a stop marker is seen
MAX_RETRIES = 2  # of a task whose worker process died


@dataclass(frozen=True)
class EvaluationPlan:
    """What every task needs, as paths and numbers."""

    dataset: str  # its folder or uri
    pipelines: Mapping[str, Path]  # by method
    frames: int
    height: int
    view_height: int
    sample: SampleOverrides
    seed: int

    def test_digest(self, rows: Sequence[SnapshotRow]) -> str:
        """Twelve hexadecimal digits of the clips and of everything that shapes a figure but the weights."""
        shape = [
            self.frames,
            self.height,
            self.view_height,
            self.seed,
            self.sample.model_dump(mode="json"),
        ]
        text = json.dumps([shape, [[row.clip_id, row.checksum] for row in rows]])
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def run(config: EvaluateConfig, folder: RunFolder) -> JobResult:
    """Measures, and records the figures on the model's version. Raises InvalidInput where there is no model or no clip to measure on."""
    located = models.locate(config.model, config.tracking.uri)
    dataset = Dataset(config.dataset)
    snapshot = dataset.snapshot(config.snapshot)
    champion = _champion(located)
    plan = _plan(config, dataset, located, champion)
    rows = chosen_rows(snapshot, config, plan.frames)
    sums: dict[str, ErrorSums] = {}
    panels: list[Mapping[str, Any]] = []
    folder.progress(0, len(rows), "clip", "starting")
    start_ray()
    for done, evaluation in enumerate(evaluations(plan, rows, folder), start=1):
        for method, of_clip in evaluation.sums.items():
            sums[method] = sums.get(method, ErrorSums()) + of_clip
        if len(panels) < PICTURE_ROWS:
            panels.append(evaluation.panels)
        folder.progress(
            done, len(rows), "clip", f"{MODEL} {sums[MODEL].metrics()['psnr_all']:.2f} dB"
        )
    outputs = {
        "model_uri": located.version.uri if located.version else str(located.pipeline),
        "snapshot": snapshot.version,
        "digest": snapshot.digest,
    }
    if folder.is_stop_requested:
        return folder.finish(Outcome.CANCELLED, "stopped; the same run_id begins again", outputs)
    picture = _write_picture(folder.path / "evaluation.png", panels)
    metrics = {
        f"{method}.{name}": value
        for method, of_method in sums.items()
        for name, value in of_method.metrics().items()
    }
    outputs |= {"test": plan.test_digest(rows), "picture": str(picture)}
    if located.version:
        outputs["mlflow_run_id"] = _record(
            config,
            folder,
            located.version,
            champion,
            metrics,
            outputs,
            tracked_data(dataset, snapshot),
        )
    return folder.finish(
        Outcome.DONE, outputs=outputs, metrics={**metrics, "clips": float(len(rows))}
    )


def chosen_rows(snapshot: Snapshot, config: EvaluateConfig, frames: int) -> list[SnapshotRow]:
    """At most `max_clips` clips of the split, evenly over the snapshot's order, and so over its sources."""
    usable = usable_rows(snapshot, config.split, frames=frames)
    if not usable.rows:
        raise InvalidInput(
            f"snapshot {snapshot.version} has no clip of {frames} frames in split '{config.split}' ({usable.skipped} are shorter); "
            "add videos, or name their split in the catalogue's split column"
        )
    count = min(config.max_clips, len(usable.rows))
    return [usable.rows[number * len(usable.rows) // count] for number in range(count)]


def evaluations(
    plan: EvaluationPlan, rows: Sequence[SnapshotRow], folder: RunFolder
) -> Iterator[ClipEvaluation]:
    """Evaluates clip after clip with Ray and yields in the order of `rows`, so that nothing depends on which was first; ends when stopped."""
    import ray

    resources = ray.cluster_resources()
    gpus = int(resources.get("GPU", 0))
    task = ray.remote(num_cpus=1, num_gpus=1 if gpus else 0, max_retries=MAX_RETRIES)(evaluate_row)
    limit = gpus or max(1, int(resources.get("CPU", 1)))
    waiting = list(rows)
    running: list[Any] = []
    while (waiting or running) and not folder.is_stop_requested:
        while waiting and len(running) < limit:
            running.append(task.remote(plan, waiting.pop(0)))
        if ray.wait(running[:1], timeout=POLL_S)[0]:
            yield ray.get(running.pop(0))
    for reference in running:
        ray.cancel(reference, force=True)


def evaluate_row(plan: EvaluationPlan, row: SnapshotRow) -> ClipEvaluation:
    """The task: one window of one clip."""
    window = load_window(
        Dataset(plan.dataset), row, frames=plan.frames, height=plan.height, key=(plan.seed,)
    )
    return evaluate_clip(
        window,
        {name: _pipeline(path) for name, path in plan.pipelines.items()},
        plan.sample,
        plan.seed,
    )


@lru_cache(maxsize=4)
def _pipeline(folder: Path) -> Any:
    """Read once by each worker process."""
    import torch

    from argus.diffusion import ArgusPipeline

    return ArgusPipeline.from_pretrained(
        folder, device="cuda" if torch.cuda.is_available() else "cpu"
    )


def _champion(located: models.LocatedModel) -> models.LocatedModel | None:
    """The model to beat, where it is another than the one to measure."""
    if located.version is None:
        return None
    version = models.champion(located.version.name, tracking_uri=located.version.tracking_uri)
    if version is None or version.version == located.version.version:
        return None
    return models.locate(version.uri, version.tracking_uri)


def _plan(
    config: EvaluateConfig,
    dataset: Dataset,
    located: models.LocatedModel,
    champion: models.LocatedModel | None,
) -> EvaluationPlan:
    if config.untrained and located.untrained is None:
        raise InvalidInput(
            f"{config.model} was kept without its untrained model; set untrained=false to measure without it"
        )
    size = _size(located.pipeline)
    pipelines = {MODEL: located.pipeline}
    if config.untrained and located.untrained:
        pipelines[BASELINE] = located.untrained
    if champion and _size(champion.pipeline) == size:  # of another size it would see another test
        pipelines[CHAMPION] = champion.pipeline
    frames, height, view_height = size
    return EvaluationPlan(
        dataset.store.uri, pipelines, frames, height, view_height, config.sample, config.seed
    )


def _size(folder: Path) -> tuple[int, int, int]:
    """(frames, height, view height)."""
    from argus.diffusion.serialization import read_settings

    own = read_settings(folder) or _pipeline(folder).settings
    return own.frames, own.height, own.view_height


def _record(
    config: EvaluateConfig,
    folder: RunFolder,
    version: models.ModelVersion,
    champion: models.LocatedModel | None,
    metrics: Mapping[str, float],
    outputs: Mapping[str, Any],
    data: TrackedData,
) -> str:
    """Puts the figures on the version (and the champion's on it), in an MLflow run of this evaluation; the run's id."""
    tags = {
        "run_id": folder.run_id,
        "model_uri": version.uri,
        "test": outputs["test"],
        **job_tags(),
    }
    run = open_run(
        folder.path,
        config,
        experiment=config.tracking.experiment,
        name=folder.run_id,
        tracking_uri=version.tracking_uri,
        data=data,
        tags=tags,
    )
    test, dataset = outputs["test"], (data.name, data.digest[:36])
    theirs = {
        name.removeprefix(f"{CHAMPION}."): value
        for name, value in metrics.items()
        if name.startswith(f"{CHAMPION}.")
    }
    if (
        champion and champion.version and theirs
    ):  # first, so that the run itself ends with the candidate's figures
        models.record_measurement(
            champion.version, Measurement(theirs, test), mlflow_run_id=run.run_id, dataset=dataset
        )
    ours = {
        name.removeprefix(f"{MODEL}."): value
        for name, value in metrics.items()
        if not name.startswith(f"{CHAMPION}.")
    }
    models.record_measurement(
        version, Measurement(ours, test), mlflow_run_id=run.run_id, dataset=dataset
    )
    log_file(run, Path(outputs["picture"]))
    close_run(run)
    return run.run_id


def _write_picture(path: Path, panels: Sequence[Mapping[str, Any]]) -> Path:
    """The middle frames of the first clips, a row each: input, every method, truth."""
    names = list(panels[0])
    sheet = contact_sheet(
        [row[name] for row in panels for name in names], names * len(panels), columns=len(names)
    )
    with replace_atomically(path) as beside:
        beside.write_bytes(encode_png(sheet))
    return path


assert f"{BASELINE}." == UNTRAINED, "the gate reads the figures that are written here"

if __name__ == "__main__":
    from ray_jobs.evaluate import (
        run as importable,  # so that the workers import this module instead of unpickling it
    )

    run_job(JobKind.EVALUATE, EvaluateConfig, importable)
