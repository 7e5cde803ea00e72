"""Conversion of forms to job configurations. Needs no Prefect."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel

from argus.config import preset_names, resolve_config
from argus.errors import InvalidInput
from argus.files import absolute_path
from argus.runs import argus_home
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

C = TypeVar("C", bound=BaseModel)

FIELD_SETTINGS = {
    "height": "clip.height",
    "fps": "clip.fps",
    "clip_s": "clip.clip_s",
    "allow_private_hosts": "fetch.allow_private_hosts",
    "lr": "optim.lr",
    "warmup": "optim.warmup",
    "ema": "optim.ema",
    "sample_steps": "sample.steps",
    "guidance": "sample.guidance",
    "metric": "policy.metric",
    "min_gain": "policy.min_gain",
}
"""The setting of a form's field, if its name differs."""

PATH_FIELDS = ("catalogue", "dataset", "input", "output", "poses")
STAGES = ("refresh", "train", "evaluate", "promote")


def refresh_config(form: RefreshForm, run_id: str) -> CurateConfig:
    """Return the configuration of a refresh, which runs on the Ray cluster.

    Args:
        form: The form.
        run_id: The run id to use if the form has none.

    Raises:
        InvalidInput: A setting does not exist or has an invalid value. The functions below raise
            it as well.
    """
    defaults = {**_job_fields(form.run_id or run_id, dataset=True), "executor": "ray"}
    return _to_config(CurateConfig, "curate", form, defaults)


def train_config(form: TrainForm, run_id: str) -> TrainConfig:
    """Return the configuration of a training run."""
    return _to_config(TrainConfig, "train", form, _job_fields(form.run_id or run_id, dataset=True))


def evaluate_config(form: EvaluateForm, run_id: str) -> EvaluateConfig:
    """Return the configuration of an evaluation."""
    fields = _job_fields(form.run_id or run_id, dataset=True)
    return _to_config(EvaluateConfig, "evaluate", form, fields)


def generate_config(form: GenerateForm, run_id: str) -> GenerateConfig:
    """Return the configuration of a generation."""
    fields = _job_fields(form.run_id or run_id, dataset=False)
    return _to_config(GenerateConfig, "generate", form, fields)


def promote_config(form: PromoteForm) -> PromoteConfig:
    """Return the configuration of a promotion."""
    return _to_config(PromoteConfig, "promote", form, {})


def refresh_stage(form: PipelineForm, run_id: str) -> RefreshForm:
    """Return the form of a pipeline's refresh."""
    return RefreshForm(
        catalogue=form.catalogue,
        dataset=form.dataset,
        preset=_find_preset("curate", form),
        allow_private_hosts=form.allow_private_hosts,
        run_id=run_id,
        overrides=_stage_overrides(form, "refresh"),
    )


def train_stage(form: PipelineForm, run_id: str, snapshot: int | None) -> TrainForm:
    """Return the form of a pipeline's training; `snapshot` None means the latest."""
    overrides = [f"tracking.model_name={form.model_name}", *_stage_overrides(form, "train")]
    return TrainForm(
        preset=form.preset,
        dataset=form.dataset,
        snapshot=snapshot,
        steps=form.steps,
        workers=form.workers,
        run_id=run_id,
        overrides=overrides,
    )


def evaluate_stage(
    form: PipelineForm, run_id: str, snapshot: int | None, model: str
) -> EvaluateForm:
    """Return the form of a pipeline's evaluation of the trained model."""
    return EvaluateForm(
        model=model,
        dataset=form.dataset,
        snapshot=snapshot,
        preset=_find_preset("evaluate", form),
        max_clips=form.max_clips,
        run_id=run_id,
        overrides=_stage_overrides(form, "evaluate"),
    )


def promote_stage(form: PipelineForm, version: int | None) -> PromoteForm:
    """Return the form of a pipeline's promotion."""
    return PromoteForm(
        model_name=form.model_name, version=version, overrides=_stage_overrides(form, "promote")
    )


def _job_fields(run_id: str, *, dataset: bool) -> dict[str, Any]:
    fields = {"run_id": run_id, "home": str(argus_home())}
    return fields | ({"dataset": str(argus_home() / "dataset")} if dataset else {})


def _to_config(model: type[C], kind: str, form: Form, defaults: Mapping[str, Any]) -> C:
    """Return a configuration from the form's changed fields, so that the preset fills the others.

    Paths become absolute, because jobs run in another folder than the flow.
    """
    changed = {
        name: value for name, value in form if value != type(form).model_fields[name].default
    }
    preset, overrides = getattr(form, "preset", None), changed.pop("overrides", ())
    changed.pop("preset", None)
    settings = {
        FIELD_SETTINGS.get(name, name): absolute_path(value) if name in PATH_FIELDS else value
        for name, value in changed.items()
    }
    return resolve_config(
        model,
        kind,
        preset=preset,
        fields={**defaults, **settings},
        sets=overrides,
    )


def _find_preset(kind: str, form: PipelineForm) -> Any:
    """Return the pipeline's preset if the stage has one of that name."""
    return form.preset if form.preset in preset_names(kind) else None


def _stage_overrides(form: PipelineForm, stage: str) -> list[str]:
    for override in form.overrides:
        if override.partition(".")[0] not in STAGES:
            prefixes = ", ".join(f"{name}." for name in STAGES)
            raise InvalidInput(f"override '{override}' must begin with a stage: {prefixes}")
    prefix = f"{stage}."
    return [
        override.removeprefix(prefix) for override in form.overrides if override.startswith(prefix)
    ]
