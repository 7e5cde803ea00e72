"""Image features of the perspective frames, for cross-attention."""

from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from argus.diffusion.unet import move_to

THUMBNAIL = 8
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


class ImageEncoder(Protocol):
    """Encoder of frames as tokens of `width` numbers."""

    width: int

    def encode(self, views: Tensor) -> Tensor:
        """Encode [B, T, 3, h, w] in [-1, 1] as fp32 [B, T, width].

        The whole frame is resized to a square; nothing is cropped.
        """
        ...

    def to(self, device: torch.device, dtype: torch.dtype) -> "ImageEncoder":
        """Move the encoder and return it."""
        ...


def orthonormal_projection(width: int, seed: int) -> Tensor:
    """Return a random projection with orthonormal rows, fp32 [width, 192]."""
    generator = torch.Generator().manual_seed(seed)
    square = torch.randn(3 * THUMBNAIL**2, width, generator=generator, dtype=torch.float64)
    return torch.linalg.qr(square).Q.T.float().contiguous()


class ThumbnailEncoder:
    """Fixed linear map of an 8x8 color thumbnail: the encoder of argus-tiny."""

    def __init__(self, projection: Tensor) -> None:
        self.projection = projection  # [width, 192]
        self.width = projection.shape[0]

    def encode(self, views: Tensor) -> Tensor:
        """Average the frame down to a thumbnail and project it."""
        small = F.adaptive_avg_pool2d(views.float().flatten(0, 1), THUMBNAIL).flatten(1)
        return torch.unflatten(small @ self.projection.T, 0, views.shape[:2])

    def to(self, device: torch.device, dtype: torch.dtype) -> "ThumbnailEncoder":
        """Move the projection; it stays fp32."""
        del dtype
        self.projection = self.projection.to(device)
        return self


class ClipEncoder:
    """CLIP image embeddings (CLIPVisionModelWithProjection of transformers)."""

    def __init__(self, encoder: Any) -> None:
        self.encoder = encoder.eval().requires_grad_(False)
        self.width = int(encoder.config.projection_dim)
        self.size = int(encoder.config.image_size)

    def encode(self, views: Tensor) -> Tensor:
        """Resize (antialiased bicubic), normalize by CLIP's mean and deviation, and embed."""
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
        """Move the network."""
        move_to(self.encoder, device, dtype)
        return self
