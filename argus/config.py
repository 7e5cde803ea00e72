"""Configuration: defaults < preset < file < `ARGUS_*` environment < options < `--set a.b=c`.

`ARGUS_TRAIN__OPTIM__LR=1e-4` sets `optim.lr` of the train configuration; two underscores go one
level down. Presets are `argus/presets/{kind}/{name}.yaml`.
"""

import difflib
import os
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from argus.errors import InvalidInput
from argus.files import require_file
from schemas.names import JobKind

M = TypeVar("M", bound=BaseModel)

_KINDS = (*(str(kind) for kind in JobKind), "promote")


def resolve_config(
    model: type[M],
    kind: str,
    *,
    preset: str | None = None,
    file: Path | None = None,
    sets: Sequence[str] = (),
    fields: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> M:
    """Return the validated configuration of a job.

    Args:
        model: the configuration's class.
        kind: the kind of job, which names its presets and its environment variables.
        preset: name of a preset.
        file: a YAML file of settings.
        sets: strings of the form `name=value`, such as `optim.lr=1e-4`; they come last.
        fields: values by dotted name that a command line's own options or a form gave; None means
            not given.
        environ: environment variables; by default those of this process.

    Raises:
        InvalidInput: a setting is unknown or out of range. The message is one line: each fault
            with the place where it was set, and the nearest name that exists.
    """
    settings = _Settings(model)
    if preset:
        settings.merge(read_preset(kind, preset), f"preset {preset}")
    if file:
        settings.merge(_read_yaml(_read_text(file), str(file)), str(file))
    variables = os.environ if environ is None else environ
    for variable, name, value in _environment_settings(kind, variables):
        if name != "home" or "home" in model.model_fields:  # ARGUS_HOME is meant for jobs
            settings.set_value(name, value, variable)
    for name, value in (fields or {}).items():
        if value is not None:
            settings.set_value(name, value, "")
    for text in sets:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise InvalidInput(
                f"--set {text!r} must have the form name=value, such as optim.lr=1e-4"
            )
        settings.set_value(name.strip(), _parse_scalar(value), f"--set {text}")
    return settings.validate()


def validate_config(model: type[M], values: Mapping[str, Any]) -> M:
    """Return a model of these values.

    Raises:
        InvalidInput: a setting is unknown or out of range; one line with all faults.
    """
    settings = _Settings(model)
    settings.merge(values, "")
    return settings.validate()


def setting_names(model: type[BaseModel]) -> list[str]:
    """Return the dotted names of all settings of a configuration, groups before their members."""
    names = []
    for name, field in model.model_fields.items():
        names.append(name)
        if group := _group_model(field.annotation):
            names.extend(f"{name}.{member}" for member in setting_names(group))
    return names


def suggest_names(name: str, names: Sequence[str]) -> str:
    """Return "; did you mean X?" with the nearest of these names, or an empty string."""
    leaf = name.rpartition(".")[2]
    nearest = difflib.get_close_matches(name, names, 1, cutoff=0.6)
    same_leaf = [other for other in names if other.rpartition(".")[2] == leaf]
    found = nearest[:1] if nearest and not same_leaf else same_leaf
    return f"; did you mean {' or '.join(found[:3])}?" if found else ""


def preset_names(kind: str) -> list[str]:
    """Return the names of the presets of a kind of job."""
    folder = resources.files("argus") / "presets" / kind
    if not folder.is_dir():
        return []
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir())


def read_preset(kind: str, name: str) -> dict[str, Any]:
    """Return the values of a preset.

    Raises:
        InvalidInput: there is no preset of that name.
    """
    names = preset_names(kind)
    if name not in names:
        raise InvalidInput(
            f"{kind} has no preset {name!r}{suggest_names(name, names)} "
            f"(presets: {', '.join(names) or 'none'})"
        )
    path = resources.files("argus") / "presets" / kind / f"{name}.yaml"
    return _read_yaml(path.read_text(encoding="utf-8"), f"preset {name}")


class _Settings:
    """Values that several sources give, and the source that gave each."""

    def __init__(self, model: type[BaseModel]) -> None:
        self.model = model
        self.values: dict[str, Any] = {}
        self.sources: dict[str, str] = {}  # by dotted name
        self.faults: list[str] = []

    def merge(self, values: Mapping[str, Any], source: str) -> None:
        for name, value in _flatten(values, self.model):
            self.set_value(name, value, source)

    def set_value(self, name: str, value: Any, source: str) -> None:
        """Set one value; an unknown name becomes a fault."""
        if fault := _name_fault(self.model, name):
            self.faults.append(f"{source}: {fault}" if source else fault)
            return
        *path, last = name.split(".")
        group = self.values
        for part in path:
            inner = group.setdefault(part, {})
            if isinstance(inner, BaseModel):
                inner = group[part] = inner.model_dump()
            if not isinstance(inner, dict):
                inner = group[part] = {}
            group = inner
        group[last] = value
        self.sources[name] = source

    def validate(self) -> Any:
        if self.faults:
            raise InvalidInput("; ".join(self.faults))
        try:
            return self.model.model_validate(self.values)
        except ValidationError as error:
            raise InvalidInput(self._explain(error)) from error

    def _explain(self, error: ValidationError) -> str:
        faults = []
        for fault in error.errors():
            name = ".".join(str(part) for part in fault["loc"])
            got = "" if isinstance(fault.get("input"), dict) else f" (got {fault.get('input')!r})"
            source = self._source_of(name)
            where = f", from {source}" if source else ""
            faults.append(f"{name or error.title}: {fault['msg']}{got}{where}")
        return "; ".join(faults)

    def _source_of(self, name: str) -> str:
        """Return the source of a setting, or of the group that it is in; empty if there is none."""
        while name and name not in self.sources:
            name = name.rpartition(".")[0]
        return self.sources.get(name, "")


def _flatten(
    values: Mapping[str, Any], model: type[BaseModel], prefix: str = ""
) -> Iterator[tuple[str, Any]]:
    """Yield (dotted name, value) of nested mappings; groups of settings are expanded."""
    for name, value in values.items():
        field = model.model_fields.get(str(name))
        group = _group_model(field.annotation) if field else None
        if group and isinstance(value, Mapping):
            yield from _flatten(value, group, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _name_fault(model: type[BaseModel], name: str) -> str:
    """Return what is wrong with a dotted name; empty if it is valid."""
    group: type[BaseModel] | None = model
    known: list[str] = []
    for part in name.split("."):
        if group is None:
            return f"{name}: {'.'.join(known)} is a value, not a group of settings"
        field = group.model_fields.get(part)
        if field is None:
            return f"{name} is not a setting{suggest_names(name, setting_names(model))}"
        known.append(part)
        group = _group_model(field.annotation)
    return ""


def _group_model(annotation: Any) -> type[BaseModel] | None:
    """Return the model of a field that is a group of settings, or None."""
    for kind in (annotation, *get_args(annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None


def _read_text(file: Path) -> str:
    require_file(file, "configuration file")
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"the configuration file {file} is not UTF-8 text: {error}") from error


def _read_yaml(text: str, source: str) -> dict[str, Any]:
    try:
        values = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise InvalidInput(f"{source} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise InvalidInput(
            f"{source} holds a {type(values).__name__}, but must hold names and values"
        )
    return values


def _environment_settings(kind: str, environ: Mapping[str, str]) -> Iterator[tuple[str, str, Any]]:
    """Yield (variable, dotted name, value) of the variables that set something of this kind."""
    if "ARGUS_HOME" in environ:
        yield "ARGUS_HOME", "home", environ["ARGUS_HOME"]
    for variable in sorted(environ):
        owner, separator, name = variable.removeprefix("ARGUS_").partition("__")
        if not variable.startswith("ARGUS_") or not separator:
            continue
        if owner == kind.upper():
            yield variable, name.lower().replace("__", "."), _parse_scalar(environ[variable])
        else:
            _check_owner(variable, owner.lower())


def _check_owner(variable: str, owner: str) -> None:
    """Raise InvalidInput for a variable whose kind of job is misspelled."""
    if owner not in _KINDS and (near := difflib.get_close_matches(owner, _KINDS, 1, cutoff=0.75)):
        raise InvalidInput(
            f"{variable}: {owner.upper()} is not a kind of job; did you mean "
            f"{variable.replace(owner.upper(), near[0].upper(), 1)}?"
        )


def _parse_scalar(text: str) -> Any:
    value = yaml.safe_load(text)
    if isinstance(value, str):
        try:
            return float(value)  # YAML 1.1 reads 1e-4 as text
        except ValueError:
            return value
    return value
