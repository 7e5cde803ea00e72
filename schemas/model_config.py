"""Configurations of the jobs on models: training, evaluation and generation."""

from typing import Self

from pydantic import Field, model_validator

from schemas.base import DatasetConfig, Fraction01, JobConfig, Settings
from schemas.names import HeightWeight, Split


class ModelSettings(Settings):
    """Model and sizes of a training run."""

    name: str = Field(
        "argus-tiny",
        description="argus-tiny, a folder in the format of Stable Video Diffusion, or its hub id "
        "if `argus weights fetch svd` brought it",
    )
    height: int = Field(
        64,
        ge=32,
        le=1024,
        multiple_of=16,
        description="Panorama height in pixels; the width is twice that",
    )
    frames: int = Field(5, ge=2, le=100, description="T, frames of a window")
    context_frames: int = Field(
        1,
        ge=0,
        description="S, frames of the previous window that a window of a long video repeats",
    )
    view_height: int = Field(
        64, ge=16, le=1024, description="Height of the perspective training views in pixels"
    )
    circular: bool = Field(True, description="Pad convolutions circularly along longitude")

    @model_validator(mode="after")
    def _check_context(self) -> Self:
        if self.context_frames >= self.frames:
            raise ValueError(
                f"context_frames is {self.context_frames}, "
                f"but must be less than frames ({self.frames})"
            )
        return self


class NoisePhase(Settings):
    """Mean of ln(sigma) from a training step on."""

    step: int = Field(ge=0, description="First training step of the phase")
    p_mean: float = Field(description="Mean of ln(sigma)")


class NoiseSettings(Settings):
    """Log-normal distribution of the noise level sigma in training (EDM)."""

    p_mean: tuple[NoisePhase, ...] = Field(
        (NoisePhase(step=0, p_mean=0.8),),
        description="Phases of the mean of ln(sigma), in ascending order from step 0",
    )
    p_std: float = Field(1.2, gt=0, description="Standard deviation of ln(sigma)")
    sigma_min: float = Field(1e-5, gt=0, description="Smallest sigma")

    @model_validator(mode="after")
    def _check_phases(self) -> Self:
        steps = [phase.step for phase in self.p_mean]
        if not steps or steps[0] != 0 or steps != sorted(set(steps)):
            raise ValueError(
                f"p_mean needs phases that start at step 0 and ascend; got steps {steps}"
            )
        return self


class ConditionSettings(Settings):
    """Distribution of the training conditions that are cut from a panorama."""

    dropout: Fraction01 = Field(
        0.2, description="Share of unconditional samples, for classifier-free guidance"
    )
    context: Fraction01 = Field(
        0.0, description="Share of samples whose first context_frames are fully visible"
    )
    unseen: Fraction01 = Field(0.0, description="Share of samples whose input is fully masked")
    noise_mean: float = Field(
        -3.0, description="Mean of ln(sigma_c), the noise on the visible pixels"
    )
    noise_std: float = Field(0.5, ge=0, description="Standard deviation of ln(sigma_c)")
    fov_min_deg: float = Field(
        30.0, ge=5, lt=179, description="Smallest horizontal and vertical field of view"
    )
    fov_max_deg: float = Field(
        120.0, gt=5, lt=179, description="Largest horizontal and vertical field of view"
    )
    roll: bool = Field(True, description="Roll the panorama by a random angle of longitude")
    motion: bool = Field(True, description="Simulate camera motion")


class OptimSettings(Settings):
    """AdamW and the exponential moving average (EMA) of the weights."""

    lr: float = Field(5e-4, gt=0, description="Learning rate after the warm-up")
    warmup: int = Field(50, ge=0, description="Steps of linear warm-up")
    beta1: float = Field(0.9, ge=0, lt=1)
    beta2: float = Field(0.999, ge=0, lt=1)
    weight_decay: float = Field(1e-2, ge=0)
    clip_norm: float = Field(1.0, gt=0, description="Maximum norm of the gradient")
    ema: float = Field(0.995, ge=0, lt=1, description="EMA decay; 0 disables EMA")


class SampleSettings(Settings):
    """Settings of the sampler."""

    steps: int = Field(25, ge=1, le=1000, description="Sampling steps")
    guidance_start: float = Field(
        3.0,
        ge=0,
        description="Guidance scale of the first frame; linear to `guidance` at the last frame",
    )
    guidance: float = Field(3.0, ge=0, description="Guidance scale of the last frame")
    rotate: bool = Field(
        True, description="Rotate the panorama by a quarter turn after each step but the last"
    )
    blend: bool = Field(True, description="Blended decoding (Argus, Eq. 4-5)")
    noise_aug: float = Field(
        0.02, ge=0, description="sigma_c, the noise on the visible pixels at inference"
    )


class SampleOverrides(Settings):
    """Changes to the sampler settings that are stored with a model."""

    steps: int | None = Field(None, ge=1, le=1000)
    guidance_start: float | None = Field(None, ge=0)
    guidance: float | None = Field(None, ge=0)
    rotate: bool | None = None
    blend: bool | None = None
    noise_aug: float | None = Field(None, ge=0)

    def over(self, own: SampleSettings) -> SampleSettings:
        """Return the model's own settings with these changes."""
        return own.model_copy(update=self.model_dump(exclude_none=True))


class TrackingSettings(Settings):
    """MLflow server, experiment and registered model."""

    uri: str | None = Field(
        None, description="MLflow tracking URI; default: the variable MLFLOW_TRACKING_URI"
    )
    experiment: str = "argus"
    model_name: str = Field(
        "argus",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._ -]*$",
        description="Name of the registered model",
    )


class TrainConfig(DatasetConfig):
    """Configuration of a training run."""

    snapshot: int | None = Field(
        None, ge=1, description="Snapshot version of the dataset; default: the latest"
    )
    model: ModelSettings = ModelSettings()
    noise: NoiseSettings = NoiseSettings()
    condition: ConditionSettings = ConditionSettings()
    optim: OptimSettings = OptimSettings()
    sample: SampleSettings = Field(
        SampleSettings(steps=12),
        description="Stored with the model; used by evaluation and generation",
    )
    tracking: TrackingSettings = TrackingSettings()
    height_weight: HeightWeight = Field(
        HeightWeight.PAPER, description="Weight of the loss by latitude"
    )
    min_quality: float | None = Field(
        None, description="Train only on clips of at least this quality"
    )
    high_quality: bool = Field(
        False, description="Train only on clips that curation marked as high quality"
    )
    steps: int = Field(1000, ge=1, description="Optimizer steps in all")
    batch: int = Field(4, ge=1, description="Global batch size, whatever the number of workers")
    workers: int = Field(2, ge=1, description="Training processes")
    gpus_per_worker: int = Field(0, ge=0, le=1, description="0 trains on the CPU")
    max_failures: int = Field(2, ge=0, description="Restarts after a lost worker")
    seed: int = Field(0, ge=0, description="Seed of weights, sample order, cameras and noise")
    validate_every: int = Field(100, ge=1, description="Steps between validations")
    validation_clips: int = Field(8, ge=1, description="Clips of the validation loss")
    checkpoint_every: int = Field(100, ge=1, description="Steps between checkpoints")
    sample_every: int = Field(500, ge=1, description="Steps between sampled images")
    register_model: bool = Field(True, description="Register the trained model as a candidate")

    @model_validator(mode="after")
    def _check_batch(self) -> Self:
        if self.batch % self.workers:
            raise ValueError(
                f"batch is {self.batch}, but must be a multiple of workers ({self.workers})"
            )
        return self


class EvaluateConfig(DatasetConfig):
    """Configuration of an evaluation on held-out clips.

    The model is compared with the untrained model and the strongest baseline without weights.
    """

    snapshot: int | None = Field(
        None, ge=1, description="Snapshot version of the dataset; default: the latest"
    )
    model: str = Field("models:/argus@candidate", description="A registry URI or a pipeline folder")
    split: Split = Field(Split.TEST, description="Split whose clips are used")
    max_clips: int = Field(64, ge=1, description="Maximum number of clips, evenly spaced")
    untrained: bool = Field(True, description="Evaluate the untrained model too")
    sample: SampleOverrides = SampleOverrides()
    tracking: TrackingSettings = TrackingSettings()
    seed: int = Field(0, ge=0, description="Seed of camera paths and sampler")


class GenerateConfig(JobConfig):
    """Configuration of the conversion of an ordinary video to a 360° video."""

    input: str = Field(description="Video file to read")
    output: str = Field(description="mp4 file to write")
    model: str = Field("models:/argus@champion", description="A registry URI or a pipeline folder")
    fov_deg: float = Field(
        75.0,
        gt=5,
        lt=179,
        description="Horizontal field of view in degrees, if no poses are given",
    )
    poses: str | None = Field(
        None, description="Trajectory: npz, json, a COLMAP folder, or motion/NAME.txt"
    )
    max_seconds: float | None = Field(
        None, gt=0, description="Use only the beginning of the video, in seconds"
    )
    seed: int = Field(0, ge=0, description="Seed of the sampler")
    sample: SampleOverrides = SampleOverrides()
    tracking: TrackingSettings = TrackingSettings()
