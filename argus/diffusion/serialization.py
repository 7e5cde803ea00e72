"""Reading and writing of pipelines on disk: safetensors and JSON only.

A folder of the full-size model is in the format of StableVideoDiffusionPipeline, so plain
diffusers opens it; Argus adds argus.json. A folder of argus-tiny holds argus.json, unet/ and
tokens.safetensors.
"""

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from argus.diffusion.settings import PipelineKind, PipelineSettings
from argus.errors import InvalidInput
from argus.networks import find_model
from argus.runs import argus_home

SETTINGS_FILE = "argus.json"
INDEX_FILE = "model_index.json"
PROJECTION_FILE = "tokens.safetensors"
SVD_CLASS = "StableVideoDiffusionPipeline"
UNET_CLASS = "UNetSpatioTemporalConditionModel"


def resolve_folder(name: Path | str) -> Path:
    """Return a model folder; for a hub id, the verified one in the folder of weights.

    Args:
        name: an existing folder, or the hub id of a model that `argus weights` fetched, such as
            `stabilityai/stable-video-diffusion-img2vid`.

    Raises:
        InvalidInput: there is no such folder, or the model was not fetched, is damaged, or is not
            in the manifest of weights.
    """
    folder = Path(name)
    if folder.is_dir():
        return folder
    text = str(name)
    if text.count("/") != 1 or text.startswith(("/", ".", "~")):
        raise InvalidInput(
            f"model folder {text} does not exist; give a folder, or a hub id "
            "such as stabilityai/stable-video-diffusion-img2vid"
        )
    return find_model(text, argus_home() / "weights")


def detect_kind(folder: Path) -> PipelineKind | None:
    """Return the kind of a pipeline folder, or None if it holds a UNet only.

    Raises:
        InvalidInput: the folder holds neither.
    """
    settings = read_settings(folder)
    if settings and settings.kind == PipelineKind.TINY:
        return PipelineKind.TINY
    if (folder / INDEX_FILE).is_file():
        name = _read_json(folder / INDEX_FILE).get("_class_name")
        if name == SVD_CLASS:
            return PipelineKind.SVD
        raise InvalidInput(f"{folder / INDEX_FILE} names {name}, but must name {SVD_CLASS}")
    if _find_unet(folder) is not None:
        return None
    raise InvalidInput(
        f"{folder} is not a pipeline: it has neither {SETTINGS_FILE} nor {INDEX_FILE} "
        "nor the config.json of a UNet"
    )


def read_settings(folder: Path) -> PipelineSettings | None:
    """Read argus.json; None if the folder has none.

    Raises:
        InvalidInput: the file is not valid.
    """
    path = folder / SETTINGS_FILE
    if not path.is_file():
        return None
    try:
        return PipelineSettings.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        raise InvalidInput(f"{path} is not valid: {error}") from error


def read_unet(folder: Path) -> Any:
    """Read the UNet in a folder or in its subfolder `unet`.

    Raises:
        InvalidInput: there is none, or it cannot be read.
    """
    from diffusers import UNetSpatioTemporalConditionModel

    unet_folder = _find_unet(folder)
    if unet_folder is None:
        raise InvalidInput(
            f"{folder} has no UNet: neither unet/config.json nor config.json names {UNET_CLASS}"
        )
    try:
        unet = UNetSpatioTemporalConditionModel.from_pretrained(
            unet_folder, use_safetensors=True, low_cpu_mem_usage=False, local_files_only=True
        )
    except (OSError, RuntimeError, SafetensorError) as error:
        raise InvalidInput(f"the UNet in {unet_folder} cannot be read: {error}") from error
    for weight in unet.parameters():
        # The memory-mapped file is unaligned, which changes the last digit of sums.
        weight.data = weight.data.clone()
    return unet


def read_projection(folder: Path) -> Tensor:
    """Read the projection of the thumbnail encoder, [width, 192].

    Raises:
        InvalidInput: it cannot be read.
    """
    try:
        return load_file(folder / PROJECTION_FILE)["projection"]
    except (OSError, KeyError, SafetensorError) as error:
        raise InvalidInput(f"{folder / PROJECTION_FILE} cannot be read: {error!r}") from error


def read_svd(folder: Path) -> Any:
    """Read a folder as StableVideoDiffusionPipeline of diffusers.

    Raises:
        InvalidInput: the folder is not one, or cannot be read.
    """
    from diffusers import StableVideoDiffusionPipeline

    if detect_kind(folder) != PipelineKind.SVD:
        raise InvalidInput(f"{folder} is not a {SVD_CLASS}")
    try:
        return StableVideoDiffusionPipeline.from_pretrained(
            folder, use_safetensors=True, low_cpu_mem_usage=False, local_files_only=True
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise InvalidInput(f"{folder} cannot be read as {SVD_CLASS}: {error}") from error


def write_tiny(folder: Path, unet: Any, projection: Tensor) -> None:
    """Write the weights of argus-tiny."""
    unet.save_pretrained(folder / "unet", safe_serialization=True)
    save_file({"projection": projection.cpu().contiguous()}, folder / PROJECTION_FILE)


def write_svd(folder: Path, base: Any, unet: Any) -> None:
    """Write a StableVideoDiffusionPipeline folder: `base` with another UNet."""
    base.unet = unet
    base.save_pretrained(folder, safe_serialization=True)
    index = _read_json(folder / INDEX_FILE)
    # Without torchvision, transformers writes a placeholder class that older versions lack.
    index["feature_extractor"] = ["transformers", "CLIPImageProcessor"]
    (folder / INDEX_FILE).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def _find_unet(folder: Path) -> Path | None:
    for candidate in (folder / "unet", folder):
        path = candidate / "config.json"
        if path.is_file() and _read_json(path).get("_class_name") == UNET_CLASS:
            return candidate
    return None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path} is not valid JSON: {error}") from error
