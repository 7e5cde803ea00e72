"""What a run recorded, read back: curves and pictures."""

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from argus.registry.server import connect, resolve_tracking_uri, service_errors

_IMAGE = re.compile(
    r"^images/(?P<name>[^%]+)%step%(?P<step>\d+)%.*\.png$"
)  # as MLflow's log_image names them


@dataclass(frozen=True)
class LoggedPicture:
    """A picture of a run."""

    name: str
    step: int
    png: bytes


def curve(
    run_id: str, metric: str, *, tracking_uri: str | None = None
) -> tuple[tuple[int, float], ...]:
    """(step, value), in the order of steps; a step that was reported again counts once, as it was reported last."""
    uri = resolve_tracking_uri(tracking_uri)
    with service_errors(uri):
        history = connect(uri).get_metric_history(run_id, metric)
    latest = {
        entry.step: entry.value for entry in sorted(history, key=lambda entry: entry.timestamp)
    }
    return tuple(sorted(latest.items()))


def pictures(run_id: str, *, tracking_uri: str | None = None) -> tuple[LoggedPicture, ...]:
    """The pictures of a run, in the order of steps."""
    uri = resolve_tracking_uri(tracking_uri)
    client = connect(uri)
    found = []
    with service_errors(uri), tempfile.TemporaryDirectory() as folder:
        for artifact in client.list_artifacts(run_id, "images"):
            if match := _IMAGE.match(artifact.path):
                path = Path(client.download_artifacts(run_id, artifact.path, folder))
                found.append(LoggedPicture(match["name"], int(match["step"]), path.read_bytes()))
    return tuple(sorted(found, key=lambda picture: (picture.step, picture.name)))
