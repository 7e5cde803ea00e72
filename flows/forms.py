"""Turns a filled-in form into the configuration of its job. Logic only: nothing here needs Prefect."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from argus.config import preset_names, resolve_config
from argus.errors import InvalidInput
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

PLACES = {
    "height": "clip.height",
    "fps": "clip.fps",
    "clip_s": "clip.clip_s",
    "allow_private_hosts": "fetch.allow_private_hosts",
    "lr": "optim.lr",
    "warmup": "optim.warmup",
    "ema": "optim.ema",
    "sample_steps": "sample.steps",
    "metric": "policy.metric",
    "min_gain": "policy.min_gain",
}
"""Where a form's field lies in the configuration, where that is not its own name."""

PATHS = ("catalogue", "dataset", "input", "output", "poses")
STAGES = ("refresh", "train", "evaluate", "promote")


def refresh_config(form: RefreshForm, run_id: str) -> CurateConfig:
    """The configuration of a refresh. Raises InvalidInput, as all of these do."""
    return _resolved(CurateConfig, "curate", form, _job(form.run_id or run_id, dataset=True))


def train_config(form: TrainForm, run_id: str) -> TrainConfig:
    """The configuration of a training run."""
    return _resolved(TrainConfig, "train", form, _job(form.run_id or run_id, dataset=True))


def evaluate_config(form: EvaluateForm, run_id: str) -> EvaluateConfig:
    """The configuration of an evaluation."""
    return _resolved(EvaluateConfig, "evaluate", form, _job(form.run_id or run_id, dataset=True))


def generate_config(form: GenerateForm, run_id: str) -> GenerateConfig:
    """The configuration of a generation."""
    return _resolved(GenerateConfig, "generate", form, _job(form.run_id or run_id, dataset=False))


def promote_config(form: PromoteForm) -> PromoteConfig:
    """The gate's input."""
    return _resolved(PromoteConfig, "promote", form, {})


def refresh_stage(form: PipelineForm, run_id: str) -> RefreshForm:
    """The first stage of a pipeline."""
    return RefreshForm(
        catalogue=form.catalogue,
        dataset=form.dataset,
        preset=_preset_of("curate", form),
        allow_private_hosts=form.allow_private_hosts,
        run_id=run_id,
        overrides=_overrides(form, "refresh"),
    )


def train_stage(form: PipelineForm, run_id: str, snapshot: int | None) -> TrainForm:
    """The second stage: trains on the snapshot that the first one made, or on the latest."""
    overrides = [f"tracking.model_name={form.model_name}", *_overrides(form, "train")]
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
    """The third stage: measures the model that the second one registered."""
    return EvaluateForm(
        model=model,
        dataset=form.dataset,
        snapshot=snapshot,
        preset=_preset_of("evaluate", form),
        max_clips=form.max_clips,
        run_id=run_id,
        overrides=_overrides(form, "evaluate"),
    )


def promote_stage(form: PipelineForm, version: int | None) -> PromoteForm:
    """The last stage: the gate."""
    return PromoteForm(
        model_name=form.model_name, version=version, overrides=_overrides(form, "promote")
    )


def _job(run_id: str, *, dataset: bool) -> dict[str, Any]:
    fields = {"run_id": run_id, "home": str(argus_home())}
    return fields | ({"dataset": str(argus_home() / "dataset")} if dataset else {})


def _resolved(model: type[C], kind: str, form: Form, fields: Mapping[str, Any]) -> C:
    """What was not touched in the form is left to the preset."""
    touched = {
        name: value for name, value in form if value != type(form).model_fields[name].default
    }
    preset, overrides = getattr(form, "preset", None), touched.pop("overrides", ())
    touched.pop("preset", None)
    given = {
        PLACES.get(name, name): _absolute(value) if name in PATHS else value
        for name, value in touched.items()
    }
    return resolve_config(
        model, kind, preset=preset, fields={**fields, **given}, sets=overrides, environ=_environ()
    )


def _environ() -> Mapping[str, str]:
    """ARGUS_HOME is not every configuration's field; `_job` puts it where it is."""
    return {name: value for name, value in os.environ.items() if name != "ARGUS_HOME"}


def _absolute(path: str) -> str:
    """Jobs run in another folder than the flow."""
    return path if "://" in path else str(Path(path).absolute())


def _preset_of(kind: str, form: PipelineForm) -> Any:
    """A pipeline's preset is the training's, and that of every stage that has one of that name."""
    return form.preset if form.preset in preset_names(kind) else None


def _overrides(form: PipelineForm, stage: str) -> list[str]:
    for override in form.overrides:
        if override.partition(".")[0] not in STAGES:
            raise InvalidInput(
                f"override '{override}' must begin with a stage: {', '.join(f'{name}.' for name in STAGES)}"
            )
    return [
        override.removeprefix(f"{stage}.")
        for override in form.overrides
        if override.startswith(f"{stage}.")
    ]
