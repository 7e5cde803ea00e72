"""A whole model: denoising network, latents, tokens and settings; made, saved and loaded. Weights are safetensors only.

A full-size folder names StableVideoDiffusionPipeline in its model_index.json, so plain diffusers opens it; Argus's settings lie in argus.json
beside it.
"""

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
from argus.diffusion.longitude import unwrap_longitude, wrap_longitude
from argus.diffusion.placement import place
from argus.diffusion.settings import PipelineKind, PipelineSettings
from argus.diffusion.unet import check_unet, tiny_unet
from argus.errors import InvalidInput
from argus.files import replace_atomically
from schemas.config import ModelSettings

TINY = "argus-tiny"
TINY_TOKEN_WIDTH = 64


class ArgusPipeline:
    """What generates: `unet`, `latents`, `tokens`, `settings`."""

    def __init__(
        self,
        unet: Any,
        latents: Latents,
        tokens: ImageEncoder,
        settings: PipelineSettings,
        *,
        base: Any = None,
    ) -> None:
        check_unet(unet, latents.channels, tokens.width)
        self.unet = unet
        self.latents = latents
        self.tokens = tokens
        self.settings = settings
        self._base = base  # diffusers' pipeline of the full-size kind: scheduler and feature extractor are saved with it
        (wrap_longitude if settings.circular else unwrap_longitude)(unet)
        self.denoiser = Denoiser(unet)

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.unet.parameters()).device

    def to(self, device: str | torch.device, dtype: torch.dtype = torch.float32) -> Self:
        """Moves everything. Noise levels and the tiny model's latents stay fp32 whatever the dtype."""
        device = torch.device(device)
        place(self.unet, device, dtype)
        self.latents = self.latents.to(device, dtype)
        self.tokens = self.tokens.to(device, dtype)
        return self

    def with_provenance(self, **facts: str | float | bool | None) -> Self:
        """Notes where the weights come from (snapshot, digest, step, …); saved in argus.json."""
        self.settings = self.settings.model_copy(
            update={"provenance": {**self.settings.provenance, **facts}}
        )
        return self

    def save_pretrained(self, folder: Path | str) -> Path:
        """Writes the whole folder, or nothing. An existing pipeline folder is replaced. fp32 weights stay fp32."""
        folder = Path(folder)
        with replace_atomically(folder) as beside:
            beside.mkdir()
            if self.settings.kind == PipelineKind.TINY:
                assert isinstance(self.tokens, ThumbnailEncoder)
                serialization.write_tiny(beside, self.unet, self.tokens.projection)
            else:
                serialization.write_full(beside, self._base, self.unet)
            (beside / serialization.SETTINGS).write_text(
                self.settings.model_dump_json(indent=2), encoding="utf-8"
            )
            if (folder / serialization.SETTINGS).exists():
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
        """Opens an Argus folder, a Stable Video Diffusion folder, a released UNet folder (with `base` for the rest), or a hub id of one of them.

        Raises InvalidInput where the folder is not such a thing, ServiceError where the hub cannot be reached.
        """
        folder = serialization.local(name)
        kind = serialization.kind_of(folder)
        if kind == PipelineKind.TINY:
            return cls._open_tiny(folder).to(device, dtype)
        if kind == PipelineKind.SVD:
            return cls._open_full(folder).to(device, dtype)
        if base is None:
            raise InvalidInput(
                f"{folder} holds a UNet alone; give base= a folder or hub id of Stable Video Diffusion for VAE and image encoder"
            )
        whole = cls._open_full(serialization.local(base))
        unet = serialization.read_unet(folder)
        whole._base.unet = unet
        return cls(unet, whole.latents, whole.tokens, whole.settings, base=whole._base).to(
            device, dtype
        )

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
    def _open_full(cls, folder: Path) -> Self:
        base = serialization.read_full(folder)
        settings = serialization.read_settings(folder) or PipelineSettings(
            kind=PipelineKind.SVD,
            height=512,
            frames=base.unet.config.num_frames,
            context_frames=min(5, base.unet.config.num_frames - 1),
            view_height=512,
        )
        return cls(
            base.unet, VaeLatents(base.vae), ClipEncoder(base.image_encoder), settings, base=base
        )


def build_tiny(
    settings: ModelSettings, statistics: BandStatistics, seed: int = 0, *, residual: bool = True
) -> ArgusPipeline:
    """argus-tiny from scratch: 3.1 M parameters, nothing to download."""
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
    unet = tiny_unet(TinyLatents.channels, TINY_TOKEN_WIDTH, settings.frames, seed)
    return ArgusPipeline(
        unet,
        TinyLatents(statistics),
        ThumbnailEncoder(orthonormal_projection(TINY_TOKEN_WIDTH, seed=0)),
        own,
    )


def build_pipeline(
    settings: ModelSettings, *, statistics: BandStatistics | None = None, seed: int = 0
) -> ArgusPipeline:
    """The model that a training run starts from: argus-tiny from scratch (needs the band statistics), or the weights that `settings.name` names."""
    if settings.name == TINY:
        if statistics is None:
            raise ValueError(f"{TINY} from scratch needs band statistics of the data")
        return build_tiny(settings, statistics, seed)
    pipeline = ArgusPipeline.from_pretrained(settings.name)
    sizes = settings.model_dump(
        include={"height", "frames", "context_frames", "view_height", "circular"}
    )
    own = PipelineSettings.model_validate(
        {**pipeline.settings.model_dump(), **sizes, "provenance": {"parent": settings.name}}
    )
    return ArgusPipeline(pipeline.unet, pipeline.latents, pipeline.tokens, own, base=pipeline._base)
