"""Features of the perspective frames for cross-attention: a fixed linear map of a thumbnail (tiny), CLIP (full size)."""

from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from argus.diffusion.placement import place

THUMBNAIL = 8
CLIP_SIZE = 224
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


class ImageEncoder(Protocol):
    """Frames to tokens."""

    width: int

    def encode(self, views: Tensor) -> Tensor:
        """[B, T, 3, h, w] in [-1, 1] → [B, T, width] fp32. The whole frame is squashed, never cropped."""
        ...

    def to(self, device: torch.device, dtype: torch.dtype) -> "ImageEncoder":
        """The same on a device."""
        ...


def orthonormal_projection(width: int, seed: int) -> Tensor:
    """Orthonormal rows, float32 [width, 192]."""
    generator = torch.Generator().manual_seed(seed)
    square = torch.randn(3 * THUMBNAIL**2, width, generator=generator, dtype=torch.float64)
    return torch.linalg.qr(square).Q.T.float().contiguous()


class ThumbnailEncoder:
    """A fixed linear map of an 8×8 colour thumbnail."""

    def __init__(self, projection: Tensor) -> None:
        self.projection = projection  # [width, 192]
        self.width = projection.shape[0]

    def encode(self, views: Tensor) -> Tensor:
        """Area-averaged thumbnail, then the projection."""
        small = F.adaptive_avg_pool2d(views.float().flatten(0, 1), THUMBNAIL).flatten(1)
        return torch.unflatten(small @ self.projection.T, 0, views.shape[:2])

    def to(self, device: torch.device, dtype: torch.dtype) -> "ThumbnailEncoder":
        """Moves the projection; it stays fp32."""
        del dtype
        self.projection = self.projection.to(device)
        return self


class ClipEncoder:
    """CLIP image embeddings (transformers' CLIPVisionModelWithProjection)."""

    def __init__(self, encoder: Any) -> None:
        self.encoder = encoder.eval().requires_grad_(False)
        self.width = int(encoder.config.projection_dim)
        self.size = int(encoder.config.image_size)

    def encode(self, views: Tensor) -> Tensor:
        """Antialiased bicubic squash to 224², CLIP's mean and deviation, projected embedding."""
        frames = F.interpolate(
            views.float().flatten(0, 1),
            size=(self.size, self.size),
            mode="bicubic",
            antialias=True,
            align_corners=False,
        )
        mean, std = (
            torch.tensor(values, device=frames.device)[:, None, None]
            for values in (CLIP_MEAN, CLIP_STD)
        )
        pixels = ((frames.clamp(-1, 1) + 1) / 2 - mean) / std
        embeds = self.encoder(pixels.to(self.encoder.device, self.encoder.dtype)).image_embeds
        return torch.unflatten(embeds.float(), 0, views.shape[:2])

    def to(self, device: torch.device, dtype: torch.dtype) -> "ClipEncoder":
        """Moves the encoder."""
        place(self.encoder, device, dtype)
        return self
