from .dataset import Dataset, Snapshot
from .diffusion import ArgusPipeline, sample_video
from .errors import ArgusError, FetchError, InvalidInput, ServiceError, VideoError
from .infer import GeneratedVideo, generate_video
from .media import SphericalMetadata, open_video, read_spherical, tag_spherical
from .registry import find_version, locate_model
from .sphere import Camera, Trajectory, erp_to_view, rotate_erp, view_to_erp

__version__: str

__all__ = [
    "ArgusError",
    "ArgusPipeline",
    "Camera",
    "Dataset",
    "FetchError",
    "GeneratedVideo",
    "InvalidInput",
    "ServiceError",
    "Snapshot",
    "SphericalMetadata",
    "Trajectory",
    "VideoError",
    "erp_to_view",
    "find_version",
    "generate_video",
    "locate_model",
    "open_video",
    "read_spherical",
    "rotate_erp",
    "sample_video",
    "tag_spherical",
    "view_to_erp",
]
