"""Plots."""

import io
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from argus.report import draw_bars, draw_loss_curve

TRAIN = [(step, 2.0 / (step + 1) + 0.01) for step in range(200)]


@pytest.mark.parametrize("dark", [False, True])
def test_a_loss_curve_is_a_deterministic_svg(dark: bool) -> None:
    plot = draw_loss_curve(TRAIN, [(0, 2.0), (100, 0.1)], dark=dark)
    assert ET.fromstring(plot).tag.endswith("svg")
    assert plot == draw_loss_curve(TRAIN, [(0, 2.0), (100, 0.1)], dark=dark)
    assert plot != draw_loss_curve(TRAIN, [(0, 2.0), (100, 0.2)], dark=dark)


def test_a_loss_curve_can_be_a_png() -> None:
    picture = np.asarray(Image.open(io.BytesIO(draw_loss_curve(TRAIN, file_format="png"))))
    assert picture.shape[2] == 4
    assert picture[0, 0, 3] == 0, "the background is transparent"
    assert picture[..., 3].max() == 255


@pytest.mark.parametrize(
    "train",
    [[], [(0, 1.0)], [(0, 1.0), (1, float("nan")), (2, float("inf"))], [(0, 0.0), (1, -1.0)]],
)
def test_unusual_losses_can_be_plotted(train: list[tuple[int, float]]) -> None:
    assert ET.fromstring(draw_loss_curve(train)).tag.endswith("svg")


def test_names_are_not_parsed_as_formulas() -> None:
    assert ET.fromstring(draw_bars({"$\\frac{$": 1})).tag.endswith("svg")


def test_the_height_grows_with_the_number_of_reasons() -> None:
    few, many = (
        ET.fromstring(draw_bars({f"reason_{k}": k + 1 for k in range(count)})) for count in (1, 8)
    )
    assert float(many.get("height", "0").rstrip("pt")) > float(few.get("height", "0").rstrip("pt"))
    assert draw_bars({"kept": 3}) != draw_bars({"stereo": 3})
