"""The sphere: pixel grids, rotations, projections between ERP, perspective, cubemap and fisheye pictures, masks, cameras, trajectories.

Frames are numpy uint8 or float `[T, H, W, C]`, or torch float `[T, C, H, W]` (differentiable, any device). Conventions: OpenCV axes; ERP
pixel (i, j) is lon ((j+½)/W - ½)·360°, lat (½ - (i+½)/H)·180°; rotations are camera-to-world, R_y(yaw)·R_x(pitch)·R_z(roll).
"""

from argus.sphere.camera import Camera
from argus.sphere.cube import CubeLayout, cube_to_erp, erp_to_cube
from argus.sphere.fisheye import erp_to_fisheye, fisheye_to_erp
from argus.sphere.grid import solid_angle
from argus.sphere.motion import MotionSettings, simulate_motion
from argus.sphere.rotations import from_euler_deg, to_euler_deg
from argus.sphere.trajectory import Trajectory
from argus.sphere.views import erp_to_view, rotate_erp, view_to_erp, visible_mask

__all__ = [
    "Camera",
    "CubeLayout",
    "MotionSettings",
    "Trajectory",
    "cube_to_erp",
    "erp_to_cube",
    "erp_to_fisheye",
    "erp_to_view",
    "fisheye_to_erp",
    "from_euler_deg",
    "rotate_erp",
    "simulate_motion",
    "solid_angle",
    "to_euler_deg",
    "view_to_erp",
    "visible_mask",
]
