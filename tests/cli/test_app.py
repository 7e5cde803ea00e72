"""The command line as a whole: help, version, dry runs, and one clear line for bad input."""

import socket
from importlib.metadata import version
from pathlib import Path

import click
import pytest
import typer

from argus.cli import app
from schemas.config import CurateConfig, EvaluateConfig, GenerateConfig, PromoteConfig, TrainConfig
from tests.support.cli import assert_invalid, run_argus, run_argus_json

pytestmark = pytest.mark.usefixtures("home")

TABLE_COMMANDS = {
    "dataset agree",
    "dataset compact",
    "dataset diff",
    "dataset forget",
    "dataset log",
    "dataset rebuild",
    "dataset show",
    "dataset stats",
    "dataset sweep",
    "dataset why",
    "evaluate",
    "generate",
    "promote",
    "refresh",
    "stitch",
    "tag",
    "train",
    "weights list",
    "weights verify",
}
CHANGING_COMMANDS = {
    "dataset compact",
    "dataset export-manifest",
    "dataset forget",
    "dataset rebuild",
    "evaluate",
    "generate",
    "promote",
    "refresh",
    "stitch",
    "tag",
    "train",
    "weights fetch",
}


def list_commands(group: click.Command, prefix: str = "") -> dict[str, click.Command]:
    """Return the commands of a group and of its sub-groups by name."""
    found: dict[str, click.Command] = {}
    for name, command in getattr(group, "commands", {}).items():
        if hasattr(command, "commands"):
            found |= list_commands(command, f"{prefix}{name} ")
        else:
            found[f"{prefix}{name}"] = command
    return found


COMMANDS = list_commands(typer.main.get_command(app))


def options_of(command: click.Command) -> set[str]:
    return {option for parameter in command.params for option in parameter.opts}


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """A file that exists; nothing reads it."""
    path = tmp_path / "in.mp4"
    path.write_bytes(b"not read")
    return path


def test_every_command_has_help_with_an_example() -> None:
    for name in COMMANDS:
        result = run_argus(*name.split(), "--help")
        assert result.exit_code == 0, name
        assert f"argus {name}" in result.output.partition("Example: ")[2], name


def test_every_command_that_prints_a_table_prints_json_too() -> None:
    assert {name for name in COMMANDS if "--json" in options_of(COMMANDS[name])} == TABLE_COMMANDS


def test_every_command_that_changes_something_has_a_dry_run() -> None:
    dry = {name for name in COMMANDS if "--dry-run" in options_of(COMMANDS[name])}
    assert dry == CHANGING_COMMANDS


def test_help_shows_defaults_and_units() -> None:
    output = run_argus("generate", "--help").output
    assert "[default: 75]" in output
    assert "degrees" in output


def test_the_version_is_that_of_the_package() -> None:
    result = run_argus("--version")
    assert result.exit_code == 0
    assert result.stdout.split() == ["argus", version("argus-360")]


def test_a_dry_refresh_prints_the_configuration_and_writes_nothing(
    home: Path, tmp_path: Path
) -> None:
    (tmp_path / "list.csv").write_text("url\nhttps://videos.example/a\n")
    data = tmp_path / "data"
    options = ["--allow-private-hosts", "--set", "clip.height=256", "--dry-run"]
    printed = run_argus_json("refresh", tmp_path / "list.csv", "--dataset", data, *options)
    config = CurateConfig.model_validate(printed)
    assert (config.dataset, config.catalogue) == (str(data), str(tmp_path / "list.csv"))
    assert config.fetch.allow_private_hosts
    assert config.clip.height == 256
    assert not home.exists()
    assert not data.exists()


def test_defaults_come_from_the_home_the_preset_and_the_options(home: Path) -> None:
    printed = run_argus_json("train", "--preset", "demo", "--steps", "7", "--dry-run")
    config = TrainConfig.model_validate(printed)
    assert config.dataset == str(home / "dataset")
    assert (config.steps, config.workers) == (7, 2)


def test_dry_runs_without_a_dataset_or_a_model_write_nothing(home: Path) -> None:
    evaluation = EvaluateConfig.model_validate(run_argus_json("evaluate", "--dry-run"))
    assert evaluation.model == "models:/argus@candidate"
    promotion = run_argus_json("promote", "--version", "3", "--dry-run")
    assert PromoteConfig.model_validate(promotion).version == 3
    assert not home.exists()


def test_environment_and_options_override_in_this_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARGUS_TRAIN__STEPS", "11")
    monkeypatch.setenv("ARGUS_TRAIN__SEED", "5")
    config = TrainConfig.model_validate(run_argus_json("train", "--steps", "7", "--dry-run"))
    assert (config.steps, config.seed) == (7, 5)


def test_a_configuration_file_and_the_environment_name_the_dataset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "train.yaml").write_text("dataset: /data/of/file")
    file = ["--config", tmp_path / "train.yaml"]
    assert run_argus_json("train", *file, "--dry-run")["dataset"] == "/data/of/file"
    monkeypatch.setenv("ARGUS_TRAIN__DATASET", "/data/of/environment")
    assert run_argus_json("train", *file, "--dry-run")["dataset"] == "/data/of/environment"
    options = [*file, "--dataset", "/data/of/option", "--dry-run"]
    assert run_argus_json("train", *options)["dataset"] == "/data/of/option"


def test_a_cluster_that_is_named_means_ray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "list.csv").write_text("url\nhttps://videos.example/a\n")

    def executor_of(*options: str) -> str:
        return str(
            run_argus_json("refresh", tmp_path / "list.csv", "--dry-run", *options)["executor"]
        )

    assert executor_of() == "local"
    assert executor_of("--executor", "ray") == "ray"
    assert executor_of("--ray-address", "http://head:8265") == "ray"
    monkeypatch.setenv("ARGUS_RAY_ADDRESS", "http://head:8265")
    assert executor_of() == "ray"
    assert executor_of("--executor", "local") == "local"
    (tmp_path / "local.yaml").write_text("executor: local")
    assert executor_of("--config", str(tmp_path / "local.yaml")) == "local"
    both = ["--executor", "local", "--ray-address", "http://head:8265"]
    refused = run_argus("refresh", tmp_path / "list.csv", *both)
    assert_invalid(refused, "executor", "--ray-address")


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["train", "--set", "batch=3"], ["batch", "workers"]),
        (["train", "--preset", "huge"], ["huge", "stage1"]),
        (["train", "--config", "absent.yaml"], ["absent.yaml"]),
        (["train", "--set", "optim.lrr=1"], ["--set optim.lrr=1", "optim.lr?"]),
        (["evaluate", "--model", "absent/model"], ["absent/model", "models:/"]),
        (["promote", "--set", "policy.min_gian=1"], ["policy.min_gain?"]),
        (["refresh", "absent.csv"], ["absent.csv"]),
        (["refresh", "."], ["folder"]),
        (["generate", "absent.mp4", "-o", "out.mp4"], ["absent.mp4"]),
        (["generate", ".", "-o", "out.mp4"], ["folder"]),
        (["demo", "--media", "absent"], ["absent"]),
        (["dataset", "export-manifest", "out.csv"], ["out.csv", ".parquet"]),
        (["dataset", "rebuild", "absent.parquet"], ["absent.parquet"]),
    ],
)
def test_bad_input_is_one_line_that_names_it(
    arguments: list[str], names: list[str], home: Path
) -> None:
    assert_invalid(run_argus(*arguments), *names)
    assert not home.exists()


def test_generate_checks_its_files(video: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    for options, names in (
        (["-o", tmp_path / "out.webm"], ["out.webm", ".mp4"]),
        (["-o", tmp_path / "absent" / "out.mp4"], ["absent"]),
        (["-o", video], ["in.mp4"]),
        (["-o", tmp_path], [str(tmp_path)]),
        (["-o", out, "--poses", "absent.npz"], ["absent.npz"]),
        (["-o", out, "--fov", "200"], ["fov_deg"]),
        (["-o", out, "--model", "absent"], ["absent"]),
        (["-o", out, "--dry-run"], ["in.mp4"]),  # it is no video
    ):
        assert_invalid(run_argus("generate", video, *options), *names)


def test_generate_resolves_its_files(synthetic_video: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    printed = run_argus_json("generate", synthetic_video, "-o", output, "--fov", "90", "--dry-run")
    config = GenerateConfig.model_validate(printed)
    assert (config.input, config.output) == (str(synthetic_video), str(output))
    assert (config.fov_deg, config.model) == (90, "models:/argus@champion")
    assert not output.exists()


def test_a_port_in_use_is_reported_before_anything_starts(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert_invalid(run_argus("up", "--mlflow-port", port), port, "mlflow")
    assert not home.exists()
