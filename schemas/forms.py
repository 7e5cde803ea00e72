"""Forms of the Prefect flows: flat and bounded, with at most twenty fields plus `overrides`.

`flows.forms` turns each form into a job's configuration. An empty field takes the preset's value,
or else the configuration's default. `overrides` sets any other setting.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.names import HeightWeight, Split

Text = Annotated[str, Field(min_length=1, max_length=1000)]
RunId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")]


def _flatten_schema(schema: dict[str, Any]) -> None:
    """Number the fields in the JSON schema, and give each a single plain type.

    Prefect renders a union with null as a choice of types, and a constant not at all.
    """
    for position, field in enumerate(schema["properties"].values()):
        field["position"] = position
        if "anyOf" in field:
            del field["default"]
            field |= next(option for option in field.pop("anyOf") if option.get("type") != "null")
        if "const" in field:
            field["enum"] = [field.pop("const")]


class Form(BaseModel):
    """Base class of all forms."""

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra=_flatten_schema)


OVERRIDES: Any = Field(
    default=[],
    max_length=100,
    description="Other settings as name=value, such as fetch.timeout_s=600",
)
RUN_ID: Any = Field(
    default=None,
    description="Name of the run. An existing name resumes that run. Empty: this flow run's id",
)
DATASET: Any = Field(default=None, description="Dataset folder. Empty: ARGUS_HOME/dataset")
SNAPSHOT: Any = Field(
    default=None, ge=1, description="Snapshot version of the dataset. Empty: the latest"
)
SEED: Any = Field(default=None, ge=0, lt=2**31)


class RefreshForm(Form):
    """Process the new videos of a catalogue and add their clips to the dataset."""

    catalogue: Text = Field(
        description="parquet, CSV, TSV or JSONL with a url or id column, or a URL per line"
    )
    dataset: Text | None = DATASET
    preset: Literal["demo"] | None = Field(
        None, description="Named group of settings. Empty: the defaults"
    )
    height: int | None = Field(
        None,
        ge=32,
        le=2048,
        multiple_of=16,
        description="Height of stored clips in pixels; the width is twice the height (512)",
    )
    fps: float | None = Field(None, gt=0, le=60, description="Frame rate of stored clips (5)")
    clip_s: float | None = Field(None, gt=0, le=60, description="Clip length in seconds (10)")
    chunk_size: int | None = Field(
        None, ge=1, le=4096, description="Number of videos per commit (32)"
    )
    max_concurrent_videos: int | None = Field(
        None,
        ge=0,
        le=4096,
        description="Videos processed at the same time. 0: one per CPU of the cluster (0)",
    )
    allow_private_hosts: bool = Field(
        False, description="Allow URLs with loopback or private addresses"
    )
    retry: list[Text] = Field(
        default=[],
        max_length=100,
        description="Reasons of failed or dropped videos to try again, such as not_found, or all",
    )
    run_id: RunId | None = RUN_ID
    overrides: list[str] = OVERRIDES


class TrainForm(Form):
    """Train a model on a snapshot and register it as a candidate."""

    preset: Literal["demo", "tiny", "stage1", "stage2"] = Field(
        "tiny",
        description="tiny: a small model for a small machine. stage1, stage2: the full-size model",
    )
    dataset: Text | None = DATASET
    snapshot: int | None = SNAPSHOT
    steps: int | None = Field(None, ge=1, le=10_000_000, description="Number of optimizer steps")
    batch: int | None = Field(
        None, ge=1, le=4096, description="Global batch size, a multiple of workers"
    )
    workers: int | None = Field(None, ge=1, le=1024, description="Number of training processes")
    gpus_per_worker: int | None = Field(
        None, ge=0, le=1, description="GPUs per worker. 0: train on the CPU"
    )
    lr: float | None = Field(None, gt=0, le=1, description="Learning rate")
    warmup: int | None = Field(None, ge=0, le=1_000_000, description="Number of warmup steps")
    ema: float | None = Field(None, ge=0, lt=1, description="EMA decay. 0 disables EMA")
    height_weight: HeightWeight | None = Field(None, description="Loss weight by latitude")
    min_quality: float | None = Field(
        None, ge=0, le=1, description="Minimum quality of training clips"
    )
    high_quality: bool | None = Field(
        None, description="Train only on clips marked as high quality by the curation"
    )
    validate_every: int | None = Field(
        None, ge=1, le=1_000_000, description="Steps between validations"
    )
    checkpoint_every: int | None = Field(
        None, ge=1, le=1_000_000, description="Steps between checkpoints"
    )
    sample_every: int | None = Field(
        None, ge=1, le=1_000_000, description="Steps between sample images"
    )
    register_model: bool = Field(True, description="Register the trained model as a candidate")
    seed: int | None = SEED
    run_id: RunId | None = RUN_ID
    overrides: list[str] = OVERRIDES


class EvaluateForm(Form):
    """Evaluate a model on held-out videos and compare it with baselines."""

    model: Text = Field(
        "models:/argus@candidate",
        description="models:/NAME@ALIAS, models:/NAME/VERSION, or a pipeline folder",
    )
    dataset: Text | None = DATASET
    snapshot: int | None = SNAPSHOT
    preset: Literal["demo"] | None = Field(
        None, description="Named group of settings. Empty: the defaults"
    )
    split: Split | None = Field(None, description="Held-out split to evaluate on (test)")
    max_clips: int | None = Field(
        None, ge=1, le=1_000_000, description="Maximum number of clips (64)"
    )
    sample_steps: int | None = Field(
        None, ge=1, le=1000, description="Number of sampling steps. Empty: the model's own setting"
    )
    untrained: bool = Field(
        True, description="Also evaluate the untrained model. The first promotion needs its metrics"
    )
    seed: int | None = SEED
    run_id: RunId | None = RUN_ID
    overrides: list[str] = OVERRIDES


class PromoteForm(Form):
    """Promote a candidate model to champion if its metrics are better."""

    model_name: Text = Field("argus", description="Name of the registered model")
    version: int | None = Field(None, ge=1, description="Model version. Empty: the candidate")
    metric: Text | None = Field(
        None,
        description="Metric to compare with the champion's; higher is better (ws_psnr_all)",
    )
    min_gain: float | None = Field(
        None, ge=0, le=1000, description="Required improvement, in the metric's unit (0)"
    )
    overrides: list[str] = OVERRIDES


class GenerateForm(Form):
    """Generate a full 360° video from an ordinary video."""

    input: Text = Field(description="Path of the ordinary video")
    output: Text = Field(description="Path of the 360° video to write (.mp4)")
    model: Text = Field(
        "models:/argus@champion",
        description="models:/NAME@ALIAS, models:/NAME/VERSION, or a pipeline folder",
    )
    fov_deg: float | None = Field(
        None,
        gt=5,
        lt=179,
        description="Horizontal field of view in degrees; ignored if poses are given (75)",
    )
    poses: Text | None = Field(
        None, description="Camera trajectory: npz, json, a COLMAP folder, or motion/NAME.txt"
    )
    max_seconds: float | None = Field(
        None,
        gt=0,
        le=86_400,
        description="Maximum length of video to use, in seconds. Empty: all of it",
    )
    sample_steps: int | None = Field(
        None, ge=1, le=1000, description="Number of sampling steps. Empty: the model's own setting"
    )
    guidance: float | None = Field(
        None,
        ge=0,
        le=100,
        description="Guidance scale of the last frame. Empty: the model's own setting",
    )
    seed: int | None = SEED
    run_id: RunId | None = RUN_ID
    overrides: list[str] = OVERRIDES


class PipelineForm(Form):
    """Run refresh, train, evaluate and promote in sequence."""

    catalogue: Text = Field(
        description="parquet, CSV, TSV or JSONL with a url or id column, or a URL per line"
    )
    dataset: Text | None = DATASET
    preset: Literal["demo", "tiny", "stage1", "stage2"] = Field(
        "tiny", description="Preset of the training; demo applies to every stage"
    )
    steps: int | None = Field(None, ge=1, le=10_000_000, description="Number of optimizer steps")
    workers: int | None = Field(None, ge=1, le=1024, description="Number of training processes")
    model_name: Text = Field("argus", description="Name of the registered model")
    max_clips: int | None = Field(
        None, ge=1, le=1_000_000, description="Maximum number of clips to evaluate (64)"
    )
    train_anyway: bool = Field(False, description="Train even if the refresh finds nothing new")
    allow_private_hosts: bool = Field(
        False, description="Allow URLs with loopback or private addresses"
    )
    run_id: RunId | None = RUN_ID
    overrides: list[str] = Field(
        default=[],
        max_length=100,
        description="Other settings as stage.name=value, such as train.optim.lr=1e-4",
    )
