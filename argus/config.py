"""Resolves a configuration: defaults < preset < file < `ARGUS_*` environment < `--set a.b=c`.

`ARGUS_TRAIN__OPTIM__LR=1e-4` sets `optim.lr` of the train configuration; two underscores go one level down.
Presets lie in `argus/presets/{kind}/{name}.yaml`.
"""

import os
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from argus.errors import InvalidInput

M = TypeVar("M", bound=BaseModel)


def resolve(
    model: type[M],
    kind: str,
    *,
    preset: str | None = None,
    file: Path | None = None,
    sets: Sequence[str] = (),
    fields: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> M:
    """The validated configuration. `fields` are dotted names that a command line's own options or a form gave; they come last but `sets`.

    Raises InvalidInput with one line per fault.
    """
    values: dict[str, Any] = {}
    if preset:
        _merge(values, read_preset(kind, preset))
    if file:
        _merge(
            values,
            _read_yaml(file.read_text(encoding="utf-8"), str(file))
            if file.exists()
            else _absent(file),
        )
    _merge(values, _from_environment(kind, os.environ if environ is None else environ))
    for name, value in (fields or {}).items():
        if value is not None:
            _put(values, name, value)
    for text in sets:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise InvalidInput(f"'{text}' is not of the form name=value, such as optim.lr=1e-4")
        _put(values, name.strip(), _scalar(value))
    return validated(model, values)


def validated(model: type[M], values: Mapping[str, Any]) -> M:
    """The model of these values; a pydantic error becomes one line per fault."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise InvalidInput(_explain(error)) from error


def presets(kind: str) -> list[str]:
    """Names of the presets of a kind of job."""
    folder = resources.files("argus") / "presets" / kind
    return (
        sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir())
        if folder.is_dir()
        else []
    )


def read_preset(kind: str, name: str) -> dict[str, Any]:
    """The values of a preset."""
    if name not in presets(kind):
        raise InvalidInput(
            f"there is no preset '{name}' for {kind}; choose one of: {', '.join(presets(kind)) or 'none'}"
        )
    return _read_yaml(
        (resources.files("argus") / "presets" / kind / f"{name}.yaml").read_text(encoding="utf-8"),
        name,
    )


def _absent(file: Path) -> dict[str, Any]:
    raise InvalidInput(f"configuration file {file} does not exist")


def _read_yaml(text: str, source: str) -> dict[str, Any]:
    try:
        values = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise InvalidInput(f"{source} is not valid YAML: {error}") from error
    if not isinstance(values, dict):
        raise InvalidInput(
            f"{source} holds a {type(values).__name__}, but must hold names and values"
        )
    return values


def _from_environment(kind: str, environ: Mapping[str, str]) -> dict[str, Any]:
    prefix = f"ARGUS_{kind.upper()}__"
    values: dict[str, Any] = {}
    if "ARGUS_HOME" in environ:
        values["home"] = environ["ARGUS_HOME"]
    for name in sorted(environ):
        if name.startswith(prefix):
            _put(
                values, name.removeprefix(prefix).lower().replace("__", "."), _scalar(environ[name])
            )
    return values


def _scalar(text: str) -> Any:
    value = yaml.safe_load(text)
    if isinstance(value, str):
        try:
            return float(value)  # YAML 1.1 reads 1e-4 as text
        except ValueError:
            return value
    return value


def _put(values: dict[str, Any], dotted: str, value: Any) -> None:
    *path, last = dotted.split(".")
    for name in path:
        values = values.setdefault(name, {})
        if not isinstance(values, dict):
            raise InvalidInput(f"'{dotted}': '{name}' is a value, not a group")
    values[last] = value


def _merge(into: dict[str, Any], values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if isinstance(value, dict) and isinstance(into.get(name), dict):
            _merge(into[name], value)
        else:
            into[name] = value


def _explain(error: ValidationError) -> str:
    lines = []
    for fault in error.errors():
        name = ".".join(str(part) for part in fault["loc"]) or error.title
        got = "" if isinstance(fault.get("input"), dict) else f" (got {fault.get('input')!r})"
        lines.append(f"{name}: {fault['msg']}{got}")
    return "; ".join(lines)
