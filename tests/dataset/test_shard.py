import hashlib
from pathlib import Path

import datasets
import pyarrow as pa
import pytest

from argus.dataset import ShardReader, write_shard
from argus.errors import InvalidInput
from argus.files import sha256_file
from schemas.arrow import SHARD_SCHEMA


def test_every_row_is_read_as_it_was_written(tmp_path: Path, make) -> None:
    clips = [make.clip("youtube:a", number) for number in range(4)]
    checksums = write_shard(tmp_path / "a.arrow", clips)
    assert checksums == [hashlib.sha256(clip.video).hexdigest() for clip in clips]
    with ShardReader(tmp_path / "a.arrow") as reader:
        assert len(reader) == 4
        assert [reader.clip(row) for row in (2, 0, 3, 1)] == [clips[row] for row in (2, 0, 3, 1)]


def test_bytes_depend_on_the_clips_only(tmp_path: Path, make) -> None:
    for name in ("a", "b"):
        write_shard(
            tmp_path / f"{name}.arrow", (make.clip("youtube:a", number) for number in range(3))
        )
    write_shard(tmp_path / "c.arrow", (make.clip("youtube:a", number) for number in (0, 2, 1)))
    digests = [sha256_file(tmp_path / f"{name}.arrow") for name in "abc"]
    assert digests[0] == digests[1] != digests[2]


def test_a_shard_opens_with_pyarrow_alone(tmp_path: Path, make) -> None:
    clips = [make.clip("youtube:a", number) for number in range(3)]
    write_shard(tmp_path / "a.arrow", clips)
    with pa.ipc.open_file(str(tmp_path / "a.arrow")) as file:
        assert file.schema.equals(SHARD_SCHEMA, check_metadata=True)
        assert file.num_record_batches == 3
        assert file.read_all()["video"].to_pylist() == [clip.video for clip in clips]


def test_a_shard_opens_with_datasets(tmp_path: Path, make) -> None:
    clips = [make.clip("youtube:a", number) for number in range(3)]
    write_shard(tmp_path / "a.arrow", clips)
    table = datasets.load_dataset(
        "arrow",
        data_files=str(tmp_path / "a.arrow"),
        split="train",
        cache_dir=str(tmp_path / "cache"),
    )
    assert table["clip_id"][:] == [clip.clip_id for clip in clips]
    assert table[1]["video"] == clips[1].video


def test_an_error_while_writing_leaves_nothing(tmp_path: Path, make) -> None:
    def clips():
        yield make.clip("youtube:a")
        raise OSError("the staged clip is gone")

    with pytest.raises(OSError, match="gone"):
        write_shard(tmp_path / "a.arrow", clips())
    assert list(tmp_path.iterdir()) == []


def test_other_files_are_refused(tmp_path: Path, make) -> None:
    (tmp_path / "text.arrow").write_text("no arrow")
    with pytest.raises(InvalidInput, match=r"text\.arrow"):
        ShardReader(tmp_path / "text.arrow")
    with pytest.raises(InvalidInput, match=r"none\.arrow"):
        ShardReader(tmp_path / "none.arrow")
    write_shard(tmp_path / "a.arrow", [make.clip("youtube:a")])
    with (
        ShardReader(tmp_path / "a.arrow") as reader,
        pytest.raises(InvalidInput),
    ):
        reader.clip(1)
