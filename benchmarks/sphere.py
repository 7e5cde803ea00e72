"""What the sphere costs: beside pyequilib, beside the authors' batched way, and beside the floor of OpenCV's remap with ready maps.

25 frames, ERP 512x1024 <-> view 320x480, another rotation and field of view for each frame, uint8, two threads on each side. A peer that brings no
threads of its own is also measured with its frames spread over two, and the faster of its times counts. Peer and ours alternate within one run;
times are medians per frame, ratios are medians over rounds.

The authors' functions are written here from what their paper and release say they do: the unit vectors of the whole map, as a batch, are turned into
every camera by one matrix product, divided by z, compared with the picture's borders (z > 0); the pictures, and a picture of ones that becomes the
mask, are then sampled there with grid_sample.

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

import cv2  # noqa: E402
import equilib  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402

from argus.sphere import Camera, erp_to_view, from_euler_deg, rotate_erp, view_to_erp, visible_mask  # noqa: E402
from argus.sphere.grid import TurnedGrid, bands, erp_pixels, view_grid  # noqa: E402
from argus.sphere.sampling import Sampler  # noqa: E402

ERP = (512, 1024)
VIEW = (320, 480)
Call = Callable[[], object]


class Scene:
    """What is projected: frames, rotations and cameras from one seed."""

    def __init__(
        self, count: int, size: tuple[int, int] = ERP, view: tuple[int, int] = VIEW
    ) -> None:
        random = np.random.default_rng(0)
        self.count, self.size = count, size
        self.yaw, self.pitch, self.roll = (
            random.uniform(-180, 180, count),
            random.uniform(-60, 60, count),
            random.uniform(-20, 20, count),
        )
        self.rotations = from_euler_deg(self.yaw, self.pitch, self.roll)
        self.cameras = [
            Camera(float(fov), view[1], view[0]) for fov in random.uniform(80, 100, count)
        ]
        self.erp = random.integers(0, 256, (count, *size, 3), np.uint8)
        self.views = random.integers(0, 256, (count, *view, 3), np.uint8)
        self.small = self.erp[:, : size[0] // 10, : size[1] // 10]
        self.erp_planes = np.ascontiguousarray(self.erp.transpose(0, 3, 1, 2))  # [T, C, H, W]
        self.erp_torch = torch.from_numpy(self.erp_planes).float()
        self.views_torch = torch.from_numpy(self.views).permute(0, 3, 1, 2).float().contiguous()
        self.turns_torch = torch.from_numpy(self.rotations).float()


def equilib_view(
    erp: np.ndarray, camera: Camera, euler_deg: tuple[float, float, float]
) -> np.ndarray:
    """One view `[C, h, w]` of one map `[C, H, W]`; with its z axis down its yaw, pitch and roll are ours."""
    yaw, pitch, roll = np.radians(euler_deg)
    rotation = {"yaw": float(yaw), "pitch": float(pitch), "roll": float(roll)}
    view: np.ndarray = equilib.equi2pers(
        equi=erp,
        rots=rotation,
        height=camera.height,
        width=camera.width,
        fov_x=camera.fov_x_deg,
        z_down=True,
    )
    return view


def authors_pixels(
    turns: torch.Tensor, cameras: list[Camera], size: tuple[int, int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """([T, H, W, 2] in grid_sample's [-1, 1], inside [T, H, W])."""
    height, width = size
    lon = ((torch.arange(width) + 0.5) / width - 0.5) * 2 * math.pi
    lat = (0.5 - (torch.arange(height) + 0.5) / height) * math.pi
    lat, lon = torch.meshgrid(lat, lon, indexing="ij")
    vectors = (
        torch.stack([lat.cos() * lon.sin(), -lat.sin(), lat.cos() * lon.cos()], -1)
        .reshape(1, -1, 3)
        .repeat(len(turns), 1, 1)
    )
    rays = torch.matmul(vectors, turns)  # [T, H*W, 3]: rows times R are the inverse rotation
    tangents = torch.tensor(
        [[one.width / (2 * one.fx), one.height / (2 * one.fy)] for one in cameras]
    )[:, None]
    places = rays[..., :2] / rays[..., 2:] / tangents
    inside = (rays[..., 2] > 0) & (places[..., 0].abs() <= 1) & (places[..., 1].abs() <= 1)
    return places.reshape(len(turns), height, width, 2), inside.reshape(len(turns), height, width)


def authors_mask(scene: Scene) -> torch.Tensor:
    return authors_pixels(scene.turns_torch, scene.cameras, scene.size)[1]


def authors_projection(scene: Scene) -> tuple[torch.Tensor, torch.Tensor]:
    places, inside = authors_pixels(scene.turns_torch, scene.cameras, scene.size)
    erp = torch.nn.functional.grid_sample(
        scene.views_torch, places, padding_mode="border", align_corners=False
    )
    ones = torch.nn.functional.grid_sample(
        torch.ones_like(scene.views_torch[:, :1]), places, padding_mode="zeros", align_corners=False
    )
    return erp * inside[:, None], (ones[:, 0] > 0) & inside


def spread(work: Callable[[int], object], count: int, threads: int) -> None:
    """work(0), ..., work(count - 1) on so many threads."""
    if threads == 1:
        for k in range(count):
            work(k)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(count)))


def timed(calls: dict[str, Call], count: int, rounds: int) -> dict[str, list[float]]:
    """Milliseconds per frame of each call in each round; the calls alternate."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            times[name].append((time.perf_counter() - start) * 1e3 / count)
    return times


def pair(
    title: str,
    peers: dict[str, Call],
    ours: dict[str, Call],
    count: int,
    rounds: int,
    wanted: float,
) -> None:
    """Prints peers and ours, and how much faster our first is than the fastest peer."""
    times = timed(peers | ours, count, rounds)
    first = times[next(iter(ours))]
    best = min(peers, key=lambda name: statistics.median(times[name]))
    ratio = statistics.median(theirs / own for theirs, own in zip(times[best], first, strict=True))
    print(f"\n{title}: {ratio:.1f}x faster than the faster of the peer's (wanted: {wanted:g}x)")
    for name in times:
        print(f"  {name:<66}{statistics.median(times[name]):9.2f} ms a frame")


def table(title: str, calls: dict[str, Call], count: int, rounds: int) -> None:
    print(f"\n{title}")
    for name, values in timed(calls, count, rounds).items():
        print(f"  {name:<66}{statistics.median(values):9.2f} ms a frame")


def maps_of(scene: Scene, k: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """(column, row) of one view, band by band, as `erp_to_view` makes them."""
    one, turn = scene.cameras[k], scene.rotations[k : k + 1]
    rays = TurnedGrid.of(view_grid(one, turn), turn)
    windows = bands(slice(0, one.height), slice(0, one.width))
    return [
        (column[0], row[0])
        for column, row in (erp_pixels(rays.part(*window).rays(), scene.size) for window in windows)
    ]


def split(scene: Scene, rounds: int) -> None:
    """Where `erp_to_view`'s time goes, and the floor of the sampling: the same remap, alone, with maps of whole pictures made before."""
    ready = [maps_of(scene, k) for k in range(scene.count)]
    whole = [tuple(np.concatenate(axis) for axis in zip(*maps, strict=True)) for maps in ready]

    def sampled(k: int) -> None:
        pixels = Sampler(scene.erp[k], "linear", VIEW[0] * VIEW[1])
        for column, row in ready[k]:
            pixels(column, row)

    def floor(k: int) -> None:
        cv2.remap(scene.erp[k], *whole[k], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    calls: dict[str, Call] = {}
    for threads in (1, THREADS):
        calls |= {
            f"whole, threads={threads}": lambda n=threads: erp_to_view(
                scene.erp, scene.rotations, scene.cameras, threads=n
            ),
            f"  making maps, threads={threads}": lambda n=threads: spread(
                lambda k: maps_of(scene, k), scene.count, n
            ),
            f"  sampling with ready maps, threads={threads}": lambda n=threads: spread(
                sampled, scene.count, n
            ),
            f"  floor: cv2.remap with ready maps, threads={threads}": lambda n=threads: spread(
                floor, scene.count, n
            ),
        }
    table(
        "erp_to_view, its parts and their floor (no prefilter at this size)",
        calls,
        scene.count,
        rounds,
    )


def others(scene: Scene, count_4k: int, rounds: int) -> None:
    calls: dict[str, Call] = {}
    for threads in (1, THREADS):
        calls[f"rotate_erp, threads={threads}"] = lambda n=threads: rotate_erp(
            scene.erp, scene.rotations, threads=n
        )
        calls[f"view_to_erp, threads={threads}"] = lambda n=threads: view_to_erp(
            scene.views, scene.rotations, scene.cameras, ERP, threads=n
        )
    table("The rest", calls, scene.count, rounds)
    large = Scene(count_4k, (1920, 3840), (256, 256))
    for pixels in (256, 96):
        narrow = Camera(90, pixels, pixels)
        table(
            f"4K map (1920x3840) into a 90 degree view of {pixels} px",
            {
                "whole, threads=1": lambda one=narrow: erp_to_view(large.erp, large.rotations, one),
                f"whole, threads={THREADS}": lambda one=narrow: erp_to_view(
                    large.erp, large.rotations, one, threads=THREADS
                ),
                "  the same without a filter (a map of 192x384), threads=1": lambda one=narrow: (
                    erp_to_view(large.small, large.rotations, one)
                ),
            },
            large.count,
            rounds,
        )


def torch_calls(scene: Scene, device: str) -> dict[str, Call]:
    erp, views, turns = (
        values.to(device) for values in (scene.erp_torch, scene.views_torch, scene.turns_torch)
    )

    def finished(call: Call) -> Call:
        return lambda: (call(), torch.cuda.synchronize() if device == "cuda" else None)

    return {
        "erp_to_view": finished(lambda: erp_to_view(erp, turns, scene.cameras)),
        "view_to_erp": finished(lambda: view_to_erp(views, turns, scene.cameras, ERP)),
        "visible_mask": finished(lambda: visible_mask(turns, scene.cameras, ERP)),
        "rotate_erp": finished(lambda: rotate_erp(erp, turns)),
    }


def on_torch(scene: Scene, rounds: int) -> None:
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    for device in devices:
        table(f"torch float32 on {device}", torch_calls(scene, device), scene.count, rounds)
    if len(devices) == 1:
        print("\ntorch on CUDA: not measured, this machine has no such device")


def errors(scene: Scene) -> None:
    """How far each one's views of a map of directions are from the analytic rays."""
    height, width = ERP
    lon = ((np.arange(width) + 0.5) / width - 0.5) * 2 * np.pi
    lat = ((0.5 - (np.arange(height) + 0.5) / height) * np.pi)[:, None]
    directions = np.stack(
        [np.cos(lat) * np.sin(lon), -np.sin(lat) + 0 * lon, np.cos(lat) * np.cos(lon)], -1
    ).astype(np.float32)
    found: dict[str, list[np.ndarray]] = {"ours": [], "pyequilib": []}
    for k, one in enumerate(scene.cameras):
        x = (np.arange(one.width) + 0.5 - one.width / 2) / one.fx
        y = (np.arange(one.height) + 0.5 - one.height / 2) / one.fy
        rays = (
            np.stack([*np.meshgrid(x, y), np.ones((one.height, one.width))], -1)
            @ scene.rotations[k].T
        )
        theirs = equilib_view(
            directions.transpose(2, 0, 1), one, (scene.yaw[k], scene.pitch[k], scene.roll[k])
        ).transpose(1, 2, 0)
        for name, seen in (
            ("ours", erp_to_view(directions[None], scene.rotations[k], one)[0]),
            ("pyequilib", theirs),
        ):
            cosine = (
                (seen * rays).sum(-1)
                / np.linalg.norm(seen, axis=-1)
                / np.linalg.norm(rays, axis=-1)
            )
            found[name].append(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
    print("\nA map of directions (512x1024) seen in the views, degrees from the analytic rays")
    for name, angles in found.items():
        flat = np.concatenate([angle.ravel() for angle in angles])
        print(
            f"  {name:<20} median {np.median(flat):8.4f}   99.9%% {np.quantile(flat, 0.999):8.4f}   most {flat.max():8.4f}".replace(
                "%%", "%"
            )
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="few frames, one round: shows that it runs"
    )
    quick = parser.parse_args().quick
    count, rounds = (4, 1) if quick else (25, 9)
    torch.set_num_threads(THREADS)
    cv2.setNumThreads(THREADS)
    scene = Scene(count)
    turns, cameras = scene.rotations, scene.cameras

    def peer(k: int) -> object:
        return equilib_view(
            scene.erp_planes[k], cameras[k], (scene.yaw[k], scene.pitch[k], scene.roll[k])
        )

    rots = [
        {"yaw": math.radians(a), "pitch": math.radians(b), "roll": math.radians(c)}
        for a, b, c in zip(scene.yaw, scene.pitch, scene.roll, strict=True)
    ]
    batch = {"height": VIEW[0], "width": VIEW[1], "fov_x": 90.0, "z_down": True}
    print(
        f"{count} frames, {rounds} rounds, {THREADS} threads; OpenCV {cv2.__version__}, numpy {np.__version__}, torch {torch.__version__}"
    )
    pair(
        "erp_to_view",
        {
            "pyequilib 0.6 equi2pers, frame by frame": lambda: spread(peer, count, 1),
            "pyequilib 0.6 equi2pers, frames over two threads by the caller": lambda: spread(
                peer, count, THREADS
            ),
            "pyequilib 0.6 equi2pers, one batch (one field of view for all)": lambda: (
                equilib.equi2pers(equi=scene.erp_planes, rots=rots, **batch)
            ),
        },
        {
            "ours, threads=2": lambda: erp_to_view(scene.erp, turns, cameras, threads=THREADS),
            "ours, threads=1": lambda: erp_to_view(scene.erp, turns, cameras),
        },
        count,
        rounds,
        4,
    )
    pair(
        "visible_mask",
        {"authors' batched mask, torch": lambda: authors_mask(scene)},
        {"ours, one thread": lambda: visible_mask(turns, cameras, ERP)},
        count,
        rounds,
        30,
    )
    pair(
        "view_to_erp with mask",
        {"authors' batched projection, torch": lambda: authors_projection(scene)},
        {"ours, threads=2": lambda: view_to_erp(scene.views, turns, cameras, ERP, threads=THREADS)},
        count,
        rounds,
        8,
    )
    split(scene, rounds)
    others(scene, 2 if quick else 6, rounds)
    on_torch(scene, 1 if quick else 5)
    errors(scene)


if __name__ == "__main__":
    main()
