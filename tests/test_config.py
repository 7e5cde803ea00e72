"""Configuration: precedence of sources, faults in one line with a suggestion, presets."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from argus.config import (
    preset_names,
    read_preset,
    resolve_config,
    setting_names,
    suggest_names,
    validate_config,
)
from argus.errors import InvalidInput
from schemas.config import (
    CurateConfig,
    PromoteConfig,
    SampleOverrides,
    SampleSettings,
    TrainConfig,
)


def resolve_fault(**options: Any) -> str:
    """Return the message of a train configuration that cannot be resolved."""
    with pytest.raises(InvalidInput) as caught:
        resolve_config(TrainConfig, "train", **{"environ": {}, **options})
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_later_sources_win(tmp_path: Path) -> None:
    file = tmp_path / "train.yaml"
    file.write_text("steps: 11\nbatch: 6\noptim: {lr: 1.0e-3, warmup: 7}\n")
    environ = {
        "ARGUS_TRAIN__BATCH": "8",
        "ARGUS_TRAIN__OPTIM__LR": "2e-3",
        "ARGUS_HOME": "/somewhere",
    }
    config = resolve_config(
        TrainConfig,
        "train",
        file=file,
        sets=["optim.lr=3e-3"],
        fields={"seed": 5, "snapshot": None},
        environ=environ,
    )
    assert (config.steps, config.batch, config.seed) == (11, 8, 5)
    assert (config.optim.lr, config.optim.warmup) == (3e-3, 7)
    assert config.home == "/somewhere"
    assert config.snapshot is None


def test_a_later_source_changes_one_setting_of_a_group_given_whole() -> None:
    group = SampleSettings(steps=3, guidance=2.0)
    for value in (group, group.model_dump()):
        fields = {"sample": value}
        config = resolve_config(
            TrainConfig, "train", fields=fields, sets=["sample.steps=4"], environ={}
        )
        assert (config.sample.steps, config.sample.guidance) == (4, 2.0)
    assert group.steps == 3


@pytest.mark.parametrize(
    ("sets", "names"),
    [
        (["stesp=3"], ["stesp", "steps"]),
        (["batch=3", "workers=2"], ["batch", "workers"]),
        (["steps=0"], ["steps", "--set steps=0"]),
        (["optim"], ["optim", "name=value"]),
        (["steps.a=1", "steps.a.b=2"], ["steps.a", "steps.a.b"]),
        (["height_weight=cosine"], ["height_weight", "cosine", "'cos'"]),
        (["run_id=../../etc"], ["run_id"]),
    ],
)
def test_a_fault_is_one_line_that_names_the_setting(sets: list[str], names: list[str]) -> None:
    message = resolve_fault(sets=sets)
    assert all(name in message for name in names), message


def write_yaml(folder: Path) -> dict[str, Any]:
    (folder / "train.yaml").write_text("optim: {lrr: 1}\n")
    return {"file": folder / "train.yaml"}


@pytest.mark.parametrize(
    ("source", "options", "suggestion"),
    [
        ("--set optim.lrr=1", lambda _: {"sets": ["optim.lrr=1"]}, "optim.lr"),
        ("train.yaml", write_yaml, "optim.lr"),
        (
            "ARGUS_TRAIN__OPTIM__LRR",
            lambda _: {"environ": {"ARGUS_TRAIN__OPTIM__LRR": "1"}},
            "optim.lr",
        ),
        (
            "ARGUS_TRIAN__STEPS",
            lambda _: {"environ": {"ARGUS_TRIAN__STEPS": "1"}},
            "ARGUS_TRAIN__STEPS",
        ),
        ("tinny", lambda _: {"preset": "tinny"}, "tiny"),
        ("--set lr=1", lambda _: {"sets": ["lr=1"]}, "optim.lr"),
    ],
)
def test_a_typo_names_its_source_and_the_nearest_setting(
    source: str, options: Callable[[Path], dict[str, Any]], suggestion: str, tmp_path: Path
) -> None:
    message = resolve_fault(**options(tmp_path))
    assert source in message
    assert f"did you mean {suggestion}?" in message


def test_variables_of_other_programs_are_ignored() -> None:
    environ = {"ARGUS_WEATHER__CITY": "Rome", "ARGUS_CURATE__CHUNK_SIZE": "x", "ARGUS_HOME": "/a"}
    assert resolve_config(TrainConfig, "train", environ=environ).home == "/a"
    assert resolve_config(PromoteConfig, "promote", environ=environ) == PromoteConfig()


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.sampled_from(setting_names(TrainConfig)), st.data())
def test_a_setting_with_one_wrong_letter_is_recognized(name: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(name) - 1))
    typo = f"{name[:place]}#{name[place + 1 :]}"
    suggestion = suggest_names(typo, setting_names(TrainConfig))
    assert suggestion.startswith("; did you mean ") or len(name) < 4
    assert suggest_names("?" * 30, setting_names(TrainConfig)) == ""


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "list.yaml").write_text("- 1\n")
    (tmp_path / "broken.yaml").write_text("a: [1\n")
    (tmp_path / "latin.yaml").write_bytes(b"seed: \xff\n")
    (tmp_path / "folder.yaml").mkdir()
    for name in ("absent", "list", "broken", "latin", "folder"):
        assert f"{name}.yaml" in resolve_fault(file=tmp_path / f"{name}.yaml")


def test_presets_validate_and_unknown_ones_are_named() -> None:
    assert {"tiny", "stage1", "stage2", "demo"} <= set(preset_names("train"))
    for name in preset_names("train"):
        validate_config(TrainConfig, read_preset("train", name))
    message = resolve_fault(preset="huge")
    assert all(name in message for name in ("huge", *preset_names("train")))


def test_a_missing_setting_is_named() -> None:
    with pytest.raises(InvalidInput) as caught:
        resolve_config(CurateConfig, "curate", environ={})
    assert "catalogue" in str(caught.value)


def test_sampling_settings_that_are_not_given_stay_the_models_own() -> None:
    own = SampleSettings(steps=2, guidance=1)
    assert SampleOverrides().over(own) == own
    assert SampleOverrides(steps=7).over(own) == SampleSettings(steps=7, guidance=1)
