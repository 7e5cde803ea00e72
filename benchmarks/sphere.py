"""Cost of the projections, next to pyequilib, the Argus authors' batched method, and cv2.remap.

25 frames, ERP 512x1024 <-> view 320x480, another rotation and field of view for each frame, uint8,
two threads on each side. A peer without threads of its own is also measured with its frames spread
over two threads, and the faster of its times counts. Peer and ours alternate within one run; times
are medians per frame, ratios are medians over rounds.

The authors' functions are reimplemented from their paper and release: the unit vectors of the whole
map are rotated into every camera by one batched matrix product, divided by z and compared with the
borders of the picture (z > 0). The pictures, and a picture of ones that becomes the mask, are then
sampled there with grid_sample.

    python benchmarks/sphere.py [--quick]
"""

import argparse
import math
import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

THREADS = 2
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = str(THREADS)

import cv2
import equilib
import numpy as np
import torch

from argus.sphere import (
    Camera,
    RayGrid,
    erp_to_view,
    from_euler_deg,
    rays_to_erp_pixels,
    rotate_erp,
    rotate_rays,
    view_grid,
    view_to_erp,
    visible_mask,
)

ERP = (512, 1024)
VIEW = (320, 480)
BAND_PIXELS = 1 << 16  # pixels that erp_to_view computes at once
Call = Callable[[], object]


class Scene:
    """Frames, rotations and cameras of one seed."""

    def __init__(
        self, count: int, size: tuple[int, int] = ERP, view: tuple[int, int] = VIEW
    ) -> None:
        generator = np.random.default_rng(0)
        self.count, self.size = count, size
        self.yaw, self.pitch, self.roll = (
            generator.uniform(-180, 180, count),
            generator.uniform(-60, 60, count),
            generator.uniform(-20, 20, count),
        )
        self.rotations = from_euler_deg(self.yaw, self.pitch, self.roll)
        self.cameras = [
            Camera(float(fov), view[1], view[0]) for fov in generator.uniform(80, 100, count)
        ]
        self.erp = generator.integers(0, 256, (count, *size, 3), np.uint8)
        self.views = generator.integers(0, 256, (count, *view, 3), np.uint8)
        self.small_erp = self.erp[:, : size[0] // 10, : size[1] // 10]
        self.erp_planes = np.ascontiguousarray(self.erp.transpose(0, 3, 1, 2))  # [T, C, H, W]
        self.erp_torch = torch.from_numpy(self.erp_planes).float()
        self.views_torch = torch.from_numpy(self.views).permute(0, 3, 1, 2).float().contiguous()
        self.rotations_torch = torch.from_numpy(self.rotations).float()


def project_with_equilib(
    erp: np.ndarray, camera: Camera, euler_deg: tuple[float, float, float]
) -> np.ndarray:
    """Return one view [C, h, w] of one map [C, H, W].

    With its z axis down, its yaw, pitch and roll are ours.
    """
    yaw, pitch, roll = np.radians(euler_deg)
    view: np.ndarray = equilib.equi2pers(
        equi=erp,
        rots={"yaw": float(yaw), "pitch": float(pitch), "roll": float(roll)},
        height=camera.height,
        width=camera.width,
        fov_x=camera.fov_x_deg,
        z_down=True,
    )
    return view


def project_map_with_authors_method(
    rotations: torch.Tensor, cameras: list[Camera], size: tuple[int, int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the coordinates [T, H, W, 2] for grid_sample and the mask [T, H, W]."""
    height, width = size
    lon = ((torch.arange(width) + 0.5) / width - 0.5) * 2 * math.pi
    lat = (0.5 - (torch.arange(height) + 0.5) / height) * math.pi
    lat, lon = torch.meshgrid(lat, lon, indexing="ij")
    vectors = torch.stack([lat.cos() * lon.sin(), -lat.sin(), lat.cos() * lon.cos()], -1)
    vectors = vectors.reshape(1, -1, 3).repeat(len(rotations), 1, 1)
    rays = torch.matmul(vectors, rotations)  # row vectors times R: the inverse rotation
    tangents = torch.tensor(
        [[one.width / (2 * one.fx), one.height / (2 * one.fy)] for one in cameras]
    )[:, None]
    grid = rays[..., :2] / rays[..., 2:] / tangents
    mask = (rays[..., 2] > 0) & (grid[..., 0].abs() <= 1) & (grid[..., 1].abs() <= 1)
    shape = (len(rotations), height, width)
    return grid.reshape(*shape, 2), mask.reshape(shape)


def authors_mask(scene: Scene) -> torch.Tensor:
    return project_map_with_authors_method(scene.rotations_torch, scene.cameras, scene.size)[1]


def authors_view_to_erp(scene: Scene) -> tuple[torch.Tensor, torch.Tensor]:
    grid, mask = project_map_with_authors_method(scene.rotations_torch, scene.cameras, scene.size)
    sample = torch.nn.functional.grid_sample
    erp = sample(scene.views_torch, grid, padding_mode="border", align_corners=False)
    ones = torch.ones_like(scene.views_torch[:, :1])
    coverage = sample(ones, grid, padding_mode="zeros", align_corners=False)
    return erp * mask[:, None], (coverage[:, 0] > 0) & mask


def run_threads(work: Callable[[int], object], count: int, threads: int) -> None:
    """Call work(0), ..., work(count - 1) on a number of threads."""
    if threads == 1:
        for k in range(count):
            work(k)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(count)))


def measure(calls: dict[str, Call], count: int, rounds: int) -> dict[str, list[float]]:
    """Return the milliseconds per frame of each call in each round; the calls alternate."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            times[name].append((time.perf_counter() - start) * 1e3 / count)
    return times


def print_time(name: str, milliseconds: float) -> None:
    print(f"  {name:<66}{milliseconds:9.2f} ms per frame")


def print_comparison(
    title: str,
    peers: dict[str, Call],
    ours: dict[str, Call],
    *,
    count: int,
    rounds: int,
    target: float,
) -> None:
    """Print the times, and the speed of our first call relative to the fastest peer."""
    times = measure(peers | ours, count, rounds)
    our_times = times[next(iter(ours))]
    fastest = min(peers, key=lambda name: statistics.median(times[name]))
    ratio = statistics.median(
        theirs / own for theirs, own in zip(times[fastest], our_times, strict=True)
    )
    print(f"\n{title}: {ratio:.1f}x as fast as the fastest peer (target: {target:g}x)")
    for name in times:
        print_time(name, statistics.median(times[name]))


def print_table(title: str, calls: dict[str, Call], count: int, rounds: int) -> dict[str, float]:
    """Print and return the median times."""
    print(f"\n{title}")
    medians = {
        name: statistics.median(values) for name, values in measure(calls, count, rounds).items()
    }
    for name, median in medians.items():
        print_time(name, median)
    return medians


def compute_maps(scene: Scene, k: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the (column, row) of one view, band by band, as `erp_to_view` computes them."""
    one, rotation = scene.cameras[k], scene.rotations[k : k + 1]
    grid = view_grid(one, rotation)
    step = BAND_PIXELS // one.width
    maps = []
    for top in range(0, one.height, step):
        rays = rotate_rays(RayGrid(grid.x, grid.y[top : top + step], grid.z), rotation)
        column, row = rays_to_erp_pixels(rays, scene.size)
        maps.append((column[0], row[0]))
    return maps


def print_parts(scene: Scene, rounds: int) -> None:
    """Print the parts of `erp_to_view`, and cv2.remap alone with precomputed maps."""
    maps = [
        tuple(np.concatenate(axis) for axis in zip(*compute_maps(scene, k), strict=True))
        for k in range(scene.count)
    ]

    def remap(k: int) -> None:
        cv2.remap(scene.erp[k], *maps[k], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    for threads in (1, THREADS):
        medians = print_table(
            f"erp_to_view and its parts (no prefilter at this size), threads={threads}",
            {
                "total": lambda n=threads: erp_to_view(
                    scene.erp, scene.rotations, scene.cameras, threads=n
                ),
                "coordinate maps": lambda n=threads: run_threads(
                    lambda k: compute_maps(scene, k), scene.count, n
                ),
                "cv2.remap with precomputed maps": lambda n=threads: run_threads(
                    remap, scene.count, n
                ),
            },
            scene.count,
            rounds,
        )
        print_time("sampling (total minus maps)", medians["total"] - medians["coordinate maps"])


def print_other_projections(scene: Scene, count_4k: int, rounds: int) -> None:
    calls: dict[str, Call] = {}
    for threads in (1, THREADS):
        calls[f"rotate_erp, threads={threads}"] = lambda n=threads: rotate_erp(
            scene.erp, scene.rotations, threads=n
        )
        calls[f"view_to_erp, threads={threads}"] = lambda n=threads: view_to_erp(
            scene.views, scene.rotations, scene.cameras, ERP, threads=n
        )
    print_table("Other projections", calls, scene.count, rounds)
    large = Scene(count_4k, (1920, 3840), (256, 256))
    for pixels in (256, 96):
        camera = Camera(90, pixels, pixels)
        calls = {
            f"threads={threads}": lambda one=camera, n=threads: erp_to_view(
                large.erp, large.rotations, one, threads=n
            )
            for threads in (1, THREADS)
        }
        calls["without the filter (a map of 192x384), threads=1"] = lambda one=camera: erp_to_view(
            large.small_erp, large.rotations, one
        )
        title = f"4K map (1920x3840) to a 90 degree view of {pixels} px"
        print_table(title, calls, large.count, rounds)


def torch_calls(scene: Scene, device: str) -> dict[str, Call]:
    erp, views, rotations = (
        values.to(device) for values in (scene.erp_torch, scene.views_torch, scene.rotations_torch)
    )

    def wait(call: Call) -> Call:
        return lambda: (call(), torch.cuda.synchronize() if device == "cuda" else None)

    return {
        "erp_to_view": wait(lambda: erp_to_view(erp, rotations, scene.cameras)),
        "view_to_erp": wait(lambda: view_to_erp(views, rotations, scene.cameras, ERP)),
        "visible_mask": wait(lambda: visible_mask(rotations, scene.cameras, ERP)),
        "rotate_erp": wait(lambda: rotate_erp(erp, rotations)),
    }


def print_torch(scene: Scene, rounds: int) -> None:
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    for device in devices:
        print_table(f"torch float32 on {device}", torch_calls(scene, device), scene.count, rounds)
    if len(devices) == 1:
        print("\ntorch on CUDA: not measured, no such device")


def print_errors(scene: Scene) -> None:
    """Print the angles between views of a map of directions and the analytic rays."""
    height, width = ERP
    lon = ((np.arange(width) + 0.5) / width - 0.5) * 2 * np.pi
    lat = ((0.5 - (np.arange(height) + 0.5) / height) * np.pi)[:, None]
    directions = np.stack(
        [np.cos(lat) * np.sin(lon), -np.sin(lat) + 0 * lon, np.cos(lat) * np.cos(lon)], -1
    ).astype(np.float32)
    angles: dict[str, list[np.ndarray]] = {"ours": [], "pyequilib": []}
    for k, one in enumerate(scene.cameras):
        x = (np.arange(one.width) + 0.5 - one.width / 2) / one.fx
        y = (np.arange(one.height) + 0.5 - one.height / 2) / one.fy
        rays = np.stack([*np.meshgrid(x, y), np.ones((one.height, one.width))], -1)
        rays = rays @ scene.rotations[k].T
        euler_deg = (scene.yaw[k], scene.pitch[k], scene.roll[k])
        views = {
            "ours": erp_to_view(directions[None], scene.rotations[k], one)[0],
            "pyequilib": project_with_equilib(
                directions.transpose(2, 0, 1), one, euler_deg
            ).transpose(1, 2, 0),
        }
        for name, view in views.items():
            lengths = np.linalg.norm(view, axis=-1) * np.linalg.norm(rays, axis=-1)
            cosine = (view * rays).sum(-1) / lengths
            angles[name].append(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
    print("\nError of views of a map of directions (512x1024), degrees from the analytic rays")
    for name, values in angles.items():
        flat = np.concatenate([value.ravel() for value in values])
        print(
            f"  {name:<20} median {np.median(flat):8.4f}   99.9% {np.quantile(flat, 0.999):8.4f}"
            f"   maximum {flat.max():8.4f}"
        )


def print_peers(scene: Scene, rounds: int) -> None:
    count, rotations, cameras = scene.count, scene.rotations, scene.cameras

    def project_frame(k: int) -> object:
        euler_deg = (scene.yaw[k], scene.pitch[k], scene.roll[k])
        return project_with_equilib(scene.erp_planes[k], cameras[k], euler_deg)

    rots = [
        {"yaw": math.radians(yaw), "pitch": math.radians(pitch), "roll": math.radians(roll)}
        for yaw, pitch, roll in zip(scene.yaw, scene.pitch, scene.roll, strict=True)
    ]
    batch = {"height": VIEW[0], "width": VIEW[1], "fov_x": 90.0, "z_down": True}
    print_comparison(
        "erp_to_view",
        {
            "pyequilib 0.6 equi2pers, frame by frame": lambda: run_threads(project_frame, count, 1),
            "pyequilib 0.6 equi2pers, frames over two threads": lambda: run_threads(
                project_frame, count, THREADS
            ),
            "pyequilib 0.6 equi2pers, one batch (one field of view for all)": lambda: (
                equilib.equi2pers(equi=scene.erp_planes, rots=rots, **batch)
            ),
        },
        {
            "ours, threads=2": lambda: erp_to_view(scene.erp, rotations, cameras, threads=THREADS),
            "ours, threads=1": lambda: erp_to_view(scene.erp, rotations, cameras),
        },
        count=count,
        rounds=rounds,
        target=4,
    )
    print_comparison(
        "visible_mask",
        {"authors' batched mask, torch": lambda: authors_mask(scene)},
        {"ours, one thread": lambda: visible_mask(rotations, cameras, ERP)},
        count=count,
        rounds=rounds,
        target=30,
    )
    print_comparison(
        "view_to_erp with mask",
        {"authors' batched projection, torch": lambda: authors_view_to_erp(scene)},
        {
            "ours, threads=2": lambda: view_to_erp(
                scene.views, rotations, cameras, ERP, threads=THREADS
            )
        },
        count=count,
        rounds=rounds,
        target=8,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="few frames and one round")
    is_quick = parser.parse_args().quick
    count, rounds = (4, 1) if is_quick else (25, 9)
    torch.set_num_threads(THREADS)
    cv2.setNumThreads(THREADS)
    scene = Scene(count)
    print(
        f"{count} frames, {rounds} rounds, {THREADS} threads; OpenCV {cv2.__version__}, "
        f"numpy {np.__version__}, torch {torch.__version__}"
    )
    print_peers(scene, rounds)
    print_parts(scene, rounds)
    print_other_projections(scene, 2 if is_quick else 6, rounds)
    print_torch(scene, 1 if is_quick else 5)
    print_errors(scene)


if __name__ == "__main__":
    main()
