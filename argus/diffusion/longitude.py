"""Convolutions that know that the panorama's left and right edges meet."""

import torch.nn.functional as F
from torch import Tensor, nn


class LongitudeConv2d(nn.Conv2d):
    """Pads circularly along longitude (width) and with zeros along latitude."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:  # noqa: A002 (torch's name)
        rows, columns = int(self.padding[0]), int(self.padding[1])
        wrapped = F.pad(input, (columns, columns, 0, 0), mode="circular")
        return F.conv2d(wrapped, weight, bias, self.stride, (rows, 0), self.dilation, self.groups)


def wrap_longitude(module: nn.Module) -> int:
    """Makes every padded Conv2d below `module` circular by exchanging its class, so that the names of the weights stay. Returns how many."""
    count = 0
    for layer in module.modules():
        if type(layer) is nn.Conv2d and isinstance(layer.padding, tuple) and layer.padding[1] > 0:
            layer.__class__ = LongitudeConv2d
            count += 1
    return count


def unwrap_longitude(module: nn.Module) -> int:
    """The opposite of `wrap_longitude`."""
    count = 0
    for layer in module.modules():
        if type(layer) is LongitudeConv2d:
            layer.__class__ = nn.Conv2d  # type: ignore[assignment]  # the way back that mypy takes for a mistake
            count += 1
    return count
