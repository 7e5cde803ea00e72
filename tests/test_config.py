"""Configuration: precedence, clear faults, presets that validate."""

from pathlib import Path

import pytest

from argus.config import presets, read_preset, resolve, validated
from argus.errors import InvalidInput
from schemas.config import CurateConfig, SampleOverrides, SampleSettings, TrainConfig


def test_later_sources_win(tmp_path: Path) -> None:
    file = tmp_path / "train.yaml"
    file.write_text("steps: 11\nbatch: 6\noptim: {lr: 1.0e-3, warmup: 7}\n")
    environ = {
        "ARGUS_TRAIN__BATCH": "8",
        "ARGUS_TRAIN__OPTIM__LR": "2e-3",
        "ARGUS_HOME": "/somewhere",
    }
    config = resolve(
        TrainConfig,
        "train",
        file=file,
        sets=["optim.lr=3e-3"],
        fields={"seed": 5, "snapshot": None},
        environ=environ,
    )
    assert (config.steps, config.batch, config.optim.lr, config.optim.warmup, config.seed) == (
        11,
        8,
        3e-3,
        7,
        5,
    )
    assert config.home == "/somewhere"
    assert config.snapshot is None


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        (["stesp=3"], "stesp"),
        (["batch=3", "workers=2"], "multiple of workers"),
        (["steps=0"], "greater than or equal to 1"),
        (["optim"], "not of the form"),
        (["steps.a=1", "steps.a.b=2"], "is a value, not a group"),
        (["height_weight=cosine"], "'paper', 'sqrt', 'cos' or 'none'"),
        (["run_id=../../etc"], "run_id"),
    ],
)
def test_a_fault_is_one_clear_line(sets: list[str], words: str) -> None:
    with pytest.raises(InvalidInput, match=words.replace(".", r"\.")) as caught:
        resolve(TrainConfig, "train", sets=sets, environ={})
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="does not exist"):
        resolve(TrainConfig, "train", file=tmp_path / "absent.yaml", environ={})
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(InvalidInput, match="holds a list"):
        resolve(TrainConfig, "train", file=tmp_path / "list.yaml", environ={})
    (tmp_path / "broken.yaml").write_text("a: [1\n")
    with pytest.raises(InvalidInput, match="not valid YAML"):
        resolve(TrainConfig, "train", file=tmp_path / "broken.yaml", environ={})


def test_presets_validate_and_unknown_ones_are_named() -> None:
    assert {"tiny", "stage1", "stage2", "demo"} <= set(presets("train"))
    for name in presets("train"):
        validated(TrainConfig, read_preset("train", name))
    with pytest.raises(InvalidInput, match="choose one of: demo"):
        resolve(TrainConfig, "train", preset="huge", environ={})


def test_a_required_field_is_asked_for() -> None:
    with pytest.raises(InvalidInput, match="catalogue: Field required"):
        resolve(CurateConfig, "curate", environ={})


def test_what_is_not_said_of_sampling_is_the_models_own() -> None:
    own = SampleSettings(steps=2, guidance=1)
    assert SampleOverrides().over(own) == own
    assert SampleOverrides(steps=7).over(own) == SampleSettings(steps=7, guidance=1)
