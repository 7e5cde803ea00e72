"""Video to latents and back: the exact wavelet packing of the tiny model, and the VAE of the full-size one, behind one protocol."""

from collections.abc import Iterable
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, model_validator
from torch import Tensor

from argus.diffusion.placement import place

DECODE_CHUNK = 10
"""Frames that the VAE decodes at once."""

HAAR = (
    torch.tensor(
        [[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]], dtype=torch.float32
    )
    / 2
)
"""Orthonormal 2×2 Haar step on (top left, top right, bottom left, bottom right); the first row is the mean band."""

LEVELS = 2

LEAST_STD = 0.02
"""Least deviation of a band, 2.5 grey levels: what lies below is the encoder's noise, not to be blown up."""


class Latents(Protocol):
    """Frames [B, T, 3, H, W] in [-1, 1] ↔ latents [B, T, channels, H/factor, W/factor]. `scale` times a latent has unit variance."""

    channels: int
    factor: int
    scale: float

    def encode(self, video: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Unscaled latents: with a (CPU) generator a draw from the posterior, where there is one; without, its mode."""
        ...

    def decode(self, latents: Tensor) -> Tensor:
        """Frames of unscaled latents; not clamped."""
        ...

    def to(self, device: torch.device, dtype: torch.dtype) -> "Latents":
        """The same on a device."""
        ...


class BandStatistics(BaseModel):
    """What normalises each of the 48 bands: latent = (band − mean)/std. Only the mean bands have a mean."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @model_validator(mode="after")
    def _sizes(self) -> "BandStatistics":
        count = 3 * 4**LEVELS
        if len(self.mean) != count or len(self.std) != count or min(self.std) <= 0:
            raise ValueError(
                f"mean and std need {count} numbers each, std above 0; got {len(self.mean)} and {len(self.std)}"
            )
        return self


def haar_forward(x: Tensor) -> Tensor:
    """One orthonormal Haar step on every channel: [N, C, H, W] → [N, 4C, H/2, W/2], the C mean bands first."""
    blocks = torch.unflatten(F.pixel_unshuffle(x, 2), 1, (-1, 4))
    return torch.einsum("kq,ncqhw->nkchw", HAAR.to(x), blocks).flatten(1, 2)


def haar_inverse(x: Tensor) -> Tensor:
    """The inverse (the transpose) of `haar_forward`."""
    blocks = torch.einsum("kq,nkchw->ncqhw", HAAR.to(x), torch.unflatten(x, 1, (4, -1)))
    return F.pixel_shuffle(blocks.flatten(1, 2), 2)


def pack(frames: Tensor) -> Tensor:
    """Two-level Haar packing: [N, 3, H, W] → [N, 48, H/4, W/4]; the first three channels are the colours' means times 4."""
    for _ in range(LEVELS):
        frames = haar_forward(frames)
    return frames


def unpack(bands: Tensor) -> Tensor:
    """The inverse of `pack`."""
    for _ in range(LEVELS):
        bands = haar_inverse(bands)
    return bands


def band_statistics(videos: Iterable[Tensor]) -> BandStatistics:
    """Statistics over videos [T, 3, H, W] in [-1, 1], in float64."""
    count, total, square = (
        0,
        torch.zeros(48, dtype=torch.float64),
        torch.zeros(48, dtype=torch.float64),
    )
    for video in videos:
        bands = pack(video).double().transpose(0, 1).flatten(1)
        count += bands.shape[1]
        total += bands.sum(1)
        square += bands.square().sum(1)
    if count == 0:
        raise ValueError("band statistics need at least one video")
    mean = total / count
    mean[3:] = 0
    std = (square / count - mean.square()).clamp(min=0).sqrt().clamp(min=LEAST_STD)
    return BandStatistics(mean=tuple(mean.tolist()), std=tuple(std.tolist()))


class TinyLatents:
    """The normalised wavelet packing: exactly invertible, differentiable, nothing to download."""

    channels = 3 * 4**LEVELS
    factor = 2**LEVELS
    scale = 1.0

    def __init__(self, statistics: BandStatistics) -> None:
        self.statistics = statistics
        self._mean = torch.tensor(statistics.mean, dtype=torch.float32)[:, None, None]
        self._std = torch.tensor(statistics.std, dtype=torch.float32)[:, None, None]

    def encode(self, video: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """[B, T, 3, H, W] → [B, T, 48, H/4, W/4] fp32; there is nothing to draw."""
        del generator
        bands = torch.unflatten(pack(video.float().flatten(0, 1)), 0, video.shape[:2])
        return (bands - self._mean) / self._std

    def decode(self, latents: Tensor) -> Tensor:
        """[B, T, 48, h, w] → [B, T, 3, 4h, 4w]."""
        bands = latents.float() * self._std + self._mean
        return torch.unflatten(unpack(bands.flatten(0, 1)), 0, latents.shape[:2])

    def shrunk(self, latents: Tensor, sigma: float) -> Tensor:
        """Wiener's estimate of latents whose pixels bear noise of deviation sigma: each band by std²/(std² + sigma²)."""
        return latents * self._std.square() / (self._std.square() + sigma**2)

    def to(self, device: torch.device, dtype: torch.dtype) -> "TinyLatents":
        """Moves the statistics; they stay fp32."""
        del dtype
        self._mean, self._std = self._mean.to(device), self._std.to(device)
        return self


class VaeLatents:
    """Stable Video Diffusion's temporal VAE (diffusers' AutoencoderKLTemporalDecoder)."""

    def __init__(self, vae: Any) -> None:
        self.vae = vae.eval().requires_grad_(False)
        self.channels = int(vae.config.latent_channels)
        self.factor = 2 ** (len(vae.config.block_out_channels) - 1)
        self.scale = float(vae.config.scaling_factor)

    def encode(self, video: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """[B, T, 3, H, W] → [B, T, 4, H/8, W/8] fp32, frame by frame."""
        frames = video.to(self.vae.device, self.vae.dtype).flatten(0, 1)
        parts = [self._posterior(chunk, generator) for chunk in torch.split(frames, DECODE_CHUNK)]
        return torch.unflatten(torch.cat(parts).float(), 0, video.shape[:2])

    def _posterior(self, frames: Tensor, generator: torch.Generator | None) -> Tensor:
        posterior = self.vae.encode(frames).latent_dist
        if generator is None:
            return posterior.mode()
        noise = torch.randn(posterior.mean.shape, generator=generator, dtype=torch.float32)
        return posterior.mean + posterior.std * noise.to(posterior.mean)

    def decode(self, latents: Tensor) -> Tensor:
        """[B, T, 4, h, w] → [B, T, 3, 8h, 8w] fp32, in chunks of 10 frames of one video."""
        videos = []
        for video in latents.to(self.vae.device, self.vae.dtype):
            parts = [
                self.vae.decode(chunk, num_frames=len(chunk)).sample
                for chunk in torch.split(video, DECODE_CHUNK)
            ]
            videos.append(torch.cat(parts).float())
        return torch.stack(videos)

    def to(self, device: torch.device, dtype: torch.dtype) -> "VaeLatents":
        """Moves the VAE."""
        place(self.vae, device, dtype)
        return self
