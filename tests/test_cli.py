"""The command line: what it resolves, what it says of bad input, and its exit status."""

import json
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from argus.cli import app
from schemas.config import CurateConfig, GenerateConfig, TrainConfig

COMMANDS = ["demo", "up", "refresh", "train", "evaluate", "promote", "generate"]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("MLFLOW_TRACKING_URI", "ARGUS_RAY_ADDRESS", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ARGUS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def argus(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    result = argus(command, "--help")
    assert result.exit_code == 0
    assert len(result.output.splitlines()) > 5


def test_dry_run_prints_the_resolved_configuration_and_writes_nothing(home: Path, tmp_path: Path) -> None:
    result = argus("refresh", "list.csv", "--dataset", tmp_path / "data", "--allow-private-hosts", "--set", "clip.height=256", "--dry-run")
    config = CurateConfig.model_validate(json.loads(result.stdout))
    assert config.dataset == str(tmp_path / "data")
    assert config.catalogue == str(Path("list.csv").absolute())
    assert config.fetch.allow_private_hosts
    assert config.clip.height == 256
    assert not home.exists()


def test_defaults_come_from_the_home_the_preset_and_the_options(home: Path) -> None:
    config = TrainConfig.model_validate(json.loads(argus("train", "--preset", "demo", "--steps", "7", "--dry-run").stdout))
    assert config.dataset == str(home / "dataset")
    assert config.steps == 7
    assert config.workers == 2


def test_generate_resolves_its_files(home: Path) -> None:
    config = GenerateConfig.model_validate(json.loads(argus("generate", "in.mp4", "-o", "out.mp4", "--fov", "90", "--dry-run").stdout))
    assert (config.input, config.output) == (str(Path("in.mp4").absolute()), str(Path("out.mp4").absolute()))
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
