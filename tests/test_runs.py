"""Run folders, files and errors: whole or absent, resumed by name, kept across processes."""

import errno
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from argus.errors import FetchError, InvalidInput, VideoError
from argus.files import (
    absolute_path,
    is_disk_full,
    replace_atomically,
    require_file,
    require_writable,
    write_text,
)
from argus.runs import RunFolder, with_run_id
from schemas.config import TrainConfig
from schemas.names import JobKind, Outcome, Reason


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_text(path, "old")
    with pytest.raises(RuntimeError), replace_atomically(path) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    with replace_atomically(tmp_path / "model") as partial:
        partial.mkdir()
        (partial / "a").write_text("1")
        assert not (tmp_path / "model").exists()
    assert (tmp_path / "model" / "a").read_text() == "1"


def test_a_full_disk_is_recognized() -> None:
    assert is_disk_full(OSError(errno.ENOSPC, "no room"))
    assert is_disk_full(ValueError("Generic error: disk quota exceeded (os error 122)"))
    assert not is_disk_full(OSError(errno.EACCES, "denied"))


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.text(st.characters(codec="ascii", exclude_characters="\0"), min_size=1, max_size=30))
def test_an_absolute_path_stays_what_it_is(path: str) -> None:
    once = absolute_path(path)
    assert absolute_path(once) == once
    assert once == path or Path(once).is_absolute()


def test_urls_are_no_local_paths() -> None:
    for url in ("s3://bucket/data", "https://videos.example/a.mp4"):
        assert absolute_path(url) == url


def test_unusable_paths_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "folder.mp4").mkdir()
    for path in ("absent.mp4", "empty.mp4", "folder.mp4"):
        with pytest.raises(InvalidInput) as caught:
            require_file(tmp_path / path, "video")
        assert path in str(caught.value)
    for path in ("folder.mp4", "out.webm", "empty.mp4/out.mp4"):
        with pytest.raises(InvalidInput) as caught:
            require_writable(tmp_path / path, "output", [".mp4"])
        assert path in str(caught.value)
    assert require_writable(tmp_path / "new" / "out.MP4", "output", [".mp4"]).name == "out.MP4"


def test_a_run_folder_keeps_configuration_progress_and_result(tmp_path: Path) -> None:
    config = with_run_id(TrainConfig(home=str(tmp_path)))
    folder = RunFolder.of(config, JobKind.TRAIN)
    folder.prepare()
    folder.write_config(config)
    assert TrainConfig.model_validate_json(folder.config_path.read_text()) == config
    assert folder.read_progress() is None
    folder.progress(3, 9, "step", "loss 0.5")
    progress = folder.read_progress()
    assert progress is not None
    assert (progress.step, progress.total, progress.message) == (3, 9, "loss 0.5")
    result = folder.finish(Outcome.DONE, metrics={"loss": 0.5})
    assert folder.read_result() == result
    folder.request_stop()
    assert folder.is_stop_requested
    folder.prepare()
    assert not folder.is_stop_requested
    assert folder.read_result() is None


def test_a_phase_is_progress_without_a_unit(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, JobKind.TRAIN, "a")
    folder.phase("starting Ray")
    progress = folder.read_progress()
    assert progress is not None
    assert (progress.step, progress.total, progress.unit) == (0, 0, "")
    assert progress.message == "starting Ray"


def test_a_run_id_holds_one_configuration(tmp_path: Path) -> None:
    config = TrainConfig(home=str(tmp_path), run_id="a")
    folder = RunFolder.of(config, JobKind.TRAIN)
    folder.write_config(config)
    folder.write_config(config)
    with pytest.raises(InvalidInput) as caught:
        folder.write_config(config.model_copy(update={"steps": 7}))
    assert str(folder.config_path) in str(caught.value)


def test_a_stored_configuration_is_migrated_and_unknown_settings_are_refused(
    tmp_path: Path,
) -> None:
    config = TrainConfig(home=str(tmp_path), run_id="a", steps=7)
    folder = RunFolder.of(config, JobKind.TRAIN)
    text = config.model_dump_json()
    write_text(folder.config_path, text.replace('"steps":7', '"iterations":7'))

    def rename(kind: JobKind, values: Mapping[str, Any]) -> dict[str, Any]:
        assert kind is JobKind.TRAIN
        return {"steps" if name == "iterations" else name: values[name] for name in values}

    with pytest.raises(InvalidInput) as caught:
        folder.write_config(config)
    assert "iterations" in str(caught.value)
    folder.write_config(config, migrate=rename)
    assert TrainConfig.model_validate_json(folder.config_path.read_text()) == config


def test_errors_survive_a_process_boundary() -> None:
    error = FetchError(
        Reason.NOT_FOUND, "404 at x", retryable=True, retry_after_s=3.0, is_attempt=False
    )
    fetch = pickle.loads(pickle.dumps(error))
    assert (fetch.reason, fetch.retryable, str(fetch)) == (Reason.NOT_FOUND, True, "404 at x")
    assert (fetch.retry_after_s, fetch.is_attempt) == (3.0, False)
    video = pickle.loads(pickle.dumps(VideoError(Reason.CORRUPT, "broken")))
    assert (video.reason, str(video)) == (Reason.CORRUPT, "broken")
