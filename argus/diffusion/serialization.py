"""Pipelines on disk: which files there are, and reading and writing each. Safetensors and JSON only."""

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from argus.diffusion.settings import PipelineKind, PipelineSettings
from argus.errors import InvalidInput, ServiceError

SETTINGS = "argus.json"
INDEX = "model_index.json"
TOKENS = "tokens.safetensors"
FULL_CLASS = "StableVideoDiffusionPipeline"
UNET_CLASS = "UNetSpatioTemporalConditionModel"
FETCHED = [
    SETTINGS,
    INDEX,
    TOKENS,
    "config.json",
    "*.safetensors.index.json",
    "diffusion_pytorch_model*.safetensors",
    "*/*.json",
    "*/*.safetensors",
]


def local(name: Path | str) -> Path:
    """The folder itself, or that of a hub id after its download."""
    folder = Path(name)
    if folder.is_dir():
        return folder
    text = str(name)
    if text.count("/") != 1 or text.startswith(("/", ".", "~")):
        raise InvalidInput(
            f"there is no model folder {text}; give a folder, or a hub id such as stabilityai/stable-video-diffusion-img2vid"
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    try:
        return Path(snapshot_download(text, allow_patterns=FETCHED, ignore_patterns=["*.fp16.*"]))
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise InvalidInput(
            f"there is no model folder {text}, and no hub repository of that name that you may read"
        ) from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise ServiceError(
            f"{text} is no folder, and the hub could not be reached: {error}"
        ) from error


def kind_of(folder: Path) -> PipelineKind | None:
    """What a folder holds; None for a UNet alone. Raises InvalidInput for anything else."""
    settings = read_settings(folder)
    if settings and settings.kind == PipelineKind.TINY:
        return PipelineKind.TINY
    if (folder / INDEX).is_file():
        name = _read_json(folder / INDEX).get("_class_name")
        if name == FULL_CLASS:
            return PipelineKind.SVD
        raise InvalidInput(f"{folder / INDEX} names {name}, but must name {FULL_CLASS}")
    if _unet_folder(folder) is not None:
        return None
    raise InvalidInput(
        f"{folder} is no pipeline: it has neither {SETTINGS} nor {INDEX} nor a UNet's config.json"
    )


def read_settings(folder: Path) -> PipelineSettings | None:
    """argus.json, where there is one."""
    path = folder / SETTINGS
    if not path.is_file():
        return None
    try:
        return PipelineSettings.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        raise InvalidInput(f"{path} is not valid: {error}") from error


def read_unet(folder: Path) -> Any:
    """The UNet of a folder, below `unet` or in the folder itself."""
    from diffusers import UNetSpatioTemporalConditionModel

    place = _unet_folder(folder)
    if place is None:
        raise InvalidInput(
            f"{folder} has no UNet: neither unet/config.json nor config.json names {UNET_CLASS}"
        )
    try:
        unet = UNetSpatioTemporalConditionModel.from_pretrained(
            place, use_safetensors=True, low_cpu_mem_usage=False, local_files_only=True
        )
    except (OSError, RuntimeError, SafetensorError) as error:
        raise InvalidInput(f"the UNet in {place} cannot be read: {error}") from error
    for weight in unet.parameters():
        weight.data = (
            weight.data.clone()
        )  # off the mapped file, where it lies unaligned: sums would differ in their last digit
    return unet


def read_projection(folder: Path) -> Tensor:
    """The tiny model's token projection [width, 192]."""
    try:
        return load_file(folder / TOKENS)["projection"]
    except (OSError, KeyError, SafetensorError) as error:
        raise InvalidInput(f"{folder / TOKENS} cannot be read: {error!r}") from error


def read_full(folder: Path) -> Any:
    """diffusers' StableVideoDiffusionPipeline of a folder."""
    from diffusers import StableVideoDiffusionPipeline

    if kind_of(folder) != PipelineKind.SVD:
        raise InvalidInput(f"{folder} is no {FULL_CLASS}")
    try:
        return StableVideoDiffusionPipeline.from_pretrained(
            folder, use_safetensors=True, low_cpu_mem_usage=False, local_files_only=True
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise InvalidInput(f"{folder} cannot be read as {FULL_CLASS}: {error}") from error


def write_tiny(folder: Path, unet: Any, projection: Tensor) -> None:
    """The tiny model's weights."""
    unet.save_pretrained(folder / "unet", safe_serialization=True)
    save_file({"projection": projection.cpu().contiguous()}, folder / TOKENS)


def write_full(folder: Path, base: Any, unet: Any) -> None:
    """A folder that plain diffusers opens."""
    base.unet = unet
    base.save_pretrained(folder, safe_serialization=True)
    index = _read_json(folder / INDEX)
    index["feature_extractor"] = [
        "transformers",
        "CLIPImageProcessor",
    ]  # without torchvision transformers names a stand-in that older ones lack
    (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def _unet_folder(folder: Path) -> Path | None:
    for place in (folder / "unet", folder):
        if (place / "config.json").is_file() and _read_json(place / "config.json").get(
            "_class_name"
        ) == UNET_CLASS:
            return place
    return None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path} is no JSON: {error}") from error
