"""The public names of the package; `lazy_loader` reads this file at run time."""

from .connection import (
    connect,
    resolve_tracking_uri,
)
from .data_use import (
    DataUse,
    find_data_uses,
)
from .models import (
    CANDIDATE,
    CHAMPION,
    PREVIOUS,
    LocatedModel,
    ModelVersion,
    find_champion,
    find_version,
    locate_model,
    promote_if_better,
    promote_version,
    read_measurement,
    record_measurement,
    register_model,
    set_alias,
)
from .pipeline_folder import (
    require_pipeline_folder,
)
from .promotion import (
    UNTRAINED,
    Measurement,
    PromotionVerdict,
    decide_promotion,
)
from .tracking import (
    LoggedPicture,
    RunLogger,
    TrackedData,
    TrackedRun,
    close_run,
    code_tags,
    flatten_settings,
    log_file,
    open_run,
    read_logged_pictures,
    read_metric_history,
)

__all__ = [
    "CANDIDATE",
    "CHAMPION",
    "DataUse",
    "LocatedModel",
    "LoggedPicture",
    "Measurement",
    "ModelVersion",
    "PREVIOUS",
    "PromotionVerdict",
    "RunLogger",
    "TrackedData",
    "TrackedRun",
    "UNTRAINED",
    "close_run",
    "code_tags",
    "connect",
    "decide_promotion",
    "find_champion",
    "find_data_uses",
    "find_version",
    "flatten_settings",
    "locate_model",
    "log_file",
    "open_run",
    "promote_if_better",
    "promote_version",
    "read_logged_pictures",
    "read_measurement",
    "read_metric_history",
    "record_measurement",
    "register_model",
    "require_pipeline_folder",
    "resolve_tracking_uri",
    "set_alias",
]
