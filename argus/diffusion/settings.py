"""`argus.json`: what a pipeline's folder says of itself beside its weights."""

from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from argus.diffusion.latents import BandStatistics
from schemas.config import SampleSettings


class PipelineKind(StrEnum):
    """Which latents and tokens a pipeline has."""

    TINY = "tiny"
    SVD = "svd"


class PipelineSettings(BaseModel):
    """A pipeline's own settings, stored with its weights; version 1."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    version: int = Field(1, ge=1, le=1)
    kind: PipelineKind
    height: int = Field(ge=32, le=2048, multiple_of=16)  # of the panorama; the width is twice that
    frames: int = Field(ge=2, le=100)  # T
    context_frames: int = Field(ge=0)  # S
    view_height: int = Field(ge=16, le=1024)  # of the views trained with
    circular: bool = True  # convolutions wrap along longitude
    residual: bool = False  # the denoiser predicts the difference to a smooth fill of the condition
    sigma_min: float = Field(0.002, gt=0)
    sigma_max: float = Field(700.0, gt=0)
    rho: float = Field(7.0, gt=0)
    sample: SampleSettings = (
        SampleSettings()
    )  # how this model is sampled where nothing else is said
    bands: BandStatistics | None = None  # of the tiny model's latents
    provenance: dict[str, str | int | float | bool | None] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fit(self) -> Self:
        if self.context_frames >= self.frames:
            raise ValueError(
                f"context_frames is {self.context_frames}, but must be less than frames ({self.frames})"
            )
        if self.sigma_min >= self.sigma_max:
            raise ValueError(
                f"sigma_min {self.sigma_min} must be less than sigma_max {self.sigma_max}"
            )
        if (self.kind == PipelineKind.TINY) != (self.bands is not None):
            raise ValueError("bands belong to kind tiny, and to it alone")
        if self.residual and self.kind != PipelineKind.TINY:
            raise ValueError("residual is for kind tiny alone")
        return self

    @property
    def erp_size(self) -> tuple[int, int]:
        """(H, W)."""
        return self.height, 2 * self.height
