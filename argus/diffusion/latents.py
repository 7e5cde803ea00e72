"""Latents: encoding of video for the denoiser, and decoding.

argus-tiny uses an exact wavelet packing, the full-size model the VAE of Stable Video Diffusion.
"""

from collections.abc import Iterable
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, model_validator
from torch import Tensor

from argus.diffusion.unet import move_to

VAE_CHUNK = 10
"""Frames that the VAE encodes or decodes at once."""

HAAR = (
    torch.tensor(
        [[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]], dtype=torch.float32
    )
    / 2
)
"""Orthonormal 2x2 Haar step on (top left, top right, bottom left, bottom right).

The first row is the mean band.
"""

LEVELS = 2
BANDS = 3 * 4**LEVELS

MIN_STD = 0.02
"""Smallest standard deviation of a band, 2.5 gray levels; smaller ones are coding noise."""


class Latents(Protocol):
    """Codec between frames [B, T, 3, H, W] in [-1, 1] and latents [B, T, C, H/factor, W/factor].

    Attributes:
        channels: C.
        factor: ratio of the sizes of frames and latents.
        scale: factor that gives latents unit variance.
    """

    channels: int
    factor: int
    scale: float

    @property
    def device(self) -> torch.device:
        """Device of the codec."""
        ...

    def encode(self, video: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Encode to unscaled fp32 latents.

        With a CPU generator the result is a sample of the posterior, else its mode.
        """
        ...

    def decode(self, latents: Tensor) -> Tensor:
        """Decode unscaled latents to fp32 frames, not clamped."""
        ...

    def to(self, device: torch.device, dtype: torch.dtype) -> "Latents":
        """Move the codec and return it."""
        ...


class BandStatistics(BaseModel):
    """Normalization of the 48 wavelet bands: latent = (band − mean)/std."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    mean: tuple[float, ...]  # zero except for the three mean bands
    std: tuple[float, ...]

    @model_validator(mode="after")
    def _check_sizes(self) -> "BandStatistics":
        if len(self.mean) != BANDS or len(self.std) != BANDS or min(self.std) <= 0:
            raise ValueError(
                f"mean and std need {BANDS} numbers each, std above 0; "
                f"got {len(self.mean)} and {len(self.std)}"
            )
        return self


def haar_forward(x: Tensor) -> Tensor:
    """Apply one orthonormal Haar step: [N, C, H, W] to [N, 4C, H/2, W/2], mean bands first."""
    blocks = torch.unflatten(F.pixel_unshuffle(x, 2), 1, (-1, 4))
    return torch.einsum("kq,ncqhw->nkchw", HAAR.to(x), blocks).flatten(1, 2)


def haar_inverse(x: Tensor) -> Tensor:
    """Invert `haar_forward` (by the transpose)."""
    blocks = torch.einsum("kq,nkchw->ncqhw", HAAR.to(x), torch.unflatten(x, 1, (4, -1)))
    return F.pixel_shuffle(blocks.flatten(1, 2), 2)


def pack_frames(frames: Tensor) -> Tensor:
    """Apply two Haar steps: [N, 3, H, W] to [N, 48, H/4, W/4].

    The first three channels are 4 times the means of the colors.
    """
    for _ in range(LEVELS):
        frames = haar_forward(frames)
    return frames


def unpack_frames(bands: Tensor) -> Tensor:
    """Invert `pack_frames`."""
    for _ in range(LEVELS):
        bands = haar_inverse(bands)
    return bands


def band_statistics(videos: Iterable[Tensor]) -> BandStatistics:
    """Compute the band statistics of videos [T, 3, H, W] in [-1, 1], in fp64.

    Raises:
        ValueError: there is no video.
    """
    count = 0
    total = torch.zeros(BANDS, dtype=torch.float64)
    square = torch.zeros(BANDS, dtype=torch.float64)
    for video in videos:
        bands = pack_frames(video).double().transpose(0, 1).flatten(1)
        count += bands.shape[1]
        total += bands.sum(1)
        square += bands.square().sum(1)
    if count == 0:
        raise ValueError("band statistics need at least one video")
    mean = total / count
    mean[3:] = 0
    std = (square / count - mean.square()).clamp(min=0).sqrt().clamp(min=MIN_STD)
    return BandStatistics(mean=tuple(mean.tolist()), std=tuple(std.tolist()))


class TinyLatents:
    """Normalized wavelet packing: exactly invertible, differentiable, without weights."""

    channels = BANDS
    factor = 2**LEVELS
    scale = 1.0

    def __init__(self, statistics: BandStatistics) -> None:
        self.statistics = statistics
        self._mean = torch.tensor(statistics.mean, dtype=torch.float32)[:, None, None]
        self._std = torch.tensor(statistics.std, dtype=torch.float32)[:, None, None]

    @property
    def device(self) -> torch.device:
        """Device of the statistics."""
        return self._mean.device

    def encode(self, video: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Encode [B, T, 3, H, W] as fp32 [B, T, 48, H/4, W/4]; the posterior is a point."""
        del generator
        bands = torch.unflatten(pack_frames(video.float().flatten(0, 1)), 0, video.shape[:2])
        return (bands - self._mean) / self._std

    def decode(self, latents: Tensor) -> Tensor:
        """Decode [B, T, 48, h, w] to fp32 [B, T, 3, 4h, 4w]."""
        bands = latents.float() * self._std + self._mean
        return torch.unflatten(unpack_frames(bands.flatten(0, 1)), 0, latents.shape[:2])

    def wiener_shrink(self, latents: Tensor, sigma: float) -> Tensor:
        """Estimate clean latents from those of pixels with noise of standard deviation sigma.

        The Wiener filter scales each band by std²/(std² + sigma²).
        """
        return latents * self._std.square() / (self._std.square() + sigma**2)

    def to(self, device: torch.device, dtype: torch.dtype) -> "TinyLatents":
        """Move the statistics; they stay fp32."""
        del dtype
        self._mean, self._std = self._mean.to(device), self._std.to(device)
        return self


class VaeLatents:
    """Temporal VAE of Stable Video Diffusion (AutoencoderKLTemporalDecoder of diffusers)."""

    def __init__(self, vae: Any) -> None:
        self.vae = vae.eval().requires_grad_(False)
        self.channels = int(vae.config.latent_channels)
        self.factor = 2 ** (len(vae.config.block_out_channels) - 1)
        self.scale = float(vae.config.scaling_factor)

    @property
    def device(self) -> torch.device:
        """Device of the VAE."""
        return torch.device(self.vae.device)

    def encode(self, video: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Encode [B, T, 3, H, W] frame by frame as fp32 [B, T, 4, H/8, W/8]."""
        frames = video.to(self.vae.device, self.vae.dtype).flatten(0, 1)
        chunks = [self._encode_chunk(part, generator) for part in torch.split(frames, VAE_CHUNK)]
        return torch.unflatten(torch.cat(chunks).float(), 0, video.shape[:2])

    def _encode_chunk(self, frames: Tensor, generator: torch.Generator | None) -> Tensor:
        posterior = self.vae.encode(frames).latent_dist
        if generator is None:
            return posterior.mode()
        noise = torch.randn(posterior.mean.shape, generator=generator, dtype=torch.float32)
        return posterior.mean + posterior.std * noise.to(posterior.mean)

    def decode(self, latents: Tensor) -> Tensor:
        """Decode [B, T, 4, h, w] to fp32 [B, T, 3, 8h, 8w], 10 frames of one video at a time."""
        videos = []
        for video in latents.to(self.vae.device, self.vae.dtype):
            chunks = [
                self.vae.decode(part, num_frames=len(part)).sample
                for part in torch.split(video, VAE_CHUNK)
            ]
            videos.append(torch.cat(chunks).float())
        return torch.stack(videos)

    def to(self, device: torch.device, dtype: torch.dtype) -> "VaeLatents":
        """Move the VAE."""
        move_to(self.vae, device, dtype)
        return self
