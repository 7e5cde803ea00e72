import numpy as np
import pytest
import torch

from argus.errors import InvalidInput
from argus.sphere import (
    Camera,
    CubeLayout,
    cube_coordinates,
    cube_grid,
    cube_to_erp,
    erp_to_cube,
    erp_to_view,
    from_euler_deg,
)
from tests.support.sphere import angle_deg, as_numpy, as_torch, erp_rays, run_v360, smooth_map

V360_NAMES = {"3x2": "c3x2", "cbmp": "c3x2", "6x1": "c6x1", "eac": "eac"}
V360_ROTATIONS = {"cbmp": "002200"}  # half a turn for the third and the fourth face
LAYOUTS = list(CubeLayout)


@pytest.fixture
def large_picture():
    """A map for comparisons with ffmpeg, which takes the centers of a map's outermost pixels for
    its edges: an error of up to half a pixel, 0.18° here."""
    return smooth_map((512, 1024))


def differences(ours, theirs):
    """Return (mean, maximum) absolute difference in levels of 255."""
    difference = np.abs(ours.astype(int) - theirs)
    return difference.mean(), difference.max()


def cube_size(layout, face=128):
    return (face, 6 * face) if layout == "6x1" else (2 * face, 3 * face)


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_round_trip_keeps_directions(direction_map, layout, interpolation):
    """This includes the edges of faces and the ends of rows. A pixel is 0.7° wide; OpenCV rounds
    bicubic weights to 1/32 pixel."""
    maximum, median = {"linear": (0.12 if layout == "eac" else 0.01, 0.002), "cubic": (0.1, 0.04)}[
        interpolation
    ]
    size, options = (256, 512), {"interpolation": interpolation}
    cube = erp_to_cube(direction_map, 256, layout, **options)
    error = angle_deg(cube_to_erp(cube, size, layout, **options)[0], erp_rays(size))
    assert error.max() < maximum
    assert np.median(error) < median
    cube = erp_to_cube(as_torch(direction_map), 256, layout, **options)
    erp = as_numpy(cube_to_erp(cube, size, layout, **options))
    assert angle_deg(erp[0], erp_rays(size)).max() < maximum


@pytest.mark.parametrize(
    ("layout", "face_size"),
    [("eac", (270, 320)), ("3x2", (120, 160)), ("6x1", (128, 96)), ("eac", (96, 96))],
)
def test_a_round_trip_over_stretched_and_coarse_faces_keeps_directions(
    direction_map, layout, face_size
):
    cube = erp_to_cube(direction_map, face_size, layout)
    assert cube.shape[1] * cube.shape[2] == 6 * face_size[0] * face_size[1]
    error = angle_deg(cube_to_erp(cube, (256, 512), layout)[0], erp_rays((256, 512)))
    assert error.max() < 0.15
    assert np.median(error) < 0.03


# Faces of the last two sizes are not whole pixels wide.
@pytest.mark.parametrize("size", [(540, 960), (720, 1280), (144, 256)])
def test_youtubes_eac_is_read_at_any_size(large_picture, size):
    cube = run_v360(large_picture[0], f"e:eac:w={size[1]}:h={size[0]}", size)
    if size == (540, 960):
        assert differences(erp_to_cube(large_picture, (270, 320), "eac")[0], cube)[1] <= 4
    erp = cube_to_erp(cube[None], (512, 1024), "eac")
    mean, maximum = differences(erp[0], large_picture[0])
    assert mean < 0.7
    assert maximum <= 4


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_uniform_map_has_no_line_where_faces_meet(layout):
    gray = np.full((1, 64, 128, 3), 100, np.uint8)
    for face_size in (48, 31):  # denser than the map, and odd
        cube = erp_to_cube(gray, face_size, layout)
        for interpolation in ("linear", "cubic"):
            erp = cube_to_erp(cube, (64, 128), layout, interpolation=interpolation)
            assert (erp == 100).all()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_dense_cube_is_averaged_for_a_small_map(layout):
    """Stripes one pixel wide in every face become gray."""
    stripes = np.zeros((1, *cube_size(layout), 3), np.uint8)
    stripes[:, :, ::2] = 200
    erp = cube_to_erp(stripes, (32, 64), layout)
    assert np.abs(erp.astype(int) - 100).max() < 20


@pytest.mark.parametrize("layout", LAYOUTS)
def test_coordinates_agree_with_pixels_and_with_the_grid(layout):
    size = cube_size(layout)
    cube = erp_to_cube(erp_rays((256, 512))[None], 128, layout)[0]
    found = cube_coordinates(cube[10:80, 10:80].reshape(-1, 3), size, layout)
    rows, columns = np.mgrid[10:80, 10:80]
    expected = np.stack([(columns.ravel() + 0.5) / size[1], (rows.ravel() + 0.5) / size[0]], -1)
    assert np.abs(found - expected).max() < 2e-4
    directions, coordinates = cube_grid(size, layout)
    inner = slice(1, -1)
    np.testing.assert_allclose(
        cube_coordinates(directions[:, inner, inner].reshape(-1, 3), size, layout),
        coordinates[:, inner, inner].reshape(-1, 2),
        atol=1e-9,
    )


@pytest.mark.parametrize("layout", LAYOUTS)
def test_numpy_and_torch_agree(picture, layout):
    erp = picture.astype(np.float32) / 255
    cube = erp_to_cube(erp, 48, layout)
    np.testing.assert_allclose(cube, as_numpy(erp_to_cube(as_torch(erp), 48, layout)), atol=1e-4)
    np.testing.assert_allclose(
        cube_to_erp(cube, (40, 80), layout),
        as_numpy(cube_to_erp(as_torch(cube), (40, 80), layout)),
        atol=2e-2 if layout != "eac" else 1e-3,
    )


def test_a_plain_face_is_a_right_angled_view(picture):
    cube = erp_to_cube(picture, 64, "6x1")
    for k, (yaw, pitch) in enumerate([(90, 0), (-90, 0), (0, 90), (0, -90), (0, 0), (180, 0)]):
        view = erp_to_view(picture, from_euler_deg(yaw, pitch, 0), Camera(90, 64, 64))
        np.testing.assert_allclose(cube[:, :, k * 64 : (k + 1) * 64].astype(int), view, atol=1)


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_are_ffmpegs(large_picture, layout, interpolation):
    rotation, size = V360_ROTATIONS.get(layout, "000000"), (512, 1024)
    cube = erp_to_cube(large_picture, 256, layout, interpolation=interpolation)
    options = f"e:{V360_NAMES[layout]}:out_frot={rotation}:w={cube.shape[2]}:h={cube.shape[1]}"
    their_cube = run_v360(large_picture[0], options, cube.shape[1:3], interpolation)
    options = f"{V360_NAMES[layout]}:e:in_frot={rotation}:w=1024:h=512"
    their_erp = run_v360(cube[0], options, size, interpolation)
    erp = cube_to_erp(cube, size, layout, interpolation=interpolation)
    for mean, maximum in (differences(cube[0], their_cube), differences(erp[0], their_erp)):
        assert mean < 0.7
        assert maximum <= 4


def test_torch_cubes_have_gradients():
    erp = torch.rand(1, 3, 16, 32, requires_grad=True)
    cube_to_erp(erp_to_cube(erp, 8, "3x2"), (16, 32), "3x2").sum().backward()
    assert torch.isfinite(erp.grad).all()
    assert erp.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("call", "value"),
    [
        (lambda x: erp_to_cube(x, 16, "4x3"), "'4x3'"),
        (lambda x: cube_to_erp(x, (32, 64), "3x2"), "256x128"),
        (lambda x: cube_to_erp(x[:, :127], (32, 64), "eac"), "256x127"),
        (lambda x: cube_to_erp(x[:, :, :255], (32, 64), "6x1"), "255x128"),
        (lambda x: cube_to_erp(x[:, :4, :255], (32, 64), "eac"), "255x4"),
        (lambda x: erp_to_cube(x, 4, "eac"), "face_size is 4"),
        (lambda x: erp_to_cube(x, (16, 0), "3x2"), r"face_size is \(16, 0\)"),
    ],
)
def test_invalid_input_is_named(picture, call, value):
    with pytest.raises(InvalidInput, match=value):
        call(picture)
