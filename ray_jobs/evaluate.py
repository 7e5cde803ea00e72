"""Evaluate a model on held-out clips with Ray tasks: `python -m ray_jobs.evaluate --config FILE`.

The model is compared on the same test with a fill baseline, the untrained model that was registered
with it, and the champion. Metrics are computed from sums that add up, so that they do not depend on
the number of tasks.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from argus.dataset import (
    Dataset,
    Snapshot,
    SnapshotRow,
    load_window,
    require_rows,
    select_usable_rows,
)
from argus.errors import InvalidInput
from argus.evaluate import ClipEvaluation, ErrorSums, evaluate_clip
from argus.files import replace_atomically
from argus.registry import (
    UNTRAINED,
    LocatedModel,
    Measurement,
    ModelVersion,
    TrackedData,
    close_run,
    find_champion,
    locate_model,
    log_file,
    open_run,
    record_measurement,
)
from argus.report import encode_png, make_contact_sheet
from argus.runs import RunFolder
from ray_jobs.entry import run_entry_point, start_ray, submission_tags
from schemas.config import EvaluateConfig, SampleOverrides
from schemas.names import JobKind, Outcome
from schemas.records import JobResult

MODEL, BASELINE, CHAMPION = "model", "untrained", "champion"
_PICTURE_ROWS = 6
_POLL_S = 0.5  # interval of checking the stop marker
_MAX_RETRIES = 2  # of a task whose worker process died


@dataclass(frozen=True)
class EvaluationPlan:
    """Inputs that all tasks share, as paths and numbers."""

    dataset: str  # its folder or URI
    pipelines: Mapping[str, Path]  # by method
    frames: int
    height: int
    view_height: int
    sample: SampleOverrides
    seed: int

    def test_digest(self, rows: Sequence[SnapshotRow]) -> str:
        """Return 12 hexadecimal digits of the clips and of all settings except the weights."""
        settings = [
            self.frames,
            self.height,
            self.view_height,
            self.seed,
            self.sample.model_dump(mode="json"),
        ]
        text = json.dumps([settings, [[row.clip_id, row.checksum] for row in rows]])
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def run(config: EvaluateConfig, folder: RunFolder) -> JobResult:
    """Evaluate a model and record the metrics with its version.

    Args:
        config: Model, dataset and sampling settings.
        folder: The run folder.

    Raises:
        InvalidInput: The model does not exist, or there is no clip to evaluate on.
        ServiceError: Ray or MLflow does not answer.
    """
    folder.phase("locating the model")
    located = locate_model(config.model, config.tracking.uri)
    dataset = Dataset(config.dataset)
    snapshot = dataset.get_snapshot(config.snapshot)
    champion = _locate_champion(located)
    plan = _make_plan(config, dataset, located, champion)
    rows = select_rows(snapshot, config, plan.frames)
    folder.phase("starting Ray")
    start_ray()
    sums, panels = _evaluate_rows(plan, rows, folder)
    outputs = {
        "model_uri": located.version.uri if located.version else str(located.pipeline),
        "snapshot": snapshot.version,
        "digest": snapshot.digest,
    }
    if folder.is_stop_requested:
        reason = "stopped; the same run_id starts again"
        return folder.finish(Outcome.CANCELLED, reason, outputs)
    picture = _write_picture(folder.path / "evaluation.png", panels)
    metrics = {
        f"{method}.{name}": value
        for method, of_method in sums.items()
        for name, value in of_method.metrics().items()
    }
    outputs |= {"test": plan.test_digest(rows), "picture": str(picture)}
    if located.version:
        folder.phase("recording the metrics")
        data = TrackedData.of(dataset, snapshot)
        outputs["mlflow_run_id"] = _record_metrics(
            config, folder, located.version, champion, metrics=metrics, outputs=outputs, data=data
        )
        folder.progress(len(rows), len(rows), "clip", "done")
    metrics["clips"] = float(len(rows))
    return folder.finish(Outcome.DONE, outputs=outputs, metrics=metrics)


def select_rows(snapshot: Snapshot, config: EvaluateConfig, frames: int) -> list[SnapshotRow]:
    """Return at most `max_clips` clips of the split, evenly spaced in the snapshot's order.

    Args:
        snapshot: The snapshot; its order groups clips by source video.
        config: The split and the maximum number of clips.
        frames: Number of frames that a clip must have.

    Raises:
        InvalidInput: The split contains no clip that is long enough.
    """
    usable = select_usable_rows(snapshot, config.split, frames=frames)
    rows = require_rows(usable, snapshot, config.split)
    count = min(config.max_clips, len(rows))
    return [rows[number * len(rows) // count] for number in range(count)]


def run_tasks(
    plan: EvaluationPlan, rows: Sequence[SnapshotRow], folder: RunFolder
) -> Iterator[ClipEvaluation]:
    """Evaluate clips with Ray tasks, and yield in the order of `rows`.

    Ends early when a stop is requested.
    """
    import ray

    resources = ray.cluster_resources()
    gpus = int(resources.get("GPU", 0))
    task = ray.remote(num_cpus=1, num_gpus=1 if gpus else 0, max_retries=_MAX_RETRIES)(evaluate_row)
    limit = gpus or max(1, int(resources.get("CPU", 1)))
    waiting = list(rows)
    running: list[Any] = []
    while (waiting or running) and not folder.is_stop_requested:
        while waiting and len(running) < limit:
            running.append(task.remote(plan, waiting.pop(0)))
        if ray.wait(running[:1], timeout=_POLL_S)[0]:
            yield ray.get(running.pop(0))
    for reference in running:
        ray.cancel(reference, force=True)


def evaluate_row(plan: EvaluationPlan, row: SnapshotRow) -> ClipEvaluation:
    """Evaluate all methods on one window of one clip (the Ray task)."""
    window = load_window(
        Dataset(plan.dataset), row, frames=plan.frames, height=plan.height, key=(plan.seed,)
    )
    return evaluate_clip(
        window,
        {name: _load_pipeline(path) for name, path in plan.pipelines.items()},
        plan.sample,
        plan.seed,
    )


def _evaluate_rows(
    plan: EvaluationPlan, rows: Sequence[SnapshotRow], folder: RunFolder
) -> tuple[dict[str, ErrorSums], list[Mapping[str, Any]]]:
    """Return the error sums by method, and the panels of the first clips."""
    sums: dict[str, ErrorSums] = {}
    panels: list[Mapping[str, Any]] = []
    folder.progress(0, len(rows), "clip", "loading the model")
    for done, evaluation in enumerate(run_tasks(plan, rows, folder), start=1):
        for method, of_clip in evaluation.sums.items():
            sums[method] = sums.get(method, ErrorSums()) + of_clip
        if len(panels) < _PICTURE_ROWS:
            panels.append(evaluation.panels)
        psnr = sums[MODEL].metrics()["psnr_all"]
        folder.progress(done, len(rows), "clip", f"PSNR of the model: {psnr:.2f} dB")
    return sums, panels


@lru_cache(maxsize=4)
def _load_pipeline(folder: Path) -> Any:
    """Load a pipeline once per worker process."""
    import torch

    from argus.diffusion import ArgusPipeline

    return ArgusPipeline.from_pretrained(
        folder, device="cuda" if torch.cuda.is_available() else "cpu"
    )


def _locate_champion(located: LocatedModel) -> LocatedModel | None:
    """Return the champion, unless it is the model to evaluate."""
    if located.version is None:
        return None
    version = find_champion(located.version.name, tracking_uri=located.version.tracking_uri)
    if version is None or version.version == located.version.version:
        return None
    return locate_model(version.uri, version.tracking_uri)


def _make_plan(
    config: EvaluateConfig,
    dataset: Dataset,
    located: LocatedModel,
    champion: LocatedModel | None,
) -> EvaluationPlan:
    if config.untrained and located.untrained is None:
        raise InvalidInput(
            f"{config.model} was stored without its untrained model; "
            "set untrained=false to evaluate without it"
        )
    shape = _read_shape(located.pipeline)
    pipelines = {MODEL: located.pipeline}
    if config.untrained and located.untrained:
        pipelines[BASELINE] = located.untrained
    if champion and _read_shape(champion.pipeline) == shape:  # else its test would differ
        pipelines[CHAMPION] = champion.pipeline
    frames, height, view_height = shape
    return EvaluationPlan(
        dataset.store.uri, pipelines, frames, height, view_height, config.sample, config.seed
    )


def _read_shape(folder: Path) -> tuple[int, int, int]:
    """Return (frames, height, view height) of a pipeline."""
    from argus.diffusion import read_settings

    settings = read_settings(folder) or _load_pipeline(folder).settings
    return settings.frames, settings.height, settings.view_height


def _record_metrics(
    config: EvaluateConfig,
    folder: RunFolder,
    version: ModelVersion,
    champion: LocatedModel | None,
    *,
    metrics: Mapping[str, float],
    outputs: Mapping[str, Any],
    data: TrackedData,
) -> str:
    """Record the metrics of the model and of the champion; return the id of a new MLflow run."""
    test, dataset = outputs["test"], (data.name, data.mlflow_digest)
    run = open_run(
        folder.path,
        config,
        experiment=config.tracking.experiment,
        name=folder.run_id,
        tracking_uri=version.tracking_uri,
        data=data,
        tags={
            "run_id": folder.run_id,
            "model_uri": version.uri,
            "test": test,
            **submission_tags(),
        },
    )
    champion_metrics = {
        name.removeprefix(f"{CHAMPION}."): value
        for name, value in metrics.items()
        if name.startswith(f"{CHAMPION}.")
    }
    model_metrics = {
        name.removeprefix(f"{MODEL}."): value
        for name, value in metrics.items()
        if not name.startswith(f"{CHAMPION}.")
    }
    # The model last, so that the MLflow run shows its metrics rather than the champion's.
    if champion and champion.version and champion_metrics:
        measurement = Measurement(champion_metrics, test)
        record_measurement(champion.version, measurement, mlflow_run_id=run.run_id, dataset=dataset)
    record_measurement(
        version, Measurement(model_metrics, test), mlflow_run_id=run.run_id, dataset=dataset
    )
    log_file(run, Path(outputs["picture"]))
    close_run(run)
    return run.run_id


def _write_picture(path: Path, panels: Sequence[Mapping[str, Any]]) -> Path:
    """Write the middle frames of the first clips, one row each: input, every method, truth."""
    names = list(panels[0])
    sheet = make_contact_sheet(
        [row[name] for row in panels for name in names], names * len(panels), columns=len(names)
    )
    with replace_atomically(path) as temporary:
        temporary.write_bytes(encode_png(sheet))
    return path


assert f"{BASELINE}." == UNTRAINED, "the promotion decision reads the metrics written here"

if __name__ == "__main__":
    # Imported by name, so that workers import this module instead of unpickling __main__.
    from ray_jobs.evaluate import run as importable_run

    run_entry_point(JobKind.EVALUATE, EvaluateConfig, importable_run)
