"""Base classes of the configurations: frozen pydantic models that reject unknown fields."""

from pathlib import PurePath
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from schemas.credentials import has_credential

Fraction01 = Annotated[float, Field(ge=0, le=1)]
"""A number in [0, 1]."""


class Settings(BaseModel):
    """Frozen group of settings. Credentials are refused, because configurations are stored."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @field_validator("*")
    @classmethod
    def _refuse_credentials(cls, value: Any) -> Any:
        if has_credential(value):
            raise ValueError(
                "a configuration is stored and must hold no credential; set it in the environment, "
                "such as MLFLOW_TRACKING_URI, MLFLOW_TRACKING_PASSWORD or AWS_SECRET_ACCESS_KEY"
            )
        return value


class JobConfig(Settings):
    """Settings that all jobs have."""

    run_id: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$",
        description=(
            "Name of the run; a job with the same name resumes it. "
            "Default: UTC time and configuration digest"
        ),
    )
    home: str = Field(".argus", description="Folder ARGUS_HOME, which holds the run folders")


class DatasetConfig(JobConfig):
    """Settings that all jobs on a dataset have."""

    dataset: str = Field(
        "", min_length=1, description="Folder of the dataset; default: `dataset` in ARGUS_HOME"
    )

    @model_validator(mode="before")
    @classmethod
    def _set_default_dataset(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("dataset") is None:
            return {**values, "dataset": str(PurePath(values.get("home", ".argus")) / "dataset")}
        return values
