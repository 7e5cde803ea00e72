"""Settings of a pipeline, stored as `argus.json` beside its weights."""

from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from argus.diffusion.latents import BandStatistics
from schemas.config import SampleSettings


class PipelineKind(StrEnum):
    """Kind of latents and image encoder of a pipeline."""

    TINY = "tiny"
    SVD = "svd"


class PipelineSettings(BaseModel):
    """Settings that are stored with a model; format version 1. Unknown fields are an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    version: int = Field(1, ge=1, le=1)
    kind: PipelineKind
    height: int = Field(ge=32, le=2048, multiple_of=16)  # of the panorama; the width is twice that
    frames: int = Field(ge=2, le=100)  # T, frames of a window
    context_frames: int = Field(ge=0)  # S, context frames of each later window of a long video
    view_height: int = Field(ge=16, le=1024)  # of the training views
    circular: bool = True  # convolutions pad circularly along longitude
    residual: bool = False  # the denoiser predicts the residual to a fill of the condition
    sigma_min: float = Field(0.002, gt=0)
    sigma_max: float = Field(700.0, gt=0)
    rho: float = Field(7.0, gt=0)
    sample: SampleSettings = SampleSettings()  # default sampler settings of this model
    bands: BandStatistics | None = None  # normalization of the latents of kind tiny
    provenance: dict[str, str | int | float | bool | None] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check_consistency(self) -> Self:
        if self.context_frames >= self.frames:
            raise ValueError(
                f"context_frames is {self.context_frames}, "
                f"but must be less than frames ({self.frames})"
            )
        if self.sigma_min >= self.sigma_max:
            raise ValueError(
                f"sigma_min {self.sigma_min} must be less than sigma_max {self.sigma_max}"
            )
        if (self.kind == PipelineKind.TINY) != (self.bands is not None):
            raise ValueError("bands must be given for kind tiny, and only for it")
        if self.residual and self.kind != PipelineKind.TINY:
            raise ValueError("residual is allowed for kind tiny only")
        return self

    @property
    def erp_size(self) -> tuple[int, int]:
        """Size (H, W) of the panorama."""
        return self.height, 2 * self.height
