"""Converted videos equal the ERP map they were made from, within a stated error, for every layout."""

import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from argus.curate.frame_sampling import ERP_SIZE, sample_native_frames
from argus.curate.layout import (
    NO_CONVERSION,
    Conversion,
    EquirectReader,
    SourceProjection,
    convert_native_frames,
    detect_layout,
)
from argus.media import frame_stride, open_video, write_video
from argus.sphere import CubeLayout, erp_to_cube, erp_to_fisheye
from argus.synth import World, make_path
from schemas.config import FilterSettings
from schemas.names import Layout

HEIGHT, WIDTH = 256, 512
Frames = np.ndarray
EVERY = (*FilterSettings().convert, Layout.DUAL_FISHEYE)


@pytest.fixture(scope="module")
def pair() -> tuple[Frames, Frames]:
    """Render a left and a right eye, each uint8 [3, 256, 512, 3]."""
    path = make_path(411, 3, Fraction(1))
    aside = 0.0325 * path.rotations[:1, :, 0]
    left, right = (
        World(411).render(
            path.rotations,
            path.positions + side * aside,
            path.times,
            (HEIGHT, WIDTH),
            supersample=2,
        )
        for side in (-1, 1)
    )
    return left, right


def scaled(frames: Frames, height: int, width: int) -> Frames:
    return np.stack(
        [cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA) for frame in frames]
    )


def psnr(one: Frames, other: Frames) -> float:
    return float(10 * np.log10(255**2 / max(1e-9, np.mean((one.astype(np.float64) - other) ** 2))))


STORED: dict[str, tuple[Layout, float, Callable[[Frames, Frames], Frames]]] = {
    "left eye above": (Layout.STEREO_TB, 36, lambda left, right: np.concatenate([left, right], 1)),
    "left eye beside": (
        Layout.STEREO_SBS,
        36,
        lambda left, right: np.concatenate([left, right], 2),
    ),
    "left eye above, squeezed": (
        Layout.STEREO_TB,
        27,
        lambda left, right: scaled(np.concatenate([left, right], 1), HEIGHT, WIDTH),
    ),
    "squeezed": (Layout.MONO_ERP_16X9, 31, lambda left, _: scaled(left, HEIGHT, 456)),
    "letterboxed": (
        Layout.MONO_ERP_LETTERBOXED,
        35,
        lambda left, _: np.pad(left, ((0, 0), (16, 16), (0, 0), (0, 0))),
    ),
    "eac": (Layout.EAC, 32, lambda left, _: erp_to_cube(left, 200, CubeLayout.EAC)),
    "eac, stretched": (
        Layout.EAC,
        32,
        lambda left, _: erp_to_cube(left, (180, 214), CubeLayout.EAC),
    ),
    "3x2": (Layout.CUBEMAP, 32, lambda left, _: erp_to_cube(left, 200, CubeLayout.C3X2)),
    "3x2 as tagged": (Layout.CUBEMAP, 32, lambda left, _: erp_to_cube(left, 200, CubeLayout.CBMP)),
    "6x1": (Layout.CUBEMAP, 32, lambda left, _: erp_to_cube(left, 200, CubeLayout.C6X1)),
    "fisheyes": (Layout.DUAL_FISHEYE, 31, lambda left, _: erp_to_fisheye(left, 200, 356)),
}
"""Layout, least PSNR in dB after encoding at CRF 10 and conversion, and how the frames are made."""


@pytest.mark.parametrize("name", STORED)
def test_a_converted_video_is_the_map_it_was_made_from(
    pair: tuple[Frames, Frames], tmp_path: Path, name: str
) -> None:
    layout, least, make = STORED[name]
    write_video(tmp_path / "a.mp4", make(*pair), 1, crf=10)
    with open_video(tmp_path / "a.mp4") as reader:
        verdict = detect_layout(
            reader.info, sample_native_frames(reader, 1), FilterSettings(convert=EVERY)
        )
        assert (verdict.layout, verdict.reason) == (layout, None), verdict
        erp = EquirectReader(reader, verdict.conversion).frames(np.arange(3), (HEIGHT, WIDTH))
    got = psnr(erp, pair[0])
    print(f"{name}: {got:.1f} dB, mean error {np.abs(erp.astype(int) - pair[0]).mean():.2f} levels")
    assert got > least
    assert got > psnr(erp, pair[1]) + 0.5, "it is not the left eye"


@pytest.mark.parametrize("name", ["left eye above", "eac", "3x2"])
def test_sampled_frames_are_converted_like_clips(
    pair: tuple[Frames, Frames], tmp_path: Path, name: str
) -> None:
    write_video(tmp_path / "a.mp4", STORED[name][2](*pair), 5, crf=10)
    with open_video(tmp_path / "a.mp4") as reader:
        stored = sample_native_frames(reader, frame_stride(reader.fps, 5.0))
        conversion = detect_layout(reader.info, stored, FilterSettings()).conversion
        samples = convert_native_frames(stored, conversion, ERP_SIZE)
        clip = EquirectReader(reader, conversion).frames(np.arange(3), ERP_SIZE)
    assert samples.frames.shape == samples.next_frames.shape == (3, *ERP_SIZE, 3)
    assert psnr(samples.frames, clip) > 34


@pytest.mark.parametrize("scale", [2, 3])
def test_an_eac_decoded_smaller_keeps_its_margins(pair: tuple[Frames, Frames], scale: int) -> None:
    """Margins shrink with the picture; if that were ignored, faces would be up to two pixels off."""
    eac = erp_to_cube(pair[0], 200 * scale, CubeLayout.EAC)
    native = eac.shape[1], eac.shape[2]
    small = scaled(eac, 400, 600)
    with_margins = Conversion(SourceProjection.EAC, native_size=native).apply(
        small, (HEIGHT, WIDTH)
    )
    assert psnr(with_margins, pair[0]) > 32
    assert (
        psnr(with_margins, pair[0])
        > psnr(Conversion(SourceProjection.EAC).apply(small, (HEIGHT, WIDTH)), pair[0]) + 1
    )


@pytest.mark.parametrize(
    ("conversion", "size"),
    [
        (NO_CONVERSION, (512, 1024)),
        (Conversion(crop=(0, 0, 0.5, 1)), (1024, 1024)),
        (Conversion(crop=(0, 0, 1, 0.5)), (512, 2048)),
        (Conversion(SourceProjection.EAC, native_size=(2160, 3840)), (616, 924)),
        (Conversion(SourceProjection.EAC, native_size=(400, 600)), (400, 600)),
        (Conversion(SourceProjection.C6X1, native_size=(1024, 6144)), (410, 2460)),
        (Conversion(SourceProjection.DUAL_FISHEYE, fov_deg=180), (512, 1024)),
    ],
)
def test_frames_are_decoded_no_larger_than_the_map_needs(
    conversion: Conversion, size: tuple[int, int]
) -> None:
    assert conversion.stored_size((512, 1024)) == size


@pytest.mark.parametrize(
    ("conversion", "rows"),
    [
        (NO_CONVERSION, 1080),
        (Conversion(crop=(0, 0, 0.5, 1)), 540),
        (Conversion(crop=(0, 0, 1, 0.5)), 1080),
        (Conversion(SourceProjection.EAC, native_size=(1080, 1620)), 1080),
        (Conversion(SourceProjection.C6X1, native_size=(1080, 6480)), 2160),
        (Conversion(SourceProjection.DUAL_FISHEYE, fov_deg=200), 972),
    ],
)
def test_erp_height_is_the_detail_that_a_video_holds(conversion: Conversion, rows: float) -> None:
    assert conversion.erp_height((1080, 1920)) == pytest.approx(rows)


def test_a_conversion_pickles_and_is_immutable() -> None:
    conversion = Conversion(SourceProjection.EAC, native_size=(400, 600))
    assert pickle.loads(pickle.dumps(conversion)) == conversion
    with pytest.raises(FrozenInstanceError):
        conversion.fov_deg = 1.0  # type: ignore[misc]
