from functools import partial

import numpy as np
import pytest
import torch

from argus.errors import InvalidInput
from argus.sphere import (
    Camera,
    erp_to_view,
    from_euler_deg,
    rotate_erp,
    solid_angle,
    view_to_erp,
    visible_mask,
)
from argus.sphere.grid import Grid, erp_grid, erp_pixels, inside, turned, view_grid, view_matrix
from argus.sphere.sampling import PAD, Sampler, pad_erp, sample

POSES = from_euler_deg(
    [0, 40, 179.9, -120, 10, 30], [0, 20, 5, 90, -90, -47], [0, 30, -10, 0, 15, 120]
)


def as_torch(frames):
    return torch.from_numpy(frames).permute(0, 3, 1, 2)


def as_numpy(frames):
    return frames.permute(0, 2, 3, 1).numpy()


SIZES = [(64, 128), (512, 1024), (1920, 3840), (3840, 7680)]


def poses_like(kind):
    """(an array of the kind, poses of it), float64 in numpy and float32 in torch."""
    return (
        (np.empty(0), POSES)
        if kind == "numpy"
        else (torch.empty(0), torch.from_numpy(POSES).float())
    )


def rays_at(column, row, size):
    """Unit rays of pixel coordinates in a map."""
    lon, lat = ((column + 0.5) / size[1] - 0.5) * 2 * np.pi, (0.5 - (row + 0.5) / size[0]) * np.pi
    return np.stack([np.cos(lat) * np.sin(lon), -np.sin(lat), np.cos(lat) * np.cos(lon)], -1)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_coordinates_equal_analytic_rays_everywhere(kind, size, angle_deg, view_rays_of):
    """Measured: 3.3e-5 degrees at most; the poses look at the seam and at both poles, and the odd pictures have a pixel in the very middle."""
    like, poses = poses_like(kind)
    for camera in (Camera(100, 96, 64, 80), Camera(2, 33, 65), Camera(150, 65, 65)):
        column, row = (
            np.asarray(axis, dtype=float)
            for axis in erp_pixels(turned(view_grid(camera, like), poses), size)
        )
        wanted = np.einsum("tij,hwj->thwi", POSES, view_rays_of(camera))
        assert angle_deg(rays_at(column, row, size), wanted).max() < 1e-4


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_coordinates_of_maps_equal_analytic_rays(kind, size, angle_deg):
    """A map turned, and placed in views; rows and columns at the poles and at the seam among a sample of all."""
    like, poses = poses_like(kind)
    rows, columns = (
        np.unique(np.concatenate([[0, 1, n - 2, n - 1], np.linspace(0, n - 1, 99).astype(int)]))
        for n in size
    )
    whole = erp_grid(size, like)
    grid = Grid(whole.x[columns], whole.y[rows], whole.z[columns])
    wanted = np.einsum(
        "tij,hwj->thwi", POSES, rays_at(columns[None, :], rows[:, None] + 0 * columns, size)
    )
    rays = turned(grid, poses)
    column, row = (np.asarray(axis, dtype=float) for axis in erp_pixels(rays, size))
    assert angle_deg(rays_at(column, row, size), wanted).max() < 1e-4
    camera = Camera(100, 480, 320)
    ahead = wanted[..., 2] > 0.5
    column, row, depth = (
        np.asarray(axis, dtype=float)[ahead]
        for axis in turned(grid, view_matrix(camera, poses) @ poses)
    )
    column, row = column / depth, row / depth
    got = np.stack(
        [(column + 0.5 - 240) / camera.fx, (row + 0.5 - 160) / camera.fy, np.ones_like(row)], -1
    )
    assert angle_deg(got, wanted[ahead]).max() < 1e-4


def test_erp_grid_is_the_convention(angle_deg, rays_of):
    x, y, z = turned(erp_grid((64, 128), np.empty(0)), np.eye(3)[None])
    assert angle_deg(np.stack([x, y, z], -1)[0], rays_of((64, 128))).max() < 1e-5


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
def test_a_map_of_directions_gives_each_pixels_ray(
    directions, interpolation, angle_deg, view_rays_of
):
    camera = Camera(70, 120, 90)
    views = erp_to_view(directions, POSES, camera, interpolation=interpolation)
    wanted = np.einsum("tij,hwj->thwi", POSES, view_rays_of(camera))
    assert angle_deg(views, wanted).max() < (
        0.02 if interpolation == "linear" else 0.06
    )  # Keys' kernel bends ramps a little


def test_quarter_turn_equals_rolled_map(picture):
    camera = Camera(75, 80, 60)
    rolled = np.roll(picture, -picture.shape[2] // 4, axis=2)
    right, ahead = from_euler_deg(90, 0, 0), np.eye(3)
    np.testing.assert_allclose(
        erp_to_view(picture, right, camera).astype(int), erp_to_view(rolled, ahead, camera), atol=1
    )
    exact = picture.astype(np.float64) / 255
    turned_back = np.roll(exact, -exact.shape[2] // 4, axis=2)
    np.testing.assert_allclose(
        as_numpy(erp_to_view(as_torch(exact), right, camera)),
        as_numpy(erp_to_view(as_torch(turned_back), ahead, camera)),
        atol=1e-5,
    )
    single = exact.astype(np.float32)
    np.testing.assert_allclose(
        erp_to_view(single, right, camera),
        erp_to_view(np.roll(single, -64, axis=2), ahead, camera),
        atol=1e-5,
    )


def test_quarter_turn_equals_rolled_map_in_float32_torch(picture):
    single = torch.from_numpy(picture.astype(np.float32) / 255).permute(0, 3, 1, 2)
    camera = Camera(75, 80, 60)
    rolled = erp_to_view(torch.roll(single, -64, 3), np.eye(3), camera)
    np.testing.assert_allclose(
        erp_to_view(single, from_euler_deg(90, 0, 0), camera), rolled, atol=1e-5
    )


def test_yaw_by_whole_pixels_is_a_roll(picture):
    k = 37
    turned_map = rotate_erp(picture, from_euler_deg(k * 360 / picture.shape[2], 0, 0))
    np.testing.assert_array_equal(turned_map, np.roll(picture, -k, axis=2))


def test_rotate_shows_at_d_what_the_map_shows_at_r_d(directions, angle_deg, rays_of):
    R = from_euler_deg(50, 35, -20)
    wanted = np.einsum("ij,hwj->hwi", R, rays_of((256, 512)))
    assert angle_deg(rotate_erp(directions, R)[0], wanted).max() < 0.02


def test_rotation_and_its_inverse_give_the_map_back(picture):
    R = from_euler_deg(50, 35, -20)
    back = rotate_erp(rotate_erp(picture, R, interpolation="cubic"), R.T, interpolation="cubic")
    assert np.abs(back.astype(int) - picture).max() <= 3


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
@pytest.mark.parametrize("pixels", [20, 64])
@pytest.mark.parametrize("pose", [(180, 0), (-180, 30), (0, 90), (77, -90)])
def test_no_line_at_the_seam_or_the_poles(pose, pixels, interpolation):
    """One colour stays one colour: into a view, minified or not, and back into a map."""
    erp, R = np.full((1, 64, 128, 3), 200, np.uint8), from_euler_deg(*pose, 0)
    view = erp_to_view(erp, R, Camera(80, pixels, pixels), interpolation=interpolation)
    assert (view == 200).all()
    for size in ((32, 64), (128, 256)):
        erp, mask = view_to_erp(
            view, R, Camera(80, pixels, pixels), size, interpolation=interpolation
        )
        assert (erp[mask] == 200).all()
        assert mask[0, 0 if pose[1] == 90 else -1].all() or abs(pose[1]) != 90


def test_views_across_the_seam_and_the_poles_are_smooth(picture):
    """Neighbouring pixels differ no more there than elsewhere in a map that is smooth on the sphere."""

    def steepest(pose):
        view = erp_to_view(picture, from_euler_deg(*pose, 0), Camera(60, 96, 96))[0].astype(int)
        return max(np.abs(np.diff(view, axis=axis)).max() for axis in (0, 1))

    elsewhere = max(steepest(pose) for pose in ((0, 0), (60, 20), (-90, -20)))
    assert max(steepest(pose) for pose in ((180, 0), (0, 90), (0, -90), (180, 50))) <= elsewhere + 2


def test_seam_is_interpolated_between_its_two_columns():
    erp = np.zeros((1, 64, 128, 1), np.float32)
    erp[:, :, 0], erp[:, :, -1] = 1, 3
    row = erp_to_view(erp, from_euler_deg(180, 0, 0), Camera(2, 65, 1, 1), interpolation="linear")[
        0, 0, :, 0
    ]
    assert row[32] == pytest.approx(2, abs=1e-3)
    assert row.min() >= 1 - 1e-3
    assert row.max() <= 3 + 1e-3


def test_pole_continues_half_a_turn_away():
    """Across the pole the first row interpolates with itself, half a turn on."""
    erp = np.zeros((1, 32, 64, 1), np.float32)
    erp[:, 0] = np.arange(64)[:, None] >= 32
    line = erp_to_view(erp, from_euler_deg(90, 90, 0), Camera(2, 1, 65, 2))[
        0, :, 0, 0
    ]  # runs through the zenith from one side to the other
    assert {round(float(line[0])), round(float(line[-1]))} == {0, 1}
    assert line[32] == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
def test_numpy_and_torch_agree(picture, interpolation):
    exact = picture.astype(np.float32) / 255
    camera = Camera(80, 60, 40)
    view = erp_to_view(exact, POSES, camera, interpolation=interpolation)
    other = as_numpy(erp_to_view(as_torch(exact), POSES, camera, interpolation=interpolation))
    assert np.abs(view - other).max() < (
        1e-4 if interpolation == "linear" else 3e-3
    )  # OpenCV's bicubic places pixels to 1/32
    erp, mask = view_to_erp(view, POSES, camera, (64, 128), -1.0, interpolation=interpolation)
    erp_torch, mask_torch = view_to_erp(
        as_torch(view), POSES, camera, (64, 128), -1.0, interpolation=interpolation
    )
    agree = mask == mask_torch.numpy()
    assert agree.mean() > 0.999  # float32 rays on the very border
    assert np.abs(erp - as_numpy(erp_torch))[agree].max() < (
        1e-4 if interpolation == "linear" else 3e-3
    )
    turned_map = rotate_erp(exact, POSES, interpolation=interpolation)
    assert (
        np.abs(
            turned_map - as_numpy(rotate_erp(as_torch(exact), POSES, interpolation=interpolation))
        ).max()
        < 3e-3
    )


def test_numpy_and_torch_agree_when_minifying(picture):
    noise = np.random.default_rng(0).random((1, 128, 256, 3)).astype(np.float32)
    camera = Camera(90, 24, 18)
    np.testing.assert_allclose(
        erp_to_view(noise, POSES, camera),
        as_numpy(erp_to_view(as_torch(noise), POSES, camera)),
        atol=1e-4,
    )
    view = np.random.default_rng(1).random((1, 90, 120, 3)).astype(np.float32)
    erp, mask = view_to_erp(view, POSES, Camera(40, 120, 90), (32, 64))
    erp_torch, mask_torch = view_to_erp(as_torch(view), POSES, Camera(40, 120, 90), (32, 64))
    agree = mask == mask_torch.numpy()
    np.testing.assert_allclose(erp[agree], as_numpy(erp_torch)[agree], atol=1e-4)


def test_minifying_does_not_alias():
    """A checkerboard of single pixels has no contrast left in a view of a tenth of its density."""
    board = np.indices((512, 1024)).sum(0) % 2 * 255.0
    erp = np.repeat(board[None, :, :, None], 3, -1).astype(np.uint8)
    view = erp_to_view(erp, from_euler_deg(20, 10, 5), Camera(90, 28, 20))
    assert np.abs(view.astype(float) - 127.5).max() < 6
    view = np.repeat((np.indices((480, 480)).sum(0) % 2 * 255)[None, :, :, None], 3, -1).astype(
        np.uint8
    )
    erp, mask = view_to_erp(view, np.eye(3), Camera(30, 480, 480), (256, 512))
    assert np.abs(erp[mask].astype(float) - 127.5).max() < 6


def zone_plate(height):
    """Rings about the direction straight ahead whose spatial frequency grows to 0.4 cycles a pixel of the map, float32 [1, H, 2H, 1]."""
    lon = ((np.arange(2 * height) + 0.5) / (2 * height) - 0.5) * 2 * np.pi
    lat = ((0.5 - (np.arange(height) + 0.5) / height) * np.pi)[:, None]
    angle = np.arccos(np.clip(np.cos(lat) * np.cos(lon), -1, 1))
    steepest = 0.4 * height  # cycles per radian times pi, at 60 degrees
    return (0.5 + 0.5 * np.cos(steepest * angle**2 / (2 * np.pi / 3) * 2)).astype(np.float32)[
        None, :, :, None
    ]


def supersampled(erp, R, camera, fine):
    """The mean of fine x fine bilinear samples per pixel, without any filter of the map."""
    height, width = erp.shape[1:3]
    grid = view_grid(camera.resized(fine * camera.width, fine * camera.height), np.empty(0))
    column, row = erp_pixels(turned(grid, R[None]), (height, width))
    dense = sample(pad_erp(erp), column + PAD, row + PAD, "linear")[0]
    return dense.reshape(camera.height, fine, camera.width, fine, -1).mean((1, 3))


@pytest.mark.parametrize(
    ("height", "fov", "pixels", "error"),
    [(1920, 90, 256, 0.03), (960, 30, 48, 0.02), (960, 120, 160, 0.08)],
)
def test_a_zone_plate_is_averaged_and_does_not_alias(height, fov, pixels, error):
    """Beside 64 samples per pixel, root mean square; without a filter it is 0.19, 0.09 and 0.20. The corners of a wide view are softer."""
    camera, R = Camera(fov, pixels, pixels), from_euler_deg(12, 7, 20)
    erp = zone_plate(height)
    view = erp_to_view(erp, R, camera)[0]
    wanted = supersampled(erp, R, camera, 8)
    assert np.sqrt(np.mean((view - wanted) ** 2)) < error


def test_placing_a_fine_picture_averages_it():
    """A 30 degree view of 480 px is 43 px of a 512-wide map: each is the mean of what it covers. Error 0.024; 0.32 without a filter."""
    camera = Camera(30, 480, 480)
    x, y = np.meshgrid(np.arange(480), np.arange(480))
    view = (0.5 + 0.5 * np.cos((x**2 + y**2) * np.pi / 2000)).astype(np.float32)[None, :, :, None]
    erp, mask = view_to_erp(view, np.eye(3), camera, (256, 512))
    fine, covered = view_to_erp(
        view, np.eye(3), camera, (2048, 4096)
    )  # the picture itself is now the coarser
    wanted, whole = (
        values.reshape(256, 8, 512, 8).mean((1, 3))
        for values in (fine[0, ..., 0], covered[0].astype(float))
    )
    inner = whole == 1
    assert inner.sum() > 1500
    assert mask[0][inner].all()
    assert np.sqrt(np.mean((erp[0, ..., 0] - wanted)[inner] ** 2)) < 0.03


def test_round_trip_through_a_view_is_close(picture):
    camera = Camera(90, 180, 180)
    for pose in POSES:
        erp, mask = view_to_erp(
            erp_to_view(picture, pose, camera), pose, camera, picture.shape[1:3]
        )
        assert np.abs(erp.astype(int) - picture)[mask].max() <= 7
        assert not erp[~mask].any()


def test_mask_equals_projection(rays_of):
    camera, size = Camera(75, 60, 40, 50), (128, 256)
    rays = np.einsum("tji,hwj->thwi", POSES, rays_of(size))  # in the camera's frame
    tx, ty = np.tan(np.radians(75 / 2)), np.tan(np.radians(50 / 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        seen = (
            (rays[..., 2] > 0)
            & (np.abs(rays[..., 0] / rays[..., 2]) <= tx)
            & (np.abs(rays[..., 1] / rays[..., 2]) <= ty)
        )
    mask = visible_mask(POSES, camera, size)
    np.testing.assert_array_equal(mask, seen)
    np.testing.assert_array_equal(
        mask, view_to_erp(np.ones((1, 40, 60, 3), np.uint8), POSES, camera, size)[1]
    )
    np.testing.assert_array_equal(
        mask[..., None].repeat(3, -1),
        view_to_erp(np.ones((1, 40, 60, 3), np.uint8), POSES, camera, size)[0] == 1,
    )


@pytest.mark.parametrize(
    "camera",
    [
        Camera(90, 48, 32),
        Camera(2, 33, 65),
        Camera(150, 64, 64),
        Camera(179, 8, 8),
        Camera(90, 8, 8),
    ],
)
@pytest.mark.parametrize("size", [(64, 128), (33, 70)])
def test_masks_equal_brute_force_wherever_the_camera_looks(camera, size):
    """Every pixel against every side; the mask itself only looks at the picture's extent."""
    upright = from_euler_deg([0, 90, 180, -180, 0, 0, 45, 45], [0, 0, 0, 0, 90, -90, 89.99, 45], 0)
    poses = np.concatenate(
        [upright, from_euler_deg(*np.random.default_rng(0).uniform(-180, 180, (3, 40)))]
    )
    inverse = poses.transpose(0, 2, 1)
    np.testing.assert_array_equal(
        visible_mask(poses, camera, size), inside(erp_grid(size, inverse), inverse, camera)
    )


def test_mask_has_the_views_solid_angle():
    """A 90° by 90° view is a sixth of the sphere, wherever it looks."""
    share = (visible_mask(POSES, Camera(90, 8, 8), (256, 512)) * solid_angle((256, 512))).sum(
        (1, 2)
    ) / (4 * np.pi)
    np.testing.assert_allclose(share, 1 / 6, atol=1e-3)


def test_visible_pixels_project_into_the_view():
    camera, size = Camera(110, 50, 70), (64, 128)
    inverse = POSES.transpose(0, 2, 1)
    grid = erp_grid(size, inverse)
    mask = inside(grid, inverse, camera)
    column, row, depth = (
        axis[mask] for axis in turned(grid, view_matrix(camera, inverse) @ inverse)
    )
    for places, length in ((column / depth, 50), (row / depth, 70)):
        assert -0.5 - 1e-9 <= places.min() < places.max() <= length - 0.5 + 1e-9


def test_fill_is_the_callers_in_float():
    erp, mask = view_to_erp(
        np.zeros((1, 8, 8, 3), np.float32), np.eye(3), Camera(60, 8, 8), (32, 64), fill=-1.0
    )
    assert (erp[~mask] == -1).all()
    assert (erp[mask] == 0).all()


def test_each_frame_has_its_own_camera():
    size, cameras = (64, 128), [Camera(40, 20, 20), Camera(100, 20, 20)]
    masks = visible_mask(np.stack([np.eye(3)] * 2), cameras, size)
    assert masks[0].sum() < masks[1].sum()
    erp = np.random.default_rng(0).random((2, 64, 128, 3)).astype(np.float32)
    views = erp_to_view(erp, np.eye(3), cameras)
    np.testing.assert_array_equal(views[1], erp_to_view(erp[1:], np.eye(3), cameras[1])[0])
    both = as_numpy(erp_to_view(as_torch(erp), np.eye(3), cameras))
    np.testing.assert_allclose(both, views, atol=1e-4)


def test_threads_change_nothing(picture):
    erp = np.concatenate([np.roll(picture, 9 * k, 2) for k in range(6)])
    cameras = [Camera(60 + 5 * k, 30, 20) for k in range(6)]
    views = erp_to_view(erp, POSES, cameras, threads=3)
    np.testing.assert_array_equal(views, erp_to_view(erp, POSES, cameras))
    np.testing.assert_array_equal(
        erp_to_view(picture, POSES, cameras, threads=3), erp_to_view(picture, POSES, cameras)
    )
    for got, wanted in zip(
        view_to_erp(views, POSES, cameras, (64, 128), threads=3),
        view_to_erp(views, POSES, cameras, (64, 128)),
        strict=True,
    ):
        np.testing.assert_array_equal(got, wanted)
    np.testing.assert_array_equal(rotate_erp(erp, POSES, threads=3), rotate_erp(erp, POSES))


def test_bilinear_weights_are_exact():
    """Not rounded to 1/32, as OpenCV 4 does: noise as uint8 and as float64 differs only by the rounding to levels, and from torch not at all."""
    noise = np.random.default_rng(0).integers(0, 256, (1, 64, 128, 3), np.uint8)
    camera = Camera(60, 90, 60)
    exact = as_numpy(erp_to_view(as_torch(noise.astype(np.float64)), POSES, camera))
    assert np.abs(erp_to_view(noise, POSES, camera) - exact).max() < 0.51
    assert np.abs(erp_to_view(noise.astype(np.float64), POSES, camera) - exact).max() < 2e-2
    assert (
        np.abs(
            rotate_erp(noise, POSES)
            - as_numpy(rotate_erp(as_torch(noise.astype(np.float64)), POSES))
        ).max()
        < 0.51
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_sampling_three_channels_as_four_changes_no_value(dtype):
    frame = np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(dtype)
    column, row = (
        np.random.default_rng(k).uniform(-1, 61, (70, 90)).astype(np.float32) for k in (1, 2)
    )
    for interpolation in ("linear", "cubic"):
        for fine in (1, 2):
            as_three, as_four = (
                Sampler(frame, interpolation, samples)(column, row, fine) for samples in (0, 10**6)
            )
            np.testing.assert_allclose(as_three, as_four, atol=1e-3 if dtype == np.float32 else 0)


def test_gradients_are_those_of_finite_differences():
    check = partial(torch.autograd.gradcheck, fast_mode=True)
    camera, turn = Camera(70, 5, 4), torch.from_numpy(from_euler_deg(33, 21, 10))
    erp = torch.rand(
        1,
        2,
        8,
        16,
        dtype=torch.float64,
        generator=torch.Generator().manual_seed(0),
        requires_grad=True,
    )
    view = torch.rand(
        1,
        2,
        4,
        5,
        dtype=torch.float64,
        generator=torch.Generator().manual_seed(1),
        requires_grad=True,
    )
    assert check(lambda x, R: erp_to_view(x, R, camera), (erp, turn.clone().requires_grad_()))
    assert check(lambda x: view_to_erp(x, turn, camera, (8, 16))[0], view)
    assert check(rotate_erp, (erp, turn.clone().requires_grad_()))
    few = Camera(100, 2, 2)  # minified both ways
    assert check(lambda x: erp_to_view(x, turn, few), erp)
    assert check(lambda x: view_to_erp(x, turn, camera, (4, 8))[0], view)


def test_gradients_are_finite_at_the_poles():
    """The middle pixel looks exactly along the pole, where longitude has no derivative."""
    up = torch.tensor([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]], requires_grad=True)
    for sign in (1, -1):
        erp_to_view(
            torch.rand(1, 3, 16, 32), up * sign * torch.tensor([sign, 1.0, 1.0]), Camera(70, 5, 5)
        ).sum().backward()
    assert torch.isfinite(up.grad).all()


def test_gradients_reach_map_view_and_rotation():
    erp = torch.rand(1, 3, 16, 32, dtype=torch.float64, requires_grad=True)
    turn = torch.from_numpy(from_euler_deg(30, 20, 10)).requires_grad_()
    camera = Camera(70, 6, 4)

    def through(frames, pose):
        return view_to_erp(erp_to_view(frames, pose, camera), pose.detach(), camera, (16, 32))[
            0
        ].sum()

    through(erp, turn).backward()
    assert torch.isfinite(erp.grad).all()
    assert erp.grad.abs().sum() > 0
    assert torch.isfinite(turn.grad).all()
    assert turn.grad.abs().sum() > 0


def test_types_and_shapes_survive(picture):
    camera = Camera(60, 30, 20)
    assert erp_to_view(picture, POSES, camera).dtype == np.uint8
    assert erp_to_view(picture, POSES, camera).shape == (6, 20, 30, 3)
    for dtype in (torch.bfloat16, torch.float16):
        half = torch.rand(1, 3, 32, 64).to(dtype)
        assert erp_to_view(half, POSES, camera).dtype == dtype
        assert erp_to_view(half, POSES, Camera(60, 4, 3)).dtype == dtype
        assert (
            view_to_erp(torch.rand(1, 3, 20, 30).to(dtype), POSES, camera, (8, 16))[0].dtype
            == dtype
        )
        assert rotate_erp(half, POSES).dtype == dtype
    for dtype in (np.float16, np.float64):
        for channels in (1, 2, 3, 4):
            maps = np.full((1, 32, 64, channels), 0.5, dtype)
            for small in (camera, Camera(60, 4, 3)):
                views = erp_to_view(maps, POSES, small)
                assert (views.dtype, views.shape) == (
                    dtype,
                    (6, small.height, small.width, channels),
                )
                np.testing.assert_allclose(views, 0.5, rtol=1e-6)
                erp, mask = view_to_erp(views, POSES, small, (8, 16), fill=-1)
                assert (erp.dtype, erp.shape) == (dtype, (6, 8, 16, channels))
                np.testing.assert_allclose(erp[mask], 0.5, rtol=1e-6)
                assert (erp[~mask] == -1).all()
    assert erp_to_view(np.zeros((1, 32, 64, 1), np.float64), POSES, camera).shape == (6, 20, 30, 1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: erp_to_view(np.zeros((8, 16, 3), np.uint8), np.eye(3), Camera(60, 8, 8)),
            "4 axes",
        ),
        (
            lambda: erp_to_view(np.zeros((1, 8, 16, 3), np.int32), np.eye(3), Camera(60, 8, 8)),
            "uint8 or float",
        ),
        (
            lambda: erp_to_view(np.zeros((1, 8, 16, 5), np.uint8), np.eye(3), Camera(60, 8, 8)),
            "1 to 4 channels",
        ),
        (
            lambda: erp_to_view(
                np.zeros((2, 8, 16, 3), np.uint8), np.stack([np.eye(3)] * 3), Camera(60, 8, 8)
            ),
            "equally many",
        ),
        (
            lambda: erp_to_view(
                np.zeros((1, 8, 16, 3), np.uint8), np.ones((3, 3)), Camera(60, 8, 8)
            ),
            "orthonormal",
        ),
        (
            lambda: view_to_erp(
                np.zeros((1, 8, 9, 3), np.uint8), np.eye(3), Camera(60, 8, 8), (16, 32)
            ),
            "the camera is 8x8",
        ),
        (lambda: visible_mask(np.eye(3), Camera(60, 8, 8), (0, 32)), "erp_size"),
        (
            lambda: erp_to_view(
                np.zeros((1, 8, 16, 3), np.uint8), np.eye(3), Camera(60, 8, 8), interpolation="box"
            ),
            "interpolation",
        ),
        (lambda: rotate_erp(np.zeros((1, 8, 16, 3)), np.eye(3), threads=0), "threads is 0"),
    ],
)
def test_bad_input_is_said_clearly(call, message):
    with pytest.raises(InvalidInput, match=message):
        call()


def test_solid_angles_cover_the_sphere():
    for size in ((2, 4), (64, 128), (33, 70)):
        assert solid_angle(size).sum() == pytest.approx(4 * np.pi, rel=1e-12)
