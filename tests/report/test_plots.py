import io
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from argus.report import loss_curve, reason_bars

TRAIN = [(step, 2.0 / (step + 1) + 0.01) for step in range(200)]


@pytest.mark.parametrize("dark", [False, True])
def test_a_curve_is_an_svg_and_the_same_each_time(dark: bool) -> None:
    plot = loss_curve(TRAIN, [(0, 2.0), (100, 0.1)], dark=dark)
    assert ET.fromstring(plot).tag.endswith("svg")
    assert plot == loss_curve(TRAIN, [(0, 2.0), (100, 0.1)], dark=dark)
    assert plot != loss_curve(TRAIN, [(0, 2.0), (100, 0.2)], dark=dark)


def test_a_curve_may_be_a_png() -> None:
    picture = np.asarray(Image.open(io.BytesIO(loss_curve(TRAIN, file_format="png"))))
    assert picture.shape[2] == 4
    assert picture[0, 0, 3] == 0, "the background is transparent"
    assert picture[..., 3].max() == 255


@pytest.mark.parametrize(
    "train",
    [[], [(0, 1.0)], [(0, 1.0), (1, float("nan")), (2, float("inf"))], [(0, 0.0), (1, -1.0)]],
)
def test_odd_losses_still_make_a_plot(train: list[tuple[int, float]]) -> None:
    assert ET.fromstring(loss_curve(train)).tag.endswith("svg")


def test_a_name_is_no_formula() -> None:
    assert ET.fromstring(reason_bars({"$\\frac{$": 1})).tag.endswith("svg")


def test_bars_grow_with_the_reasons() -> None:
    few, many = (
        ET.fromstring(reason_bars({f"reason_{k}": k + 1 for k in range(count)})) for count in (1, 8)
    )
    assert float(many.get("height", "0").rstrip("pt")) > float(few.get("height", "0").rstrip("pt"))
    assert reason_bars({"kept": 3}) != reason_bars({"stereo": 3})
