"""Forms: flat for a person, whole configurations for a job."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from argus.config import preset_names, read_preset
from argus.errors import InvalidInput
from flows.forms import (
    evaluate_config,
    evaluate_stage,
    generate_config,
    promote_config,
    promote_stage,
    refresh_config,
    refresh_stage,
    train_config,
    train_stage,
)
from schemas.config import TrainConfig
from schemas.forms import (
    EvaluateForm,
    Form,
    GenerateForm,
    PipelineForm,
    PromoteForm,
    RefreshForm,
    TrainForm,
)

FORMS = (RefreshForm, TrainForm, EvaluateForm, PromoteForm, GenerateForm, PipelineForm)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ARGUS_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("form", FORMS)
def test_a_form_is_flat_and_short(form: type[Form]) -> None:
    fields: dict[str, dict[str, Any]] = form.model_json_schema()["properties"]
    assert len(fields) <= 21, "twenty and overrides"
    assert list(fields)[-1] == "overrides"
    assert [field["position"] for field in fields.values()] == list(range(len(fields)))
    for name, field in fields.items():
        assert "anyOf" not in field, f"{name} is a choice of types"
        assert "$ref" in field or field["type"] in (
            "string",
            "integer",
            "number",
            "boolean",
            "array",
        ), f"{name} is not flat"
        if field.get("type") in ("integer", "number"):
            assert {"minimum", "exclusiveMinimum"} & set(field), f"{name} has no lower bound"


@pytest.mark.parametrize("form", FORMS)
def test_an_unknown_field_is_refused(form: type[Form]) -> None:
    with pytest.raises(ValidationError, match="colour"):
        form.model_validate({"colour": 1})


@pytest.mark.parametrize(
    ("kind", "form"),
    [
        ("curate", RefreshForm),
        ("train", TrainForm),
        ("evaluate", EvaluateForm),
        ("train", PipelineForm),
    ],
)
def test_the_presets_that_a_form_offers_are_those_there_are(kind: str, form: type[Form]) -> None:
    assert sorted(form.model_json_schema()["properties"]["preset"]["enum"]) == preset_names(kind)


def test_what_is_left_empty_is_the_presets() -> None:
    config = train_config(TrainForm(preset="demo", lr=0.125), "r")
    assert config.optim.lr == 0.125
    assert config.steps == read_preset("train", "demo").get("steps", TrainConfig().steps)


def test_overrides_come_last_and_reach_everything() -> None:
    config = train_config(
        TrainForm(preset="tiny", lr=0.125, overrides=["optim.lr=0.25", "sample.guidance=1.5"]), "r"
    )
    assert (config.optim.lr, config.sample.guidance) == (0.25, 1.5)


def test_an_impossible_configuration_is_said_in_one_line() -> None:
    with pytest.raises(InvalidInput, match="must be a multiple of workers"):
        train_config(TrainForm(batch=3, workers=2), "r")


def test_a_job_runs_elsewhere_so_its_paths_are_absolute(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    config = refresh_config(RefreshForm(catalogue="some/list.csv"), "r")
    assert (config.catalogue, config.dataset, config.home) == (
        str(home / "some/list.csv"),
        str(home / "dataset"),
        str(home),
    )
    generated = generate_config(GenerateForm(input="in.mp4", output="out.mp4"), "r")
    assert (generated.input, generated.output) == (str(home / "in.mp4"), str(home / "out.mp4"))


def test_a_form_without_a_run_id_takes_the_flow_runs() -> None:
    assert evaluate_config(EvaluateForm(), "flow").run_id == "flow"
    assert evaluate_config(EvaluateForm(run_id="mine"), "flow").run_id == "mine"


def test_the_gates_form() -> None:
    config = promote_config(PromoteForm(version=3, min_gain=0.5))
    assert (config.model_name, config.version, config.policy.min_gain) == ("argus", 3, 0.5)


def test_a_pipeline_hands_each_stage_its_part() -> None:
    form = PipelineForm(
        catalogue="c.csv",
        preset="demo",
        steps=7,
        overrides=["train.optim.lr=0.5", "refresh.clip.height=64"],
    )
    refreshed = refresh_config(refresh_stage(form, "r"), "other")
    trained = train_config(train_stage(form, "r", snapshot=2), "other")
    evaluated = evaluate_config(evaluate_stage(form, "r", 2, "models:/argus/4"), "other")
    assert {refreshed.run_id, trained.run_id, evaluated.run_id} == {"r"}
    assert (refreshed.clip.height, trained.optim.lr, trained.steps, trained.snapshot) == (
        64,
        0.5,
        7,
        2,
    )
    assert (evaluated.model, evaluated.snapshot) == ("models:/argus/4", 2)
    assert promote_config(promote_stage(form, 4)).version == 4


def test_a_pipelines_override_must_name_its_stage() -> None:
    with pytest.raises(InvalidInput, match=r"must begin with a stage: refresh\."):
        refresh_stage(PipelineForm(catalogue="c.csv", overrides=["optim.lr=1"]), "r")
