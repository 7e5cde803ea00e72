"""Geometry of 360° video: cameras, rotations, and projections between picture formats.

The formats are equirectangular (ERP), perspective, cubemap and fisheye. Frames are numpy uint8 or
float `[T, H, W, C]`, or torch float `[T, C, H, W]` (differentiable, on any device).

Conventions:

- Axes are OpenCV's: x right, y down, z forward.
- ERP pixel (i, j) is at longitude ((j + ½)/W - ½)·360° and latitude (½ - (i + ½)/H)·180°.
- Rotations are camera-to-world matrices, R_y(yaw) · R_x(pitch) · R_z(roll).
- Sizes are (height, width) in pixels; angles in degrees end in `_deg`, others are radians.
"""

from argus.sphere.camera import Camera
from argus.sphere.cube import (
    CubeLayout,
    ErpToCube,
    cube_coordinates,
    cube_grid,
    cube_to_erp,
    erp_to_cube,
)
from argus.sphere.fisheye import FisheyeToErp, erp_to_fisheye, fisheye_to_erp, ideal_lenses
from argus.sphere.gopro import GoproLayout, GoproToErp, find_gopro_layout, gopro_to_erp
from argus.sphere.grid import (
    RayGrid,
    check_erp_size,
    erp_grid,
    rays_to_erp_pixels,
    rotate_rays,
    solid_angle,
    view_grid,
)
from argus.sphere.lens import FisheyeLens
from argus.sphere.motion import MotionSettings, simulate_motion
from argus.sphere.rotations import from_euler_deg, to_euler_deg
from argus.sphere.sampling import reduce_area
from argus.sphere.trajectory import Trajectory
from argus.sphere.views import erp_to_view, rotate_erp, view_to_erp, visible_mask

__all__ = [
    "Camera",
    "CubeLayout",
    "ErpToCube",
    "FisheyeLens",
    "FisheyeToErp",
    "GoproLayout",
    "GoproToErp",
    "MotionSettings",
    "RayGrid",
    "Trajectory",
    "check_erp_size",
    "cube_coordinates",
    "cube_grid",
    "cube_to_erp",
    "erp_grid",
    "erp_to_cube",
    "erp_to_fisheye",
    "erp_to_view",
    "find_gopro_layout",
    "fisheye_to_erp",
    "from_euler_deg",
    "gopro_to_erp",
    "ideal_lenses",
    "rays_to_erp_pixels",
    "reduce_area",
    "rotate_erp",
    "rotate_rays",
    "simulate_motion",
    "solid_angle",
    "to_euler_deg",
    "view_grid",
    "view_to_erp",
    "visible_mask",
]
