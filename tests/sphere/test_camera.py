import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from argus.errors import InvalidInput
from argus.sphere import Camera

FIELDS_OF_VIEW = st.floats(1, 179)
SIZES = st.integers(2, 4000)


def test_pixels_are_square_unless_fov_y_is_given():
    assert Camera(90, 640, 480).fx == pytest.approx(320)
    assert Camera(90, 640, 480).fy == pytest.approx(320)
    assert Camera(90, 640, 480, 90).fy == pytest.approx(240)
    assert Camera(90, 640, 640).fov_y == pytest.approx(90)


def test_with_size_keeps_the_field_of_view():
    camera = Camera(70, 640, 480)
    small = camera.with_size(100, 30)
    assert (small.width, small.height) == (100, 30)
    assert (small.fov_x_deg, small.fov_y) == pytest.approx((70, camera.fov_y))


@settings(max_examples=50, deadline=None, derandomize=True)
@given(FIELDS_OF_VIEW, FIELDS_OF_VIEW, SIZES, SIZES)
def test_focal_lengths_and_intrinsics_give_the_camera_back(fov_x, fov_y, width, height):
    camera = Camera(fov_x, width, height, fov_y)
    K = [[camera.fx, 0, width / 2], [0, camera.fy, height / 2], [0, 0, 1]]
    for other in (
        Camera.from_focal(camera.fx, width, height, camera.fy),
        Camera.from_intrinsics(K, width, height),
    ):
        assert (other.width, other.height) == (width, height)
        assert (other.fov_x_deg, other.fov_y) == pytest.approx((fov_x, fov_y))


@pytest.mark.parametrize("fov", [0, 180, -5, float("nan")])
def test_impossible_fields_of_view_are_rejected(fov):
    with pytest.raises(InvalidInput, match="fov_x_deg"):
        Camera(fov, 64, 64)
    with pytest.raises(InvalidInput, match="fov_y_deg"):
        Camera(60, 64, 64, fov)


def test_an_off_center_principal_point_is_rejected():
    with pytest.raises(InvalidInput, match=r"200\.0"):
        Camera.from_intrinsics(np.array([[300, 0, 200], [0, 300, 240], [0, 0, 1]]), 640, 480)
