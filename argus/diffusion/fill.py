"""A smooth fill of what no camera sees: the starting point of models that predict the difference to it. Circular along longitude."""

import torch
import torch.nn.functional as F
from torch import Tensor


def fill_unseen(erp: Tensor, seen: Tensor) -> Tensor:
    """Pixels seen in another frame take their mean over time; the rest takes the average of row mean and pull-push.

    erp [B, T, 3, H, W], seen bool [B, T, 1, H, W] → [B, T, 3, H, W]. Where nothing at all is seen the fill is 0.
    """
    mask = seen.to(erp.dtype)
    ever = mask.sum(1, keepdim=True)
    over_time = (erp * mask).sum(1, keepdim=True) / ever.clamp(min=1)
    known = torch.where(seen, erp, over_time)
    weight = (ever > 0).to(erp.dtype).expand_as(mask)
    flat, flat_weight = known.flatten(0, 1), weight.flatten(0, 1)
    smooth = (pull_push(flat, flat_weight) + pull_push(*row_mean(flat, flat_weight))) / 2
    return torch.where(weight > 0, known, smooth.view_as(erp))


def row_mean(x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Each row's mean over its known pixels [N, 3, H, W], and 1 in rows that have any [N, 1, H, W]."""
    count = weight.sum(-1, keepdim=True)
    mean = (x * weight).sum(-1, keepdim=True) / count.clamp(min=1)
    return mean.expand_as(x), (count > 0).to(x.dtype).expand_as(weight)


def pull_push(x: Tensor, weight: Tensor) -> Tensor:
    """Fills unknown pixels from ever coarser averages of the known ones. x [N, 3, H, W], weight 0 or 1 [N, 1, H, W]."""
    height, width = x.shape[-2:]
    if height % 2 or width % 2:
        mean = (x * weight).sum((-2, -1), keepdim=True) / weight.sum((-2, -1), keepdim=True).clamp(
            min=1
        )
        return torch.where(weight > 0, x, mean)
    share = F.avg_pool2d(weight, 2)
    mean = F.avg_pool2d(x * weight, 2) / share.clamp(min=1e-6)
    coarse = pull_push(mean, (share > 0).to(x.dtype))
    wrapped = F.pad(coarse, (1, 1, 0, 0), mode="circular")
    up = F.interpolate(wrapped, scale_factor=2, mode="bilinear", align_corners=False)[..., 2:-2]
    return torch.where(weight > 0, x, up)
