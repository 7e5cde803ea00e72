"""Aesthetic predictor: a linear head on CLIP's picture embedding (LAION's linear predictors).

Head and CLIP model must belong together, such as LAION's `sa_0_4_vit_l_14_linear` and ViT-L/14. A
folder of weights holds `clip/`, a folder of transformers with config.json and model.safetensors,
and `head.safetensors` with `weight` [1, D] and `bias` [1].
"""

from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn import functional

from argus.errors import InvalidInput
from argus.networks.tensors import load_weights, read_tensors

CLIP_FOLDER, HEAD_FILE = "clip", "head.safetensors"
_MEAN, _STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""CLIP's normalization of colors in [0, 1] (Radford et al. 2021)."""


class AestheticPredictor(nn.Module):
    """Aesthetic score of pictures, higher for pictures that people like."""

    def __init__(self, clip: Any, head: nn.Linear) -> None:
        super().__init__()
        self.clip = clip
        self.head = head
        self.side = int(clip.config.image_size)

    @classmethod
    def load(cls, folder: Path, device: str) -> Self:
        """Load the predictor from a folder of weights.

        Raises:
            InvalidInput: a file is missing or does not fit.
        """
        clip = _load_clip(folder / CLIP_FOLDER)
        head = nn.Linear(clip.config.projection_dim, 1)
        load_weights(head, read_tensors(folder / HEAD_FILE), folder / HEAD_FILE)
        return cls(clip.eval().requires_grad_(requires_grad=False), head).to(device)

    def forward(self, pictures: Tensor) -> Tensor:
        """Score pictures [n, 3, H, W] in [-1, 1]; return [n, 1]."""
        return self.head(self.embed(pictures))

    def embed(self, pictures: Tensor) -> Tensor:
        """Return CLIP's unit-length embeddings [n, D] of pictures [n, 3, H, W] in [-1, 1]."""
        resized = functional.interpolate(
            pictures, (self.side, self.side), mode="bicubic", align_corners=False, antialias=True
        )
        mean, std = (
            torch.tensor(values, device=pictures.device).view(1, 3, 1, 1)
            for values in (_MEAN, _STD)
        )
        normalized = ((resized.clamp(-1, 1) + 1) / 2 - mean) / std
        return functional.normalize(self.clip(pixel_values=normalized).image_embeds, dim=-1)


def _load_clip(folder: Path) -> Any:
    """Load CLIP's picture model; refuse a folder that would leave weights at random."""
    from transformers import CLIPVisionModelWithProjection

    try:
        clip, report = CLIPVisionModelWithProjection.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise InvalidInput(
            f"{folder} cannot be read as a CLIP model of transformers: {error}"
        ) from error
    if missing := sorted(map(str, [*report["missing_keys"], *report["mismatched_keys"]])):
        raise InvalidInput(
            f"{folder} lacks weights of CLIP: {', '.join(missing[:3])}; "
            "it must hold the whole picture model"
        )
    return clip
