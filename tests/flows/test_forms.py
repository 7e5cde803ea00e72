"""Forms are flat, and become complete configurations."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from argus.config import preset_names, read_preset, setting_names
from argus.errors import InvalidInput
from flows.forms import (
    FIELD_SETTINGS,
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
from schemas.config import CurateConfig, EvaluateConfig, GenerateConfig, PromoteConfig, TrainConfig
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
PLAIN_TYPES = ("string", "integer", "number", "boolean", "array")

pytestmark = pytest.mark.usefixtures("home")


@pytest.mark.parametrize("form", FORMS)
def test_a_form_is_flat_and_short(form: type[Form]) -> None:
    fields: dict[str, dict[str, Any]] = form.model_json_schema()["properties"]
    assert len(fields) <= 21, "twenty and overrides"
    assert list(fields)[-1] == "overrides"
    assert [field["position"] for field in fields.values()] == list(range(len(fields)))
    numbers = {
        name: field for name, field in fields.items() if field.get("type") in ("integer", "number")
    }
    assert [name for name, field in fields.items() if "anyOf" in field] == []
    nested = [
        name
        for name, field in fields.items()
        if "$ref" not in field and field["type"] not in PLAIN_TYPES
    ]
    assert nested == []
    unbounded = [
        name for name, field in numbers.items() if not {"minimum", "exclusiveMinimum"} & set(field)
    ]
    assert unbounded == []


def test_every_form_refuses_an_unknown_field() -> None:
    for form in FORMS:
        with pytest.raises(ValidationError) as caught:
            form.model_validate({"color": 1})
        assert ("color",) in {error["loc"] for error in caught.value.errors()}


@pytest.mark.parametrize(
    ("kind", "form"),
    [
        ("curate", RefreshForm),
        ("train", TrainForm),
        ("evaluate", EvaluateForm),
        ("train", PipelineForm),
    ],
)
def test_a_form_offers_all_presets(kind: str, form: type[Form]) -> None:
    offered = form.model_json_schema()["properties"]["preset"]["enum"]
    assert sorted(offered) == preset_names(kind)


def test_empty_fields_take_the_values_of_the_preset() -> None:
    config = train_config(TrainForm(preset="demo", lr=0.125), "r")
    assert config.optim.lr == 0.125
    assert config.steps == read_preset("train", "demo").get("steps", TrainConfig().steps)


def test_overrides_take_precedence_and_reach_every_setting() -> None:
    overrides = ["optim.lr=0.25", "sample.guidance=1.5"]
    config = train_config(TrainForm(preset="tiny", lr=0.125, overrides=overrides), "r")
    assert (config.optim.lr, config.sample.guidance) == (0.25, 1.5)


def test_an_impossible_configuration_is_an_error_that_names_the_setting() -> None:
    with pytest.raises(InvalidInput) as caught:
        train_config(TrainForm(batch=3, workers=2), "r")
    assert "batch" in str(caught.value)
    assert "workers" in str(caught.value)


def test_paths_are_absolute_because_jobs_run_in_another_folder(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = refresh_config(RefreshForm(catalogue="some/list.csv"), "r")
    assert config.catalogue == str(tmp_path / "some/list.csv")
    assert config.dataset == str(home / "dataset")
    assert config.home == str(home)
    remote = refresh_config(RefreshForm(catalogue="c.csv", dataset="s3://bucket/data"), "r")
    assert remote.dataset == "s3://bucket/data"
    generated = generate_config(GenerateForm(input="in.mp4", output="out.mp4"), "r")
    assert generated.input == str(tmp_path / "in.mp4")
    assert generated.output == str(tmp_path / "out.mp4")


def test_a_refresh_of_a_flow_runs_on_the_cluster() -> None:
    assert refresh_config(RefreshForm(catalogue="c.csv"), "r").executor == "ray"


def test_a_form_without_a_run_id_takes_that_of_the_flow_run() -> None:
    assert evaluate_config(EvaluateForm(), "flow").run_id == "flow"
    assert evaluate_config(EvaluateForm(run_id="mine"), "flow").run_id == "mine"


def test_every_field_of_a_form_sets_a_setting() -> None:
    form = GenerateForm(input="in.mp4", output="out.mp4", guidance=2.5, sample_steps=3, seed=7)
    config = generate_config(form, "r")
    assert (config.sample.guidance, config.sample.steps, config.seed) == (2.5, 3, 7)
    configs = {
        RefreshForm: CurateConfig,
        TrainForm: TrainConfig,
        EvaluateForm: EvaluateConfig,
        PromoteForm: PromoteConfig,
        GenerateForm: GenerateConfig,
    }
    unknown = [
        (form.__name__, name)
        for form, model in configs.items()
        for name in form.model_fields.keys() - {"preset", "overrides"}
        if FIELD_SETTINGS.get(name, name) not in setting_names(model)
    ]
    assert unknown == []


def test_the_form_of_a_promotion_sets_its_policy() -> None:
    config = promote_config(PromoteForm(version=3, min_gain=0.5))
    assert (config.model_name, config.version, config.policy.min_gain) == ("argus", 3, 0.5)


def test_each_stage_of_a_pipeline_gets_its_settings() -> None:
    form = PipelineForm(
        catalogue="c.csv",
        preset="demo",
        steps=7,
        overrides=["train.optim.lr=0.5", "refresh.clip.height=64"],
    )
    refresh = refresh_config(refresh_stage(form, "r"), "other")
    train = train_config(train_stage(form, "r", snapshot=2), "other")
    evaluate = evaluate_config(evaluate_stage(form, "r", 2, "models:/argus/4"), "other")
    assert {refresh.run_id, train.run_id, evaluate.run_id} == {"r"}
    assert refresh.clip.height == 64
    assert (train.optim.lr, train.steps, train.snapshot) == (0.5, 7, 2)
    assert (evaluate.model, evaluate.snapshot) == ("models:/argus/4", 2)
    assert promote_config(promote_stage(form, 4)).version == 4


def test_an_override_of_a_pipeline_must_name_its_stage() -> None:
    with pytest.raises(InvalidInput) as caught:
        refresh_stage(PipelineForm(catalogue="c.csv", overrides=["optim.lr=1"]), "r")
    assert "optim.lr=1" in str(caught.value)
    assert "refresh." in str(caught.value)
