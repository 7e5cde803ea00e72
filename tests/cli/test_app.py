"""The command line: what it resolves, what it says of bad input, and its exit status."""

import json
import socket
import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from argus.cli import app
from argus.media import SphericalMetadata, read_spherical, write_video
from schemas.config import CurateConfig, GenerateConfig, TrainConfig

pytestmark = pytest.mark.usefixtures("home")
COMMANDS = ["demo", "up", "refresh", "train", "evaluate", "promote", "generate", "tag"]


def argus(*arguments: str | Path) -> Result:
    return CliRunner().invoke(
        app, [str(argument) for argument in arguments], env={"COLUMNS": "200"}
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    result = argus(command, "--help")
    assert result.exit_code == 0
    assert len(result.output.splitlines()) > 5


def test_help_shows_the_defaults() -> None:
    assert "[default: 75]" in argus("generate", "--help").output
    assert "else equirectangular]" in argus("tag", "--help").output


def test_dry_run_prints_the_resolved_configuration_and_writes_nothing(
    home: Path, tmp_path: Path
) -> None:
    result = argus(
        "refresh",
        "list.csv",
        "--dataset",
        tmp_path / "data",
        "--allow-private-hosts",
        "--set",
        "clip.height=256",
        "--dry-run",
    )
    config = CurateConfig.model_validate(json.loads(result.stdout))
    assert config.dataset == str(tmp_path / "data")
    assert config.catalogue == str(Path("list.csv").absolute())
    assert config.fetch.allow_private_hosts
    assert config.clip.height == 256
    assert not home.exists()


def test_defaults_come_from_the_home_the_preset_and_the_options(home: Path) -> None:
    config = TrainConfig.model_validate(
        json.loads(argus("train", "--preset", "demo", "--steps", "7", "--dry-run").stdout)
    )
    assert config.dataset == str(home / "dataset")
    assert config.steps == 7
    assert config.workers == 2


def test_generate_resolves_its_files(home: Path) -> None:
    config = GenerateConfig.model_validate(
        json.loads(argus("generate", "in.mp4", "-o", "out.mp4", "--fov", "90", "--dry-run").stdout)
    )
    assert (config.input, config.output) == (
        str(Path("in.mp4").absolute()),
        str(Path("out.mp4").absolute()),
    )
    assert config.fov_deg == 90
    assert config.model == "models:/argus@champion"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "--set", "batch=3"], "multiple of workers"),
        (["train", "--preset", "huge"], "there is no preset 'huge'"),
        (["train", "--config", "absent.yaml"], "absent.yaml does not exist"),
        (["refresh", "a.csv", "--set", "clip.hieght=256"], "clip.hieght"),
        (["generate", "in.mp4", "-o", "out.mp4", "--fov", "200"], "fov_deg"),
    ],
)
def test_bad_settings_are_one_line_and_status_10(arguments: list[str], words: str) -> None:
    result = argus(*arguments)
    assert result.exit_code == 10
    assert words in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_port_in_use_is_said_before_anything_starts(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        result = argus("up", "--mlflow-port", str(taken.getsockname()[1]))
    assert result.exit_code == 10
    assert "for mlflow is in use" in result.stderr
    assert not home.exists()


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A video without metadata."""
    path = tmp_path / "plain.mp4"
    write_video(path, np.zeros((3, 32, 64, 3), np.uint8), 30)
    return path


@pytest.mark.parametrize(
    ("options", "projection", "stereo", "ffmpeg"),
    [
        ([], "equirectangular", "mono", "mapping: equirectangular"),
        (["--stereo", "top-bottom"], "equirectangular", "top-bottom", "top and bottom"),
        (
            ["--projection", "cubemap", "--stereo", "left-right"],
            "cubemap",
            "left-right",
            "mapping: cubemap",
        ),
    ],
)
def test_tag_writes_and_says_what_a_player_will_read(
    options: list[str], projection: str, stereo: str, ffmpeg: str, plain: Path, tmp_path: Path
) -> None:
    tagged = tmp_path / "tagged.mp4"
    result = argus("tag", plain, tagged, *options)
    assert result.exit_code == 0, result.output
    declared = ["spherical: v2", f"projection: {projection}", f"stereo: {stereo}"]
    assert result.stdout.splitlines() == [f"output: {tagged}", *declared]
    assert argus("tag", tagged).stdout.splitlines() == declared
    said = subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-i", tagged],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ffmpeg in said.stderr.lower()
    assert read_spherical(plain) is None


def test_tag_changes_in_place_what_is_asked_for(plain: Path) -> None:
    for options, declared in [
        (["--stereo", "left-right"], SphericalMetadata(stereo_mode="left-right")),
        (
            ["--projection", "cubemap"],
            SphericalMetadata(projection="cubemap", stereo_mode="left-right"),
        ),
        ([], SphericalMetadata(projection="cubemap", stereo_mode="left-right")),
        (["--projection", "equirectangular", "--stereo", "mono"], SphericalMetadata()),
    ]:
        assert argus("tag", plain, plain, *options).exit_code == 0
        assert read_spherical(plain) == declared


def test_tag_makes_an_mp4_of_a_matroska_file(plain: Path, tmp_path: Path) -> None:
    subprocess.run(
        [
            imageio_ffmpeg.get_ffmpeg_exe(),
            "-v",
            "error",
            "-i",
            plain,
            "-c",
            "copy",
            tmp_path / "plain.mkv",
        ],
        check=True,
    )
    assert argus("tag", tmp_path / "plain.mkv", tmp_path / "tagged.mp4").exit_code == 0
    assert read_spherical(tmp_path / "tagged.mp4") == SphericalMetadata()


def test_tag_shows_a_plain_video_and_a_turned_part_of_a_sphere(plain: Path, tmp_path: Path) -> None:
    assert argus("tag", plain).stdout.splitlines() == ["spherical: no"]
    part = SphericalMetadata(bounds=(0, 0, 0.25, 0.25), yaw_deg=90, roll_deg=-12.5)
    write_video(tmp_path / "part.mp4", np.zeros((3, 32, 64, 3), np.uint8), 30, spherical=part)
    assert argus("tag", tmp_path / "part.mp4").stdout.splitlines()[3:] == [
        "missing at top, bottom, left, right: 0, 0, 0.25, 0.25",
        "yaw, pitch, roll: 90, 0, -12.5",
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["absent.mp4"], "there is no such file"),
        (["absent.mp4", "out.mp4"], "there is no such file"),
        (["plain.mp4", "out.webm"], "must end in .mp4"),
        (["plain.mp4", "folder.mp4"], "Is a directory; choose another place"),
        (["plain.mp4", "--stereo", "mono"], "no file to write was given"),
        (["text.mp4", "out.mp4"], "text.mp4"),
        (["text.mp4"], "text.mp4"),
    ],
)
def test_what_cannot_be_tagged_is_one_line_and_status_10(
    arguments: list[str], words: str, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.mp4").write_text("no video\n" * 99)
    (tmp_path / "folder.mp4").mkdir()
    before = sorted(path.name for path in tmp_path.iterdir())
    result = argus("tag", *arguments)
    assert result.exit_code == 10, result.output
    assert words in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_tag_names_the_choices(plain: Path) -> None:
    result = argus("tag", plain, "out.mp4", "--stereo", "over-under")
    assert result.exit_code == 2
    assert all(choice in result.stderr for choice in ("mono", "top-bottom", "left-right"))
