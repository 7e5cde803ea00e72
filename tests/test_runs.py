"""Run folders and files: whole or absent, resumed by name, never mixed up."""

from pathlib import Path

import pytest

from argus.errors import FetchError, InvalidInput, VideoError
from argus.files import replacing, write_text
from argus.runs import RunFolder, with_run_id
from schemas.config import TrainConfig
from schemas.names import JobKind, Outcome, Reason


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_text(path, "old")
    with pytest.raises(RuntimeError), replacing(path) as beside:
        beside.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    with replacing(tmp_path / "model") as beside:
        beside.mkdir()
        (beside / "a").write_text("1")
        assert not (tmp_path / "model").exists()
    assert (tmp_path / "model" / "a").read_text() == "1"


def test_a_run_is_told_by_its_folder(tmp_path: Path) -> None:
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
    assert folder.stop_requested
    folder.prepare()
    assert not folder.stop_requested
    assert folder.read_result() is None


def test_a_run_id_holds_one_configuration(tmp_path: Path) -> None:
    config = TrainConfig(home=str(tmp_path), run_id="a")
    folder = RunFolder.of(config, JobKind.TRAIN)
    folder.write_config(config)
    folder.write_config(config)
    with pytest.raises(InvalidInput, match="another configuration"):
        folder.write_config(config.model_copy(update={"steps": 7}))


def test_errors_survive_a_process_boundary() -> None:
    import pickle

    fetch = pickle.loads(pickle.dumps(FetchError(Reason.NOT_FOUND, "404 at x", retryable=False)))
    assert (fetch.reason, fetch.retryable, str(fetch)) == (Reason.NOT_FOUND, False, "404 at x")
    video = pickle.loads(pickle.dumps(VideoError(Reason.CORRUPT, "broken")))
    assert (video.reason, str(video)) == (Reason.CORRUPT, "broken")
