"""No credential of a URI reaches an error, a record, a configuration, a log or a row."""

import io
import json
import logging
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from argus.config import resolve_config
from argus.dataset import CuratedVideo, Dataset
from argus.errors import ArgusError, FetchError, InvalidInput, ServiceError, VideoError
from argus.runs import RunFolder
from flows.forms import promote_config, train_config
from schemas.config import CurateConfig, PromoteConfig, TrackingSettings, TrainConfig
from schemas.credentials import has_credential, redact, redact_logs, to_public_uri
from schemas.forms import PromoteForm, TrainForm
from schemas.names import Decision, JobKind, Outcome, Reason, Split

SECRET = "s3cret"
URIS = (
    "http://user:s3cret@127.0.0.1:1",
    "https://s3cret@mlflow.example/path",
    "postgresql+psycopg2://user:%40s3cret%2F@db.example:5432/mlflow",
    "postgresql://db.example/mlflow?user=ada&sslpassword=s3cret",
    "mysql://user:a/s3cret#@db.example/mlflow",
    "mysql://user:a@s3cret@db.example/mlflow",
    "mssql+pyodbc:///?odbc_connect=DRIVER%3DSQL%3BPWD%3Ds3cret",
    "https://bucket.example/x.mp4?X-Amz-Credential=s3cret%2Fus&X-Amz-Signature=s3cret&n=1",
    "https://account.blob.example/x.mp4?sv=2024&sig=s3cret%3D",
    "https://videos.example/x.mp4?a=1&access_token=s3cret",
    "https://videos.example/x.mp4#token=s3cret",
    "https://videos.example/x.mp4?key=s3cret",
    "s3://AKIA:s3cret@bucket/prefix",
    "http://user:s3cret'x@[::1]:8265",
)
HARMLESS = (
    "http://127.0.0.1:8265/a@b",
    "http://[::1]:5000/x@y?page=2",
    "models:/argus@candidate",
    "sqlite:////home/a:b@c/mlflow.db",
    "file:///srv/a@b/x",
    "https://www.youtube.com/@channel/videos",
    "https://www.youtube.com/watch?v=dQw4w9WgXcQ&t=10s",
    "url:0123456789abcdef@0-2000",
    "s3://bucket/prefix",
    "mail ada@example.org about https://example.org, please",
)


@pytest.mark.parametrize("uri", URIS)
def test_a_credential_is_found_in_every_text_around_it(uri: str) -> None:
    for text in (uri, f"no answer from {uri}; try later", repr([uri, "a@b"]), f"({uri}, 3)"):
        assert has_credential(text)
        assert SECRET not in redact(text)
        assert redact(redact(text)) == redact(text)
    assert SECRET not in to_public_uri(uri)
    assert "***@" not in to_public_uri(uri)


@pytest.mark.parametrize("text", HARMLESS)
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert redact(text) == to_public_uri(text) == text


@pytest.mark.parametrize("part", ["://", "://x:", "a:", "token", "secret-", "?key", "-", "@"])
def test_a_long_text_takes_no_longer_per_letter(part: str) -> None:
    text = part * (200_000 // len(part))  # hours, if the time were quadratic
    assert redact(text) == text


@pytest.mark.parametrize("uri", URIS)
def test_no_error_holds_a_credential(uri: str) -> None:
    errors: list[ArgusError] = [
        ArgusError(f"no answer from {uri}"),
        InvalidInput(f"{uri} is invalid"),
        ServiceError(f"request to {uri} failed"),
        VideoError(Reason.CORRUPT, f"{uri} ends early"),
        FetchError(Reason.NOT_FOUND, f"{uri} is gone", retryable=False),
    ]
    for error in [*errors, *(pickle.loads(pickle.dumps(error)) for error in errors)]:
        assert SECRET not in f"{error} {error!r} {vars(error)}"
    assert isinstance(pickle.loads(pickle.dumps(errors[3])).reason, Reason)


@pytest.mark.parametrize("uri", URIS)
def test_no_file_of_a_run_holds_a_credential(uri: str, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, JobKind.TRAIN, "r")
    folder.phase(f"connecting to {uri}")
    folder.progress(1, 2, "step", f"from {uri}")
    outputs = {"tracking_uri": uri, "places": [uri], "of": {"server": uri}, "steps": 3}
    result = folder.finish(Outcome.RETRY, f"no answer from {uri}", outputs)
    assert SECRET not in "".join(path.read_text() for path in folder.path.iterdir())
    assert SECRET not in repr(result)
    assert result.outputs["steps"] == 3


@pytest.mark.parametrize("uri", URIS)
def test_a_configuration_with_a_credential_is_refused(uri: str, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(json.dumps({"tracking": {"uri": uri}}))
    catalogue = {"catalogue": uri}
    refusals = (
        lambda: resolve_config(TrainConfig, "train", file=file, environ={}),
        lambda: resolve_config(TrainConfig, "train", sets=[f"tracking.uri={uri}"], environ={}),
        lambda: resolve_config(TrainConfig, "train", environ={"ARGUS_TRAIN__TRACKING__URI": uri}),
        lambda: resolve_config(PromoteConfig, "promote", fields={"tracking_uri": uri}, environ={}),
        lambda: resolve_config(CurateConfig, "curate", fields=catalogue, environ={}),
        lambda: train_config(TrainForm(overrides=[f"tracking.uri={uri}"]), "r"),
        lambda: promote_config(PromoteForm(overrides=[f"tracking_uri={uri}"])),
    )
    for refuse in refusals:
        with pytest.raises(InvalidInput) as caught:
            refuse()
        message = str(caught.value)
        assert "MLFLOW_TRACKING_URI" in message
        assert SECRET not in message
        assert "\n" not in message
    with pytest.raises(ValidationError) as refused:
        TrackingSettings(uri=uri)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("uri", URIS)
def test_no_row_of_a_dataset_holds_a_credential(uri: str) -> None:
    row = CuratedVideo(
        source_id="url:0", url=uri, split=Split.VAL, decision=Decision.FAILED, detail=f"of {uri}"
    )
    assert SECRET not in repr(row)
    with pytest.raises(InvalidInput) as caught:
        Dataset(uri)
    assert SECRET not in str(caught.value)


@pytest.fixture(params=["argus", "mlflow.store", "sqlalchemy.engine", "urllib3"])
def log(request: pytest.FixtureRequest) -> Iterator[tuple[logging.Logger, io.StringIO]]:
    """A logger and its formatted log."""
    factory, text = logging.getLogRecordFactory(), io.StringIO()
    logger, handler = logging.getLogger(request.param), logging.StreamHandler(text)
    logger.addHandler(handler)
    redact_logs()
    redact_logs()
    yield logger, text
    logger.removeHandler(handler)
    logging.setLogRecordFactory(factory)


@pytest.mark.parametrize("uri", URIS)
def test_no_log_holds_a_credential(uri: str, log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, text = log
    logger.error("no answer from %s in %d s", uri, 3)
    logger.error(f"no answer from {uri}")
    logger.error("failed: %s", ConnectionError(uri))
    try:
        raise ConnectionError(f"{uri} refused")
    except ConnectionError:
        logger.exception("failed")
    logger.error("kept as %s", "it is")
    assert text.getvalue().count("no answer") == 2
    assert "Traceback" in text.getvalue()
    assert "kept as it is" in text.getvalue()
    assert SECRET not in text.getvalue()
