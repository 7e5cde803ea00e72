"""An aesthetic head on CLIP (LAION's linear predictors): do the six views look like pictures that people like?

`aesthetic/clip/` is a folder of transformers (config.json, model.safetensors), `aesthetic/head.safetensors` holds `weight` [1, D] and `bias` [1] of
a linear layer on CLIP's unit-length picture embedding. Head and CLIP must belong together (LAION's `sa_0_4_vit_l_14_linear` to ViT-L/14).
"""

from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn import functional

from argus.curate.scorers.clip_samples import ClipSamples
from argus.errors import InvalidInput
from argus.networks.weights import fill, read_tensors
from argus.pixels import frames_to_tensor

_CLIP, _HEAD = "aesthetic/clip", "aesthetic/head.safetensors"
_MEAN, _STD = (
    (0.48145466, 0.4578275, 0.40821073),
    (0.26862954, 0.26130258, 0.27577711),
)  # CLIP's (Radford et al. 2021), of [0,1]


class AestheticScorer:
    """`mean`: of the head over all moments and their six views, which see equal shares of the sphere."""

    name: ClassVar[str] = "aesthetic"
    version: ClassVar[int] = 1
    scores: ClassVar[tuple[str, ...]] = ("mean",)
    package: ClassVar[tuple[str, str] | None] = None
    files: ClassVar[tuple[str, ...]] = (f"{_CLIP}/config.json", f"{_CLIP}/model.safetensors", _HEAD)

    def __init__(self, clip: Any, head: nn.Linear, device: str) -> None:
        self.clip = clip
        self.head = head
        self.device = device
        self.side = int(clip.config.image_size)

    @classmethod
    def load(cls, weights: Path, device: str) -> Self:
        from transformers import CLIPVisionModelWithProjection

        folder = weights / _CLIP
        try:
            clip, found = CLIPVisionModelWithProjection.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, output_loading_info=True
            )
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            raise InvalidInput(
                f"{folder} cannot be read as a CLIP model of transformers: {error}"
            ) from error
        if lacking := sorted(
            map(str, [*found["missing_keys"], *found["mismatched_keys"]])
        ):  # would be left at random
            raise InvalidInput(
                f"{folder} lacks weights of CLIP: {', '.join(lacking[:3])}; it must hold the whole picture model"
            )
        head = nn.Linear(clip.config.projection_dim, 1)
        fill(head, read_tensors(weights / _HEAD), weights / _HEAD)
        return cls(
            clip.eval().requires_grad_(requires_grad=False).to(device), head.to(device), device
        )

    @torch.inference_mode()
    def score(self, clip: ClipSamples) -> dict[str, float]:
        values = torch.cat(
            [
                self.head(self._embed(frames_to_tensor(views, self.device)))
                for views in clip.moments.views
            ]
        )
        return {"mean": float(values.mean())}

    def _embed(self, pictures: Tensor) -> Tensor:
        """Unit-length embeddings [n, D] of pictures [n, 3, H, W] in [-1,1]."""
        sized = functional.interpolate(
            pictures, (self.side, self.side), mode="bicubic", align_corners=False, antialias=True
        )
        mean, std = (
            torch.tensor(values, device=self.device).view(1, 3, 1, 1) for values in (_MEAN, _STD)
        )
        return functional.normalize(
            self.clip(pixel_values=((sized.clamp(-1, 1) + 1) / 2 - mean) / std).image_embeds, dim=-1
        )
