"""Pipeline: a denoising network with its latents, image encoder and settings."""

import shutil
from pathlib import Path
from typing import Any, Self

import torch

from argus.diffusion import serialization
from argus.diffusion.denoiser import Denoiser
from argus.diffusion.image_encoder import (
    ClipEncoder,
    ImageEncoder,
    ThumbnailEncoder,
    orthonormal_projection,
)
from argus.diffusion.latents import BandStatistics, Latents, TinyLatents, VaeLatents
from argus.diffusion.settings import PipelineKind, PipelineSettings
from argus.diffusion.unet import (
    check_unet,
    disable_circular_padding,
    enable_circular_padding,
    make_tiny_unet,
    move_to,
)
from argus.errors import InvalidInput
from argus.files import replace_atomically
from schemas.config import ModelSettings

TINY_NAME = "argus-tiny"
TINY_TOKEN_WIDTH = 64


class ArgusPipeline:
    """Complete model that generates panoramas.

    Attributes:
        unet: denoising network, UNetSpatioTemporalConditionModel of diffusers.
        latents: codec of the panorama.
        image_encoder: encoder of the perspective frames.
        settings: settings that are stored with the model.
        denoiser: preconditioned network.
    """

    def __init__(
        self,
        unet: Any,
        latents: Latents,
        image_encoder: ImageEncoder,
        settings: PipelineSettings,
        *,
        base: Any = None,
    ) -> None:
        check_unet(unet, latents.channels, image_encoder.width)
        self.unet = unet
        self.latents = latents
        self.image_encoder = image_encoder
        self.settings = settings
        # The StableVideoDiffusionPipeline of kind SVD: scheduler and feature extractor are saved.
        self._base = base
        (enable_circular_padding if settings.circular else disable_circular_padding)(unet)
        self.denoiser = Denoiser(unet)

    @property
    def device(self) -> torch.device:
        """Device of the network."""
        return next(self.unet.parameters()).device

    def to(self, device: str | torch.device, dtype: torch.dtype = torch.float32) -> Self:
        """Move all parts and return the pipeline.

        Noise levels, the latents of argus-tiny and its image encoder stay fp32.
        """
        device = torch.device(device)
        move_to(self.unet, device, dtype)
        self.latents = self.latents.to(device, dtype)
        self.image_encoder = self.image_encoder.to(device, dtype)
        return self

    def with_settings(self, settings: PipelineSettings) -> Self:
        """Return a pipeline of the same parts with other settings."""
        return type(self)(self.unet, self.latents, self.image_encoder, settings, base=self._base)

    def with_provenance(self, **facts: str | float | bool | None) -> Self:
        """Add facts on the origin of the weights (snapshot, step, …), and return the pipeline."""
        self.settings = self.settings.model_copy(
            update={"provenance": {**self.settings.provenance, **facts}}
        )
        return self

    def save_pretrained(self, folder: Path | str) -> Path:
        """Write the whole folder, or nothing, and return it. fp32 weights stay fp32.

        An existing pipeline folder is replaced.

        Raises:
            OSError: the folder exists and is not a pipeline, or cannot be written.
        """
        folder = Path(folder)
        with replace_atomically(folder) as partial:
            partial.mkdir()
            if self.settings.kind == PipelineKind.TINY:
                assert isinstance(self.image_encoder, ThumbnailEncoder)
                serialization.write_tiny(partial, self.unet, self.image_encoder.projection)
            else:
                serialization.write_svd(partial, self._base, self.unet)
            (partial / serialization.SETTINGS_FILE).write_text(
                self.settings.model_dump_json(indent=2), encoding="utf-8"
            )
            if (folder / serialization.SETTINGS_FILE).exists():
                shutil.rmtree(folder)
        return folder

    @classmethod
    def from_pretrained(
        cls,
        name: Path | str,
        *,
        base: Path | str | None = None,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> Self:
        """Open a stored model.

        Args:
            name: folder or hub id of an Argus pipeline, a Stable Video Diffusion pipeline, or a
                UNet alone (as released by the authors).
            base: folder or hub id of Stable Video Diffusion, for VAE and image encoder of a UNet
                alone.
            device: device of all parts.
            dtype: of the networks.

        Raises:
            InvalidInput: the folder cannot be opened as one of these, or the model of the hub is
                not among the verified weights.
        """
        folder = serialization.resolve_folder(name)
        kind = serialization.detect_kind(folder)
        if kind == PipelineKind.TINY:
            return cls._open_tiny(folder).to(device, dtype)
        if kind == PipelineKind.SVD:
            return cls._open_svd(folder).to(device, dtype)
        if base is None:
            raise InvalidInput(
                f"{folder} holds a UNet only; give base=, a folder or hub id of "
                "Stable Video Diffusion, for the VAE and the image encoder"
            )
        whole = cls._open_svd(serialization.resolve_folder(base))
        unet = serialization.read_unet(folder)
        whole._base.unet = unet  # frees the memory of the base's own UNet
        parts = whole.latents, whole.image_encoder, whole.settings
        return cls(unet, *parts, base=whole._base).to(device, dtype)

    @classmethod
    def _open_tiny(cls, folder: Path) -> Self:
        settings = serialization.read_settings(folder)
        assert settings is not None
        assert settings.bands is not None
        return cls(
            serialization.read_unet(folder),
            TinyLatents(settings.bands),
            ThumbnailEncoder(serialization.read_projection(folder)),
            settings,
        )

    @classmethod
    def _open_svd(cls, folder: Path) -> Self:
        base = serialization.read_svd(folder)
        frames = base.unet.config.num_frames
        settings = serialization.read_settings(folder) or PipelineSettings(
            kind=PipelineKind.SVD,
            height=512,
            frames=frames,
            context_frames=min(5, frames - 1),
            view_height=512,
        )
        latents, image_encoder = VaeLatents(base.vae), ClipEncoder(base.image_encoder)
        return cls(base.unet, latents, image_encoder, settings, base=base)


def build_tiny(
    settings: ModelSettings, statistics: BandStatistics, seed: int = 0, *, residual: bool = True
) -> ArgusPipeline:
    """Build argus-tiny with untrained weights: 3.1 M parameters, nothing to download.

    Args:
        settings: sizes.
        statistics: normalization of its latents.
        seed: of the weights.
        residual: predict the residual to a fill of the condition.
    """
    own = PipelineSettings(
        kind=PipelineKind.TINY,
        height=settings.height,
        frames=settings.frames,
        context_frames=settings.context_frames,
        view_height=settings.view_height,
        circular=settings.circular,
        residual=residual,
        sigma_max=80.0,
        bands=statistics,
    )
    unet = make_tiny_unet(TinyLatents.channels, TINY_TOKEN_WIDTH, settings.frames, seed)
    image_encoder = ThumbnailEncoder(orthonormal_projection(TINY_TOKEN_WIDTH, seed=0))
    return ArgusPipeline(unet, TinyLatents(statistics), image_encoder, own)


def build_pipeline(
    settings: ModelSettings, *, statistics: BandStatistics | None = None, seed: int = 0
) -> ArgusPipeline:
    """Build the model that a training run starts from.

    Args:
        settings: name and sizes. The name is argus-tiny, a folder, or a hub id.
        statistics: normalization of the latents, for argus-tiny.
        seed: of the weights of argus-tiny.

    Raises:
        InvalidInput: the named model cannot be opened with these sizes.
        ValueError: argus-tiny without statistics, or sizes out of range.
    """
    if settings.name == TINY_NAME:
        if statistics is None:
            raise ValueError(f"{TINY_NAME} needs the band statistics of the training data")
        return build_tiny(settings, statistics, seed)
    pipeline = ArgusPipeline.from_pretrained(settings.name)
    sizes = settings.model_dump(
        include={"height", "frames", "context_frames", "view_height", "circular"}
    )
    own = PipelineSettings.model_validate(
        {**pipeline.settings.model_dump(), **sizes, "provenance": {"parent": settings.name}}
    )
    return pipeline.with_settings(own)
