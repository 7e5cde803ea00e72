"""Record every decision, score, clip and shard of a fixed catalogue, and the losses of training on it.

A refactor must not change what is computed. Run this before it and after it, with the same work
folder for the media, and compare:

    python benchmarks/record.py before.json --work /tmp/record --media DIR
    python benchmarks/record.py after.json --work /tmp/record --media DIR --against before.json

The catalogue holds 60 generated videos, and the real ones of DIR if it is given. The exit status
is 1 if anything differs.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
KINDS = (
    "walk",
    "drive",
    "cuts",
    "whip_pan",
    "cut_in_pan",
    "brick_wall",
    "tilted",
    "operator",
    "covered_tripod",
    "mono_erp_1.99",
    "mono_erp_16x9",
    "mono_erp_letterboxed",
    "stereo_tb",
    "stereo_tb_2to1",
    "stereo_sbs",
    "stereo_sbs_2to1",
    "vr180",
    "partial",
    "partial_mesh",
    "cubemap_3x2",
    "cubemap_v2",
    "cubemap_6x1",
    "eac",
    "dual_fisheye",
    "twice_converted",
    "perspective_16x9",
    "perspective_2to1",
    "cartoon",
    "slides",
    "tiny_planet",
    "static",
    "tripod",
    "spin",
    "title",
    "watermark",
    "blurred",
    "dark",
    "overexposed",
    "caps",
    "half_black",
    "black",
    "fog",
    "broken_seam",
    "too_short",
    "one_frame",
    "corrupt",
    "corrupt_index",
    "truncated",
    "empty",
    "text",
    "audio_only",
)
EXTRA = [("walk", seed) for seed in range(10, 15)] + [("drive", seed) for seed in range(10, 14)]
PORT = 18_765  # ids depend on the url
STEPS = 30
SEEDS = (0, 1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--work", type=Path, required=True, help="folder for media and datasets")
    parser.add_argument("--media", type=Path, help="folder of real videos")
    parser.add_argument("--against", type=Path, help="an earlier record to compare with")
    parser.add_argument(
        "--set", action="append", default=[], help="a further setting of the refresh"
    )
    options = parser.parse_args()
    folder = make_media(options.work / "media", options.media)
    home = options.work / f"home-{options.output.stem}"
    shutil.rmtree(home, ignore_errors=True)
    refresh(folder, home, options.set)
    record = {"dataset": read_dataset(home / "dataset"), "losses": train(home)}
    options.output.write_text(json.dumps(record, indent=1, sort_keys=True))
    print(f"{len(record['dataset']['sources'])} sources recorded in {options.output}")
    if options.against is None:
        return 0
    before = json.loads(options.against.read_text())
    differences = list(
        compare(rename_scores(before), rename_scores(json.loads(json.dumps(record))))
    )
    print("\n".join(differences[:100]) or "no difference")
    print(f"{len(differences)} differences")
    return bool(differences)


def make_media(folder: Path, media: Path | None) -> Path:
    """Write the generated videos and copy the real ones, unless the folder is complete."""
    if (folder / "complete").exists():
        return folder
    from argus import synth

    write = getattr(synth, "write_video_kind", None) or synth.write_kind
    (folder / "real").mkdir(parents=True, exist_ok=True)
    for kind, seed in [*((kind, 7) for kind in KINDS), *EXTRA]:
        height = 256 if kind in {"walk", "drive", "cuts", "title", "text"} else 128
        write(folder / f"{kind}-{seed}.mp4", kind, seed=seed, seconds=5, fps=10, height=height)
    for name in sorted(
        {*(media or Path()).glob("360/*"), *(media or Path()).glob("perspective/*")}
    ):
        if media and name.suffix in {".mp4", ".webm", ".ts", ".mov", ".mkv"}:
            shutil.copy(name, folder / "real" / f"{name.parent.name}-{name.name}")
    (folder / "complete").touch()
    return folder


def refresh(folder: Path, home: Path, settings: list[str]) -> None:
    """Curate all media into `home`/dataset."""
    from argus.synth import serve_folder

    files = sorted(
        path for path in folder.rglob("*") if path.suffix not in {"", ".csv"} and path.is_file()
    )
    home.mkdir(parents=True)
    catalogue = home / "catalogue.csv"
    urls = [f"http://127.0.0.1:{PORT}/{path.relative_to(folder).as_posix()}" for path in files]
    splits = [
        "train"
        if "walk" in url or "drive" in url
        else "val"
        if "overpass" in url or "cuts" in url
        else "test"
        for url in urls
    ]
    catalogue.write_text(
        "url,split\n" + "".join(f"{url},{split}\n" for url, split in zip(urls, splits, strict=True))
    )
    config: dict[str, Any] = {
        "home": str(home),
        "dataset": str(home / "dataset"),
        "catalogue": str(catalogue),
        "run_id": "record",
        "fetch": {"allow_private_hosts": True},
    }
    for setting in settings:
        name, _, value = setting.partition("=")
        config[name] = yaml.safe_load(value)
    with serve_folder(folder, port=PORT):
        run_job("ray_jobs.curate", config, home)


def train(home: Path) -> dict[str, list[Any]]:
    """The losses of each seed, with the samples of every step."""
    found = {}
    for seed in SEEDS:
        run_id = f"record-{seed}"
        config = {
            "home": str(home),
            "dataset": str(home / "dataset"),
            "run_id": run_id,
            "seed": seed,
            "steps": STEPS,
            "batch": 2,
            "workers": 1,
            "validate_every": STEPS,
            "checkpoint_every": STEPS,
            "sample_every": STEPS,
            "validation_clips": 1,
            "register_model": False,
            "tracking": {"uri": f"sqlite:///{home}/mlflow.db"},
        }
        run_job("ray_jobs.train", config, home)
        lines = (home / "runs" / "train" / run_id / "losses.jsonl").read_text().splitlines()
        found[str(seed)] = [list(json.loads(line).values()) for line in lines]
    return found


def run_job(module: str, config: dict[str, Any], home: Path) -> None:
    file = home / f"{config['run_id']}.json"
    file.write_text(json.dumps(config))
    environment = {
        **os.environ,
        "ARGUS_HOME": str(home),
        "PYTHONPATH": str(ROOT),
        "OMP_WAIT_POLICY": "passive",
    }
    command = [sys.executable, "-m", module, "--config", str(file)]
    subprocess.run(command, check=True, cwd=ROOT, env=environment)


def read_dataset(folder: Path) -> dict[str, Any]:
    """Decisions, scores and clips by source, in plain names; the newest snapshot; the shards' digests."""
    import hashlib

    from deltalake import DeltaTable

    rows: dict[str, dict[str, Any]] = {}
    for row in DeltaTable(str(folder / "index")).to_pyarrow_table().sort_by("sequence").to_pylist():
        rows[row["source_id"]] = row
    snapshot = max((folder / "snapshots").glob("*.parquet"))
    shards = sorted((folder / "shards").glob("*.arrow"))
    return {
        "sources": {source_id: source_record(row) for source_id, row in rows.items()},
        "snapshot": hashlib.sha256(snapshot.read_bytes()).hexdigest(),
        "shards": {shard.name: hashlib.sha256(shard.read_bytes()).hexdigest() for shard in shards},
    }


def source_record(row: dict[str, Any]) -> dict[str, Any]:
    kept = (
        "url",
        "split",
        "decision",
        "reason",
        "retryable",
        "layout_declared",
        "layout",
        "conversion",
    )
    return {
        **{name: row[name] for name in kept},
        "scores": [list(score.values()) for score in row["scores"] or ()],
        "clips": [clip_record(clip) for clip in row["clips"] or ()],
        "media": {
            name: (row["media"] or {}).get(name)
            for name in ("width", "height", "frames", "codec", "container")
        },
    }


def clip_record(clip: dict[str, Any]) -> dict[str, Any]:
    signature = clip.pop("signature", None)
    scores = [list(score.values()) for score in clip.pop("scores") or ()]
    return {**clip, "scores": scores, "signature": signature.hex() if signature else None}


def rename_scores(value: Any) -> Any:
    """Bring stored score names of version 1 to today's."""
    from argus import dataset

    renamed = getattr(dataset, "RENAMED_SCORES", {})
    for source in value["dataset"]["sources"].values():
        for scores in (source["scores"], *(clip["scores"] for clip in source["clips"])):
            for score in scores:
                score[1] = renamed.get((score[0], score[1]), score[1])
    return value


def compare(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """Yield a line for each place at which two records differ."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in sorted({*before, *after}):
            yield from compare(before.get(name), after.get(name), f"{path}/{name}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from compare(one, other, f"{path}[{number}]")
    elif before != after:
        yield f"{path}: {str(before)[:80]} -> {str(after)[:80]}"


if __name__ == "__main__":
    sys.exit(main())
