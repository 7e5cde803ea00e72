import subprocess

import imageio_ffmpeg
import numpy as np
import pytest
import torch

from argus.errors import InvalidInput
from argus.sphere import (
    Camera,
    CubeLayout,
    cube_to_erp,
    erp_to_cube,
    erp_to_fisheye,
    erp_to_view,
    fisheye_to_erp,
    from_euler_deg,
)
from argus.sphere.cube import cube_grid, cube_places

V360 = {"3x2": "c3x2", "cbmp": "c3x2", "6x1": "c6x1", "eac": "eac"}
TURNED = {"cbmp": "002200"}  # ffmpeg's own faces, the third and the fourth half a turn round


@pytest.fixture
def fine(rays_of):
    """A smooth map for comparisons with ffmpeg, which takes the centres of a map's outermost pixels for its edges: up to half a pixel, 0.18° here."""
    rays = rays_of((512, 1024))
    random = np.random.default_rng(3)
    waves = [np.sin(rays @ random.normal(size=3) * 4 + random.uniform(0, 6)) for _ in range(9)]
    return (
        np.rint(127 + 40 * np.stack([sum(waves[c::3]) for c in range(3)], -1))[None]
        .clip(0, 255)
        .astype(np.uint8)
    )


def v360(frame, filters, size, interpolation="linear"):
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
    command += [
        "-vf",
        f"format=gbrp,v360={filters}:interp={interpolation},format=rgb24",
        "-f",
        "rawvideo",
        "-",
    ]
    done = subprocess.run(
        command, input=np.ascontiguousarray(frame).tobytes(), capture_output=True, check=True
    )
    return np.frombuffer(done.stdout, np.uint8).reshape(height, width, 3)


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
@pytest.mark.parametrize("layout", list(CubeLayout))
def test_cube_and_back_keeps_directions(directions, layout, interpolation, angle_deg, rays_of):
    """Edges of faces and the rows' ends included; a pixel is 0.7° wide. Bicubic weights are rounded to 1/32 pixel."""
    worst, middle = {"linear": (0.12 if layout == "eac" else 0.01, 0.002), "cubic": (0.1, 0.04)}[
        interpolation
    ]
    there = erp_to_cube(directions, 256, layout, interpolation=interpolation)
    error = angle_deg(
        cube_to_erp(there, (256, 512), layout, interpolation=interpolation)[0], rays_of((256, 512))
    )
    assert error.max() < worst
    assert np.median(error) < middle
    tensor = torch.from_numpy(directions).permute(0, 3, 1, 2)
    back = cube_to_erp(
        erp_to_cube(tensor, 256, layout, interpolation=interpolation),
        (256, 512),
        layout,
        interpolation=interpolation,
    )
    error = angle_deg(back[0].permute(1, 2, 0).numpy(), rays_of((256, 512)))
    assert error.max() < worst


@pytest.mark.parametrize(
    ("layout", "face"),
    [("eac", (270, 320)), ("3x2", (120, 160)), ("6x1", (128, 96)), ("eac", (96, 96))],
)
def test_stretched_and_coarse_faces_keep_directions_too(
    directions, layout, face, angle_deg, rays_of
):
    cube = erp_to_cube(directions, face, layout)
    assert cube.shape[1] * cube.shape[2] == 6 * face[0] * face[1]
    error = angle_deg(cube_to_erp(cube, (256, 512), layout)[0], rays_of((256, 512)))
    assert error.max() < 0.15
    assert np.median(error) < 0.03


def differences(ours, theirs):
    """(mean, largest) in levels of 255."""
    apart = np.abs(ours.astype(int) - theirs)
    return apart.mean(), apart.max()


@pytest.mark.parametrize(
    "size", [(540, 960), (720, 1280), (144, 256)]
)  # of the last two, faces are not whole pixels wide
def test_youtubes_pictures_are_read_at_any_size(fine, size):
    packed = v360(fine[0], f"e:eac:w={size[1]}:h={size[0]}", size)
    if size == (540, 960):
        assert differences(erp_to_cube(fine, (270, 320), "eac")[0], packed)[1] <= 4
    mean, largest = differences(cube_to_erp(packed[None], (512, 1024), "eac")[0], fine[0])
    assert mean < 0.7
    assert largest <= 4


@pytest.mark.parametrize("layout", list(CubeLayout))
def test_no_line_shows_where_faces_meet(layout):
    grey = np.full((1, 64, 128, 3), 100, np.uint8)
    for face in (48, 31):  # 31: denser than nothing, and an odd number
        for interpolation in ("linear", "cubic"):
            assert (
                cube_to_erp(
                    erp_to_cube(grey, face, layout), (64, 128), layout, interpolation=interpolation
                )
                == 100
            ).all()


@pytest.mark.parametrize("layout", list(CubeLayout))
def test_a_dense_picture_is_averaged_before_it_becomes_a_small_map(layout):
    """Stripes one pixel wide in every face become grey, as they would through an eye that cannot resolve them."""
    face = 128
    shape = (1, face, 6 * face, 3) if layout == "6x1" else (1, 2 * face, 3 * face, 3)
    stripes = np.zeros(shape, np.uint8)
    stripes[:, :, ::2] = 200
    erp = cube_to_erp(stripes, (32, 64), layout)
    assert np.abs(erp.astype(int) - 100).max() < 20


@pytest.mark.parametrize("layout", list(CubeLayout))
def test_places_are_where_pixels_are(layout, rays_of):
    """Directions of the pixels of a packed picture lie at those pixels, and a grid over the faces says the same."""
    size = (128, 768) if layout == "6x1" else (256, 384)
    packed = erp_to_cube(rays_of((256, 512))[None], 128, layout)[0]
    places = cube_places(packed[10:80, 10:80].reshape(-1, 3), size, layout)
    rows, columns = np.mgrid[10:80, 10:80]
    expected = np.stack([(columns.ravel() + 0.5) / size[1], (rows.ravel() + 0.5) / size[0]], -1)
    assert np.abs(places - expected).max() < 2e-4
    directions, grid = cube_grid(size, layout)
    inner = slice(1, -1)
    np.testing.assert_allclose(
        cube_places(directions[:, inner, inner].reshape(-1, 3), size, layout),
        grid[:, inner, inner].reshape(-1, 2),
        atol=1e-9,
    )


@pytest.mark.parametrize("layout", list(CubeLayout))
def test_numpy_and_torch_cubes_agree(picture, layout):
    exact = picture.astype(np.float32) / 255
    cube = erp_to_cube(exact, 48, layout)
    tensor = torch.from_numpy(exact).permute(0, 3, 1, 2)
    np.testing.assert_allclose(
        cube, erp_to_cube(tensor, 48, layout).permute(0, 2, 3, 1).numpy(), atol=1e-4
    )
    erp = cube_to_erp(cube, (40, 80), layout)
    np.testing.assert_allclose(
        erp,
        cube_to_erp(torch.from_numpy(cube).permute(0, 3, 1, 2), (40, 80), layout)
        .permute(0, 2, 3, 1)
        .numpy(),
        atol=2e-2 if layout != "eac" else 1e-3,
    )


def test_a_plain_face_is_a_right_angled_view(picture):
    cube = erp_to_cube(picture, 64, "6x1")
    for k, (yaw, pitch) in enumerate([(90, 0), (-90, 0), (0, 90), (0, -90), (0, 0), (180, 0)]):
        view = erp_to_view(picture, from_euler_deg(yaw, pitch, 0), Camera(90, 64, 64))
        np.testing.assert_allclose(cube[:, :, k * 64 : (k + 1) * 64].astype(int), view, atol=1)


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
@pytest.mark.parametrize("layout", list(CubeLayout))
def test_layouts_are_ffmpegs(fine, layout, interpolation):
    turned = TURNED.get(layout, "000000")
    cube = erp_to_cube(fine, 256, layout, interpolation=interpolation)[0]
    other = v360(
        fine[0],
        f"e:{V360[layout]}:out_frot={turned}:w={cube.shape[1]}:h={cube.shape[0]}",
        cube.shape[:2],
        interpolation,
    )
    back = v360(cube, f"{V360[layout]}:e:in_frot={turned}:w=1024:h=512", (512, 1024), interpolation)
    for mean, largest in (
        differences(cube, other),
        differences(
            cube_to_erp(cube[None], (512, 1024), layout, interpolation=interpolation)[0], back
        ),
    ):
        assert mean < 0.7
        assert largest <= 4


def test_views_are_ffmpegs(picture):
    view = erp_to_view(picture, from_euler_deg(40, 25, 10), Camera(90, 96, 64, 60))[0]
    other = v360(picture[0], "e:flat:h_fov=90:v_fov=60:yaw=40:pitch=25:roll=10:w=96:h=64", (64, 96))
    assert np.abs(view.astype(int) - other).mean() < 1.5


@pytest.mark.parametrize("fov", [180, 195, 220])
def test_dual_fisheye_is_ffmpegs_and_comes_back(fine, fov):
    fisheye = v360(fine[0], f"e:dfisheye:h_fov={fov}:v_fov={fov}:w=1024:h=512", (512, 1024))
    mean, largest = differences(fisheye_to_erp(fisheye[None], fov, (512, 1024))[0], fine[0])
    assert mean < 0.7
    assert largest <= 4


def within_circles(size, lenses, rim=0.0):
    offset = np.arange(size) + 0.5 - size / 2
    return np.tile(np.hypot(offset[:, None], offset) <= size / 2 + rim, lenses)


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
@pytest.mark.parametrize("fov", [150, 180, 220])
@pytest.mark.parametrize("lenses", [1, 2])
def test_fisheye_frames_are_ffmpegs(fine, lenses, fov, interpolation):
    name = {1: "fisheye", 2: "dfisheye"}[lenses]
    ours = erp_to_fisheye(fine, fov, 400, lenses=lenses, interpolation=interpolation)[0]
    theirs = v360(
        fine[0],
        f"e:{name}:h_fov={fov}:v_fov={fov}:w={400 * lenses}:h=400",
        (400, 400 * lenses),
        interpolation,
    )
    inside = within_circles(400, lenses)
    mean, largest = differences(ours[inside], theirs[inside])
    assert mean < 0.7
    assert largest <= 4
    assert not ours[~within_circles(400, lenses, 2)].any()


@pytest.mark.parametrize(
    ("fov", "worst"), [(180, 0.4), (200, 0.01), (220, 0.01)]
)  # at 180° no lens sees the pixels between the circles
def test_fisheye_and_back_keeps_directions(directions, fov, worst, angle_deg, rays_of):
    error = angle_deg(
        fisheye_to_erp(erp_to_fisheye(directions, fov, 256), fov, (256, 512))[0],
        rays_of((256, 512)),
    )
    assert error.max() < worst
    assert np.median(error) < 0.005
    tensor = torch.from_numpy(directions).permute(0, 3, 1, 2)
    error = angle_deg(
        fisheye_to_erp(erp_to_fisheye(tensor, fov, 256), fov, (256, 512))[0]
        .permute(1, 2, 0)
        .numpy(),
        rays_of((256, 512)),
    )
    assert error.max() < worst


def test_fisheye_is_the_same_in_torch_and_has_gradients(picture):
    exact = picture.astype(np.float32) / 255
    tensor = torch.from_numpy(exact).permute(0, 3, 1, 2).requires_grad_()
    circles = erp_to_fisheye(tensor, 190, 64)
    np.testing.assert_allclose(
        circles.detach().permute(0, 2, 3, 1).numpy(), erp_to_fisheye(exact, 190, 64), atol=1e-4
    )
    circles.sum().backward()
    assert torch.isfinite(tensor.grad).all()
    assert tensor.grad.abs().sum() > 0


def test_a_small_fisheye_is_averaged_and_not_picked(picture):
    stripes = np.zeros((1, 256, 512, 3), np.uint8)
    stripes[:, :, ::2] = 200
    circle = erp_to_fisheye(stripes, 180, 32, lenses=1)[0]
    assert np.abs(circle[within_circles(32, 1)].astype(int) - 100).max() < 12


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
        (lambda x: cube_to_erp(x[:, :127], (32, 64), "eac"), "does not divide"),
        (lambda x: cube_to_erp(x[:, :, :255], (32, 64), "6x1"), "does not divide"),
        (lambda x: cube_to_erp(x[:, :8], (32, 64), "eac"), "margins"),
        (lambda x: erp_to_cube(x, 4, "eac"), "more than 4"),
        (lambda x: erp_to_cube(x, (16, 0), "3x2"), "more than 0"),
        (lambda x: erp_to_fisheye(x, 0, 32), "fov_deg"),
        (lambda x: erp_to_fisheye(x, 190, 32, lenses=3), "1 or 2 lenses"),
        (lambda x: fisheye_to_erp(x[:, :100], 190, (32, 64)), "fisheye frame"),
    ],
)
def test_bad_input_is_said_clearly(picture, call, message):
    with pytest.raises(InvalidInput, match=message):
        call(picture)
