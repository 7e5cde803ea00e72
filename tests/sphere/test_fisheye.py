from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from argus.errors import InvalidInput
from argus.sphere import FisheyeLens, erp_to_fisheye, fisheye_to_erp, ideal_lenses
from tests.support.sphere import angle_deg, as_numpy, as_torch, erp_rays, run_v360, smooth_map
from tests.support.two_lenses import (
    mask_seam_of_lenses,
    measure_psnr,
    show_map,
    show_through_lens,
)


@pytest.fixture
def large_picture():
    """A map for comparisons with ffmpeg, whose maps differ from ours by up to 0.18° at this size."""
    return smooth_map((512, 1024))


def differences(ours, theirs):
    """Return (mean, maximum) absolute difference in levels of 255."""
    difference = np.abs(ours.astype(int) - theirs)
    return difference.mean(), difference.max()


def circle_mask(size, lenses):
    offset = np.arange(size) + 0.5 - size / 2
    return np.tile(np.hypot(offset[:, None], offset) <= size / 2, lenses)


@pytest.mark.parametrize("fov", [180, 195, 220])
def test_ffmpegs_dual_fisheye_is_read(large_picture, fov):
    options = f"e:dfisheye:h_fov={fov}:v_fov={fov}:w=1024:h=512"
    circles = run_v360(large_picture[0], options, (512, 1024))
    erp = fisheye_to_erp(circles[None], fov, (512, 1024))
    mean, maximum = differences(erp[0], large_picture[0])
    assert mean < 0.7
    assert maximum <= 4


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
@pytest.mark.parametrize("fov", [150, 180, 220])
@pytest.mark.parametrize("lenses", [1, 2])
def test_circles_are_ffmpegs(large_picture, lenses, fov, interpolation):
    name = {1: "fisheye", 2: "dfisheye"}[lenses]
    ours = erp_to_fisheye(large_picture, fov, 400, lenses=lenses, interpolation=interpolation)[0]
    options = f"e:{name}:h_fov={fov}:v_fov={fov}:w={400 * lenses}:h=400"
    theirs = run_v360(large_picture[0], options, (400, 400 * lenses), interpolation)
    mask = circle_mask(400, lenses)
    mean, maximum = differences(ours[mask], theirs[mask])
    assert mean < 0.7
    assert maximum <= 4


# At 180° no lens sees the pixels between the circles.
@pytest.mark.parametrize(("fov", "maximum"), [(180, 0.4), (200, 0.01), (220, 0.01)])
def test_a_round_trip_keeps_directions(direction_map, fov, maximum):
    size = (256, 512)
    erp = fisheye_to_erp(erp_to_fisheye(direction_map, fov, 256), fov, size)
    error = angle_deg(erp[0], erp_rays(size))
    assert error.max() < maximum
    assert np.median(error) < 0.005
    erp = fisheye_to_erp(erp_to_fisheye(as_torch(direction_map), fov, 256), fov, size)
    assert angle_deg(as_numpy(erp)[0], erp_rays(size)).max() < maximum


def test_numpy_and_torch_agree_and_torch_has_gradients(picture):
    erp = picture.astype(np.float32) / 255
    tensor = as_torch(erp).requires_grad_()
    circles = erp_to_fisheye(tensor, 190, 64)
    np.testing.assert_allclose(as_numpy(circles.detach()), erp_to_fisheye(erp, 190, 64), atol=1e-4)
    circles.sum().backward()
    assert torch.isfinite(tensor.grad).all()
    assert tensor.grad.abs().sum() > 0


def test_a_dense_map_is_averaged_for_a_small_circle():
    stripes = np.zeros((1, 256, 512, 3), np.uint8)
    stripes[:, :, ::2] = 200
    circle = erp_to_fisheye(stripes, 180, 32, lenses=1)[0]
    assert np.abs(circle[circle_mask(32, 1)].astype(int) - 100).max() < 12


def test_one_lens_leaves_the_back_black():
    erp = fisheye_to_erp(np.full((1, 64, 64, 3), 90, np.uint8), 180, (32, 64))[0]
    assert (erp[:, 17:47] == 90).all()
    assert not erp[:, :15].any()
    tensor = fisheye_to_erp(torch.ones(1, 3, 64, 64), 180, (32, 64))
    np.testing.assert_array_equal(tensor[0, 0].numpy() > 0, erp[..., 0] > 0)


@pytest.mark.parametrize(
    ("call", "value"),
    [
        (lambda x: erp_to_fisheye(x, 0, 32), "fov_deg is 0"),
        (lambda x: erp_to_fisheye(x, 361, 32), "fov_deg is 361"),
        (lambda x: erp_to_fisheye(x, 190, 32, lenses=3), "lenses=3"),
        (lambda x: erp_to_fisheye(x, 190, 1), "size=1"),
        (lambda x: fisheye_to_erp(x[:, :100], 190, (32, 64)), "256x100"),
    ],
)
def test_invalid_input_is_named(picture, call, value):
    with pytest.raises(InvalidInput, match=value):
        call(picture)


REAL_LENSES = (  # off-center, distorted, tilted, of a picture of 2880x2880
    {
        "fov_deg": 197.0,
        "yaw_deg": 178.2,
        "pitch_deg": -2.4,
        "roll_deg": 3.1,
        "picture": (2880, 2880),
        "center": (1461.3, 1422.8),
        "radius": 1401.5,
        "k": (0.081, -0.022, 0.0031, -0.0004),
    },
    {
        "fov_deg": 200.0,
        "yaw_deg": -0.7,
        "pitch_deg": 1.9,
        "roll_deg": -91.2,
        "picture": (2880, 2880),
        "center": (1432.1, 1447.2),
        "radius": 1408.0,
        "k": (0.07, 0.004, -0.003, 0.0003),
    },
)


def render_pair(size, lenses=REAL_LENSES):
    return np.concatenate([show_through_lens(lens, (size, size)) for lens in lenses], 1)[None]


def as_lenses(lenses=REAL_LENSES):
    return [FisheyeLens(**lens) for lens in lenses]


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
def test_real_lenses_become_the_map(interpolation):
    size = (256, 512)
    erp = fisheye_to_erp(render_pair(320), as_lenses(), size, interpolation=interpolation)[0]
    outside = mask_seam_of_lenses(size, np.array([0, 0, 1]))
    assert measure_psnr(erp, show_map(size), outside) > 35
    assert measure_psnr(erp, show_map(size), ~outside) > 35  # the scene has no parallax
    ideal = fisheye_to_erp(render_pair(320), 197, size)[0]
    assert measure_psnr(ideal, show_map(size), outside) < 25


@pytest.mark.parametrize("name", ["center", "k", "roll_deg", "pitch_deg", "yaw_deg", "radius"])
def test_every_parameter_of_a_lens_counts(name):
    wrong = [replace(lens, **{name: getattr(FisheyeLens(197), name)}) for lens in as_lenses()]
    size = (256, 512)
    erp = fisheye_to_erp(render_pair(320), wrong, size)[0]
    outside = mask_seam_of_lenses(size, np.array([0, 0, 1]))
    assert measure_psnr(erp, show_map(size), outside) < 35


def test_a_lens_in_pixels_is_that_in_shares():
    shares = [
        replace(
            lens,
            picture=(1.0, 1.0),
            center=(lens.center[0] / 2880, lens.center[1] / 2880),
            radius=lens.radius / 2880,
        )
        for lens in as_lenses()
    ]
    pixels = fisheye_to_erp(render_pair(96), as_lenses(), (64, 128))
    np.testing.assert_array_equal(fisheye_to_erp(render_pair(96), shares, (64, 128)), pixels)


def test_pictures_of_lenses_need_not_be_square():
    lens = {**REAL_LENSES[1], "picture": (400, 300), "center": (190, 160), "radius": 140}
    picture = show_through_lens(lens, (300, 400))
    erp = fisheye_to_erp(picture[None], [FisheyeLens(**lens)], (256, 512))[0]
    seen = np.arange(512) / 512 * 360 - 180
    mask = np.zeros((256, 512), bool)
    mask[32:224] = np.abs(seen) < 60
    assert measure_psnr(erp, show_map((256, 512)), mask) > 35


def test_ideal_lenses_are_those_of_a_field_of_view():
    pair = render_pair(96)
    np.testing.assert_array_equal(
        fisheye_to_erp(pair, ideal_lenses(200), (64, 128)), fisheye_to_erp(pair, 200, (64, 128))
    )


def test_numpy_and_torch_agree_about_lenses():
    pair = render_pair(128).astype(np.float32) / 255
    ours = fisheye_to_erp(pair, as_lenses(), (64, 128))
    tensor = as_torch(pair).requires_grad_()
    theirs = fisheye_to_erp(tensor, as_lenses(), (64, 128))
    np.testing.assert_allclose(as_numpy(theirs.detach()), ours, atol=2e-4)
    theirs.sum().backward()
    assert torch.isfinite(tensor.grad).all()


def test_opencvs_fisheye_model_is_ours():
    lens = FisheyeLens(150, picture=(640, 640), radius=300, k=(0.03, -0.01, 0.002, -0.0003))
    focal = lens.radius / float(lens.distort(lens.half_fov))
    matrix = np.array([[focal, 0, 319.5], [0, focal, 319.5], [0, 0, 1]])
    rays = np.random.default_rng(0).normal(size=(200, 1, 3)) * (1, 1, 0.2) + (0, 0, 1.5)
    rays = rays[rays[..., 2] > 0.3].reshape(-1, 1, 3)
    theirs, _ = cv2.fisheye.projectPoints(rays, np.zeros(3), np.zeros(3), matrix, np.array(lens.k))
    _, column, row = lens.project(tuple(rays[:, 0].T), (640, 640), 1.0)
    np.testing.assert_allclose(np.stack([column, row], 1), theirs[:, 0], atol=1e-6)


@pytest.mark.parametrize(
    ("fields", "value"),
    [
        ({"fov_deg": 0}, "fov_deg"),
        ({"fov_deg": 400}, "fov_deg"),
        ({"fov_deg": 200, "radius": 0}, "radius"),
        ({"fov_deg": 200, "center": (1440, 1440)}, "center"),
        ({"fov_deg": 200, "picture": (0, 1)}, "picture"),
        ({"fov_deg": 200, "k": (-0.5, 0, 0, 0)}, "k is"),
    ],
)
def test_an_impossible_lens_is_named(fields, value):
    with pytest.raises(InvalidInput, match=value):
        FisheyeLens(**fields)


def test_frames_must_divide_into_the_lenses():
    with pytest.raises(InvalidInput, match="127"):
        fisheye_to_erp(np.zeros((1, 64, 127, 3), np.uint8), as_lenses(), (32, 64))
