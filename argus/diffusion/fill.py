"""Filling of unseen pixels without a network.

Models that predict a residual start from `fill_unseen`, and evaluation uses the same functions as
baselines. All treat the map as circular along longitude.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def fill_unseen(erp: Tensor, mask: Tensor) -> Tensor:
    """Fill the pixels of a video that no camera sees.

    A pixel seen in other frames takes its mean over those frames. The rest takes the average of
    `fill_pull_push` and `fill_row_mean`.

    Args:
        erp: float [B, T, 3, H, W]; values where the mask is false are ignored.
        mask: bool [B, T, 1, H, W], True where seen.

    Returns:
        float [B, T, 3, H, W], equal to `erp` where seen; 0 throughout a sample with nothing seen.
    """
    seen = mask.to(erp.dtype)
    seen_count = seen.sum(1, keepdim=True)
    mean_over_time = (erp * seen).sum(1, keepdim=True) / seen_count.clamp(min=1)
    known = torch.where(mask, erp, mean_over_time)
    weight = (seen_count > 0).to(erp.dtype).expand_as(seen)
    frames, weights = known.flatten(0, 1), weight.flatten(0, 1)
    smooth = (fill_pull_push(frames, weights) + fill_row_mean(frames, weights)) / 2
    return torch.where(weight > 0, known, smooth.view_as(erp))


def fill_row_mean(x: Tensor, weight: Tensor) -> Tensor:
    """Replace every pixel by the mean of the known pixels of its row.

    Rows without a known pixel are filled by `fill_pull_push`.

    Args:
        x: float [N, 3, H, W].
        weight: float [N, 1, H, W], 1 where known, else 0.

    Returns:
        float [N, 3, H, W], constant along each row that has a known pixel.
    """
    count = weight.sum(-1, keepdim=True)
    mean = (x * weight).sum(-1, keepdim=True) / count.clamp(min=1)
    return fill_pull_push(mean.expand_as(x), (count > 0).to(x.dtype).expand_as(weight))


def fill_pull_push(x: Tensor, weight: Tensor) -> Tensor:
    """Fill unknown pixels from ever coarser averages of the known ones.

    Pull-push (Gortler et al. 1996, "The Lumigraph", section 3.4) with 2x2 averages. An odd height
    or width ends the recursion with one mean over the whole level.

    Args:
        x: float [N, 3, H, W].
        weight: float [N, 1, H, W], 1 where known, else 0.

    Returns:
        float [N, 3, H, W], equal to `x` where known; 0 if nothing is known.
    """
    height, width = x.shape[-2:]
    if height % 2 or width % 2:
        total = weight.sum((-2, -1), keepdim=True)
        mean = (x * weight).sum((-2, -1), keepdim=True) / total.clamp(min=1)
        return torch.where(weight > 0, x, mean)
    share = F.avg_pool2d(weight, 2)
    mean = F.avg_pool2d(x * weight, 2) / share.clamp(min=1e-6)
    coarse = fill_pull_push(mean, (share > 0).to(x.dtype))
    wrapped = F.pad(coarse, (1, 1, 0, 0), mode="circular")
    fine = F.interpolate(wrapped, scale_factor=2, mode="bilinear", align_corners=False)[..., 2:-2]
    return torch.where(weight > 0, x, fine)
