"""The demo as one command, with real servers."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import imageio_ffmpeg
import mlflow
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from argus.dataset import Dataset
from argus.errors import InvalidInput
from flows.demo import read_labels
from flows.demo_report import group_by_method

ARGUS = Path(sys.executable).parent / "argus"


def test_metrics_are_grouped_by_method_with_the_model_first() -> None:
    assert group_by_method({"fill.psnr_all": 2.0, "model.psnr_all": 1.0, "clips": 3.0}) == {
        "model": {"psnr_all": 1.0},
        "fill": {"psnr_all": 2.0},
    }
    assert list(group_by_method({"fill.psnr_all": 2.0, "model.psnr_all": 1.0})) == ["model", "fill"]


def test_a_folder_of_videos_needs_no_labels(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_labels(tmp_path)
    assert str(tmp_path) in str(caught.value)
    (tmp_path / "a.mp4").touch()
    (tmp_path / "notes.txt").touch()
    assert read_labels(tmp_path) == {"a.mp4": {}}
    (tmp_path / "labels.csv").write_text("path,keep,reason\na.mp4,no,static\nb.jpg,no,static\n")
    assert read_labels(tmp_path) == {"a.mp4": {"path": "a.mp4", "keep": "no", "reason": "static"}}


@pytest.mark.slow
def test_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other programs read its files, no process remains, and the registry works without server."""
    home = tmp_path / "home"
    done = subprocess.run(
        [ARGUS, "demo", "--home", home],
        capture_output=True,
        text=True,
        timeout=1500,
        env=plain_environment(),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for text in (
        "videos considered",
        "validation loss",
        "PSNR, untrained model",
        "PSNR, fill baseline",
        "promote",
        "report.html",
    ):
        assert text in done.stdout, text
    assert list_processes(home) == []

    snapshot = Dataset(home / "dataset").get_snapshot()
    shard = home / "dataset" / snapshot.table["shard"][0].as_py()
    assert pa.ipc.open_file(pa.memory_map(str(shard))).num_record_batches > 0
    assert DeltaTable(home / "dataset" / "index").to_pyarrow_table().num_rows >= 33

    uri = next(
        line.split("=", 1)[1]
        for line in done.stdout.splitlines()
        if line.startswith("export MLFLOW_TRACKING_URI=")
    )
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    mlflow.set_tracking_uri(uri)
    output = tmp_path / "out.mp4"
    mlflow.pyfunc.load_model("models:/argus@champion").predict(
        [{"input": str(home / "world/input/ordinary.mp4"), "output": str(output)}]
    )
    mlflow.set_tracking_uri(None)
    assert (
        "equirectangular"
        in subprocess.run(
            [imageio_ffmpeg.get_ffmpeg_exe(), "-i", output], capture_output=True, text=True
        ).stderr
    )


def list_processes(home: Path) -> list[str]:
    """Return the command lines of processes with this folder in their arguments or environment."""
    commands = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (process / "cmdline").read_bytes()
            if str(home).encode() in command + (process / "environ").read_bytes():
                commands.append(command.replace(b"\0", b" ").decode(errors="replace"))
    return commands


def plain_environment() -> dict[str, str]:
    """Return the environment without configured servers, home and media."""
    prefixes = ("ARGUS_", "MLFLOW_TRACKING", "PREFECT_API", "RAY_ADDRESS")
    return {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}


@pytest.mark.slow
def test_the_demo_with_real_media(tmp_path: Path, media: Path) -> None:
    """Check that decisions about real videos agree with their labels."""
    home = tmp_path / "home"
    done = subprocess.run(
        [ARGUS, "demo", "--home", home, "--media", media],
        capture_output=True,
        text=True,
        timeout=1500,
        env=plain_environment(),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = Dataset(home / "dataset").read_latest(["url", "decision", "reason"]).to_pylist()
    decided = {row["url"].split("/", 3)[3]: (row["decision"], row["reason"]) for row in rows}
    for name in ("overpass.mp4", "prison_handheld.mp4", "city_cg.ts"):
        assert decided[f"360/{name}"] == ("kept", None)
    assert decided["360/audio_only.mp4"] == ("dropped", "no_video_stream")
    perspective = {
        name: decision for name, decision in decided.items() if name.startswith("perspective/")
    }
    assert len(perspective) == 9
    assert set(perspective.values()) == {("dropped", "not_360")}
