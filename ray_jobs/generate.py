"""Generate a 360° video from an ordinary one: `python -m ray_jobs.generate --config FILE`.

The job runs in this process and does not start Ray.
"""

from argus.errors import ArgusError
from argus.registry import locate_model
from argus.runs import RunFolder
from ray_jobs.entry import run_entry_point
from schemas.config import GenerateConfig
from schemas.names import JobKind, Outcome
from schemas.records import JobResult


class _Stopped(ArgusError):
    """A stop was requested."""

    outcome = Outcome.CANCELLED


def run(config: GenerateConfig, folder: RunFolder) -> JobResult:
    """Generate on the GPU that the job sees, or else on the CPU.

    Args:
        config: Input, output, model and sampling settings.
        folder: The run folder.

    Raises:
        InvalidInput: The model or the video cannot be used.
        ServiceError: MLflow does not answer.
    """
    folder.phase("locating the model")
    located = locate_model(config.model, config.tracking.uri)
    folder.phase("loading the model")

    import torch

    from argus.diffusion import ArgusPipeline
    from argus.infer import generate_video

    pipeline = ArgusPipeline.from_pretrained(
        located.pipeline, device="cuda" if torch.cuda.is_available() else "cpu"
    )

    def on_progress(step: int, total: int, unit: str, message: str) -> None:
        folder.progress(step, total, unit, message)
        if folder.is_stop_requested:
            raise _Stopped(f"stopped at {unit} {step} of {total}; nothing was written")

    video = generate_video(
        pipeline,
        config.input,
        config.output,
        fov_deg=config.fov_deg,
        poses=config.poses,
        max_seconds=config.max_seconds,
        settings=config.sample.over(pipeline.settings.sample),
        seed=config.seed,
        progress=on_progress,
    )
    outputs = {
        "output": str(video.path.absolute()),
        "model_uri": located.version.uri if located.version else str(located.pipeline),
        "notes": list(video.notes),
    }
    metrics = {
        "frames": float(video.frames),
        "height": float(video.height),
        "width": float(video.width),
        "seconds": float(video.seconds),
        "windows": float(video.windows),
    }
    return folder.finish(Outcome.DONE, outputs=outputs, metrics=metrics)


if __name__ == "__main__":
    run_entry_point(JobKind.GENERATE, GenerateConfig, run)
