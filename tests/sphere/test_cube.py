import subprocess

import imageio_ffmpeg
import numpy as np
import pytest
import torch

from argus.errors import InvalidInput
from argus.sphere import Camera, CubeLayout, cube_to_erp, erp_to_cube, erp_to_view, fisheye_to_erp, from_euler_deg


def v360(frame, filters, size):
    """ffmpeg's own projection of one RGB frame."""
    height, width = size
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-v",
        "error",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        "-s",
        f"{frame.shape[1]}x{frame.shape[0]}",
        "-i",
        "-",
    ]
    command += ["-vf", f"format=gbrp,v360={filters}:interp=linear,format=rgb24", "-f", "rawvideo", "-"]
    done = subprocess.run(command, input=np.ascontiguousarray(frame).tobytes(), capture_output=True, check=True)
    return np.frombuffer(done.stdout, np.uint8).reshape(height, width, 3)


@pytest.mark.parametrize("layout", list(CubeLayout))
def test_cube_and_back_keeps_directions(directions, layout, angle_deg, rays_of):
    error = angle_deg(cube_to_erp(erp_to_cube(directions, 256, layout), (256, 512), layout)[0], rays_of((256, 512)))
    assert error.max() < (0.15 if layout is CubeLayout.EAC else 0.3)  # the outermost half pixel of a face, or of a band, is repeated
    assert np.median(error) < 0.01


@pytest.mark.parametrize("layout", list(CubeLayout))
def test_numpy_and_torch_cubes_agree(picture, layout):
    exact = picture.astype(np.float32) / 255
    cube = erp_to_cube(exact, 48, layout)
    tensor = torch.from_numpy(exact).permute(0, 3, 1, 2)
    np.testing.assert_allclose(cube, erp_to_cube(tensor, 48, layout).permute(0, 2, 3, 1).numpy(), atol=1e-4)
    erp = cube_to_erp(cube, (40, 80), layout)
    np.testing.assert_allclose(
        erp,
        cube_to_erp(torch.from_numpy(cube).permute(0, 3, 1, 2), (40, 80), layout).permute(0, 2, 3, 1).numpy(),
        atol=2e-2 if layout != "eac" else 1e-3,
    )


def test_a_plain_face_is_a_right_angled_view(picture):
    cube = erp_to_cube(picture, 64, "6x1")
    for k, (yaw, pitch) in enumerate([(90, 0), (-90, 0), (0, 90), (0, -90), (0, 0), (180, 0)]):
        view = erp_to_view(picture, from_euler_deg(yaw, pitch, 0), Camera(90, 64, 64))
        np.testing.assert_allclose(cube[:, :, k * 64 : (k + 1) * 64].astype(int), view, atol=1)


@pytest.mark.parametrize(("layout", "name"), [("3x2", "c3x2"), ("6x1", "c6x1"), ("eac", "eac")])
def test_layouts_are_ffmpegs(picture, layout, name):
    cube = erp_to_cube(picture, 64, layout)[0]
    other = v360(picture[0], f"e:{name}:w={cube.shape[1]}:h={cube.shape[0]}", cube.shape[:2])
    assert np.abs(cube.astype(int) - other).mean() < 1.5
    back = v360(cube, f"{name}:e:w=256:h=128", (128, 256))
    assert np.abs(cube_to_erp(cube[None], (128, 256), layout)[0].astype(int) - back).mean() < 1.5


def test_views_are_ffmpegs(picture):
    view = erp_to_view(picture, from_euler_deg(40, 25, 10), Camera(90, 96, 64, 60))[0]
    other = v360(picture[0], "e:flat:h_fov=90:v_fov=60:yaw=40:pitch=25:roll=10:w=96:h=64", (64, 96))
    assert np.abs(view.astype(int) - other).mean() < 1.5


@pytest.mark.parametrize("fov", [180, 195, 220])
def test_dual_fisheye_is_ffmpegs_and_comes_back(picture, fov):
    fisheye = v360(picture[0], f"e:dfisheye:h_fov={fov}:v_fov={fov}:w=512:h=256", (256, 512))
    erp = fisheye_to_erp(fisheye[None], fov, (128, 256))[0]
    assert np.abs(erp.astype(int) - picture[0]).mean() < 2.5


def test_one_lens_leaves_the_back_empty():
    erp = fisheye_to_erp(np.full((1, 64, 64, 3), 90, np.uint8), 180, (32, 64))[0]
    assert (erp[:, 17:47] == 90).all()
    assert not erp[:, :15].any()
    tensor = fisheye_to_erp(torch.ones(1, 3, 64, 64), 180, (32, 64))
    np.testing.assert_array_equal(tensor[0, 0].numpy() > 0, erp[..., 0] > 0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: erp_to_cube(x, 16, "4x3"), "layout"),
        (lambda x: cube_to_erp(x, (32, 64), "3x2"), "does not divide"),
        (lambda x: fisheye_to_erp(x[:, :100], 190, (32, 64)), "fisheye frame"),
    ],
)
def test_bad_input_is_said_clearly(picture, call, message):
    with pytest.raises(InvalidInput, match=message):
        call(picture)
