"""A 360° video of an ordinary one: `python -m ray_jobs.generate --config FILE`."""

from argus.errors import ArgusError
from argus.registry.models import locate
from argus.runs import RunFolder
from ray_jobs.entry import run_job
from schemas.config import GenerateConfig
from schemas.names import JobKind, Outcome
from schemas.records import JobResult


class _Stopped(ArgusError):
    outcome = Outcome.CANCELLED


def run(config: GenerateConfig, folder: RunFolder) -> JobResult:
    """Generates on the accelerator that the job sees, else on the CPU. Raises what `locate` and `generate_video` raise."""
    located = locate(config.model, config.tracking.uri)

    import torch

    from argus.diffusion import ArgusPipeline
    from argus.infer import generate_video

    pipeline = ArgusPipeline.from_pretrained(
        located.pipeline, device="cuda" if torch.cuda.is_available() else "cpu"
    )

    def progress(step: int, total: int, unit: str, message: str) -> None:
        folder.progress(step, total, unit, message)
        if folder.is_stop_requested:
            raise _Stopped(f"stopped at {unit} {step} of {total}; nothing was written")

    made = generate_video(
        pipeline,
        config.input,
        config.output,
        fov_deg=config.fov_deg,
        poses=config.poses,
        max_seconds=config.max_seconds,
        settings=config.sample.over(pipeline.settings.sample),
        seed=config.seed,
        progress=progress,
    )
    model = located.version.uri if located.version else str(located.pipeline)
    outputs = {"output": str(made.path.absolute()), "model_uri": model, "notes": list(made.notes)}
    metrics = {
        "frames": made.frames,
        "height": made.height,
        "width": made.width,
        "seconds": made.seconds,
        "windows": made.windows,
    }
    return folder.finish(
        Outcome.DONE,
        outputs=outputs,
        metrics={name: float(value) for name, value in metrics.items()},
    )


if __name__ == "__main__":
    run_job(JobKind.GENERATE, GenerateConfig, run)
