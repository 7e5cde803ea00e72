"""What a person fills in to start a job: flat, bounded, at most twenty fields, in the order shown. `flows.forms` turns each into a configuration.

A field without a value takes the preset's, else the configuration's default; `overrides` reaches every other setting.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.names import HeightWeight, Split

Text = Annotated[str, Field(min_length=1, max_length=1000)]
RunId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")]


def _flat(schema: dict[str, Any]) -> None:
    """Numbers the fields, and shows each as one plain type: a union with null renders as a choice of types, a constant not at all."""
    for position, field in enumerate(schema["properties"].values()):
        field["position"] = position
        if "anyOf" in field:
            del field["default"]
            field |= next(option for option in field.pop("anyOf") if option.get("type") != "null")
        if "const" in field:
            field["enum"] = [field.pop("const")]


class Form(BaseModel):
    """What all forms have."""

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra=_flat)


OVERRIDES: Any = Field(
    default=[],
    max_length=100,
    description="Any other setting, one name=value each, such as fetch.timeout_s=600",
)
RUN_ID: Any = Field(
    default=None, description="Name of the run; the same name resumes it. Empty: this flow run's id"
)
DATASET: Any = Field(default=None, description="Folder of the dataset. Empty: ARGUS_HOME/dataset")
SNAPSHOT: Any = Field(default=None, ge=1, description="Version of the dataset. Empty: the latest")
SEED: Any = Field(default=None, ge=0, lt=2**31)


class RefreshForm(Form):
    """Find the new videos of a catalogue, judge them, commit their clips."""

    catalogue: Text = Field(
        description="File: parquet, CSV, TSV or JSONL with `url` or `id`, or one url a line"
    )
    dataset: Text | None = DATASET
    preset: Literal["demo"] | None = Field(
        None, description="A named group of settings. Empty: the defaults"
    )
    height: int | None = Field(
        None,
        ge=32,
        le=2048,
        multiple_of=16,
        description="Stored height in pixels; the width is twice that (512)",
    )
    fps: float | None = Field(None, gt=0, le=60, description="Frames per second that are kept (5)")
    clip_s: float | None = Field(None, gt=0, le=60, description="Length of a clip in seconds (10)")
    chunk_size: int | None = Field(None, ge=1, le=4096, description="Videos per commit (32)")
    max_concurrent_videos: int | None = Field(
        None,
        ge=0,
        le=4096,
        description="Videos worked on at once; 0 is one per CPU of the cluster (0)",
    )
    allow_private_hosts: bool = Field(
        False, description="Allow urls at loopback and private addresses"
    )
    run_id: RunId | None = RUN_ID
    overrides: list[str] = OVERRIDES


class TrainForm(Form):
    """Train a model on a snapshot, and register it as a candidate."""

    preset: Literal["demo", "tiny", "stage1", "stage2"] = Field(
        "tiny", description="tiny: a small machine; stage1, stage2: the full-size model"
    )
    dataset: Text | None = DATASET
    snapshot: int | None = SNAPSHOT
    steps: int | None = Field(None, ge=1, le=10_000_000, description="Optimiser steps")
    batch: int | None = Field(
        None, ge=1, le=4096, description="Global batch, a multiple of the workers"
    )
    workers: int | None = Field(None, ge=1, le=1024, description="Training processes")
    gpus_per_worker: int | None = Field(None, ge=0, le=1, description="0 trains on the CPU")
    lr: float | None = Field(None, gt=0, le=1, description="Learning rate")
    warmup: int | None = Field(
        None, ge=0, le=1_000_000, description="Steps until the full learning rate"
    )
    ema: float | None = Field(
        None, ge=0, lt=1, description="Decay of the weights' average; 0 keeps none"
    )
    height_weight: HeightWeight | None = Field(None, description="Loss weight by latitude")
    min_quality: float | None = Field(
        None, ge=0, le=1, description="Only clips of at least this quality"
    )
    high_quality: bool | None = Field(
        None, description="Only clips that the curation's policy calls high quality"
    )
    validate_every: int | None = Field(
        None, ge=1, le=1_000_000, description="Steps between validations"
    )
    checkpoint_every: int | None = Field(
        None, ge=1, le=1_000_000, description="Steps between checkpoints"
    )
    sample_every: int | None = Field(
        None, ge=1, le=1_000_000, description="Steps between sample pictures"
    )
    register_model: bool = Field(True, description="Register the trained model as a candidate")
    seed: int | None = SEED
    run_id: RunId | None = RUN_ID
    overrides: list[str] = OVERRIDES


class EvaluateForm(Form):
    """Measure a model on held-out videos, beside the untrained model and the strongest fill."""

    model: Text = Field(
        "models:/argus@candidate",
        description="models:/NAME@ALIAS, models:/NAME/VERSION, or a pipeline folder",
    )
    dataset: Text | None = DATASET
    snapshot: int | None = SNAPSHOT
    preset: Literal["demo"] | None = Field(
        None, description="A named group of settings. Empty: the defaults"
    )
    split: Split | None = Field(None, description="Which held-out part (test)")
    max_clips: int | None = Field(
        None, ge=1, le=1_000_000, description="At most so many clips (64)"
    )
    sample_steps: int | None = Field(
        None, ge=1, le=1000, description="Sampling steps. Empty: as the model was stored"
    )
    untrained: bool = Field(
        True, description="Measure the untrained model too; the first promotion needs it"
    )
    seed: int | None = SEED
    run_id: RunId | None = RUN_ID
    overrides: list[str] = OVERRIDES


class PromoteForm(Form):
    """Let the gate decide whether a candidate becomes champion."""

    model_name: Text = Field("argus", description="Registered model")
    version: int | None = Field(None, ge=1, description="Version to judge. Empty: the candidate")
    metric: Text | None = Field(
        None, description="What must be better than the champion's, higher is better (ws_psnr_all)"
    )
    min_gain: float | None = Field(
        None, ge=0, le=1000, description="By how much, in the metric's unit (0)"
    )
    overrides: list[str] = OVERRIDES


class GenerateForm(Form):
    """Turn an ordinary video into a full 360° video."""

    input: Text = Field(description="The ordinary video, a file")
    output: Text = Field(description="The 360° video to write, .mp4")
    model: Text = Field(
        "models:/argus@champion",
        description="models:/NAME@ALIAS, models:/NAME/VERSION, or a pipeline folder",
    )
    fov_deg: float | None = Field(
        None, gt=5, lt=179, description="Horizontal field of view, where no poses are given (75)"
    )
    poses: Text | None = Field(
        None, description="The camera's trajectory: npz, json, COLMAP's folder, or motion/NAME.txt"
    )
    max_seconds: float | None = Field(None, gt=0, le=86_400, description="Only the beginning")
    sample_steps: int | None = Field(
        None, ge=1, le=1000, description="Sampling steps. Empty: as the model was stored"
    )
    guidance: float | None = Field(
        None, ge=0, le=100, description="Classifier-free guidance. Empty: as the model was stored"
    )
    seed: int | None = SEED
    run_id: RunId | None = RUN_ID
    overrides: list[str] = OVERRIDES


class PipelineForm(Form):
    """Refresh, train, evaluate, promote: url to champion."""

    catalogue: Text = Field(
        description="File: parquet, CSV, TSV or JSONL with `url` or `id`, or one url a line"
    )
    dataset: Text | None = DATASET
    preset: Literal["demo", "tiny", "stage1", "stage2"] = Field(
        "tiny", description="Of the training; `demo` of every stage"
    )
    steps: int | None = Field(None, ge=1, le=10_000_000, description="Optimiser steps")
    workers: int | None = Field(None, ge=1, le=1024, description="Training processes")
    model_name: Text = Field("argus", description="Registered model")
    max_clips: int | None = Field(
        None, ge=1, le=1_000_000, description="Evaluate at most so many clips (64)"
    )
    train_anyway: bool = Field(
        False, description="Go on to train although the refresh found nothing new"
    )
    allow_private_hosts: bool = Field(
        False, description="Allow urls at loopback and private addresses"
    )
    run_id: RunId | None = RUN_ID
    overrides: list[str] = Field(
        default=[],
        max_length=100,
        description="Any other setting, one stage.name=value each, such as train.optim.lr=1e-4 or refresh.clip.height=256",
    )
