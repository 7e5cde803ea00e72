"""`argus dataset export-manifest | rebuild`: a dataset is made again from its manifest."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from argus.cli.dataset import rebuild_configs
from argus.curate import Recipe
from argus.dataset import Dataset, read_manifest, read_manifest_recipes
from argus.synth import serve_folder, write_video_kind
from schemas.arrow import MANIFEST_SCHEMA
from schemas.config import CurateConfig
from tests.support.cli import (
    assert_invalid,
    run_argus,
    run_argus_json,
    run_argus_process,
    split_cells,
)

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def manifest(sample_dataset: Path, tmp_path: Path) -> Path:
    """The manifest of the shared dataset."""
    path = tmp_path / "m.parquet"
    result = run_argus("dataset", "export-manifest", path, "--dataset", sample_dataset)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == ["videos: 2", "clips: 4", f"manifest: {path}"]
    return path


def test_a_dry_export_writes_nothing(sample_dataset: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.parquet"
    result = run_argus("dataset", "export-manifest", path, "--dataset", sample_dataset, "--dry-run")
    assert result.exit_code == 0, result.output
    assert str(path) in result.stderr
    assert not path.exists()


def test_a_rebuild_takes_clips_and_thresholds_from_the_manifest(
    manifest: Path, home: Path, tmp_path: Path
) -> None:
    again = tmp_path / "again"
    options = ["--dataset", again, "--set", "fetch.attempts=7", "--dry-run"]
    config = CurateConfig.model_validate(run_argus_json("dataset", "rebuild", manifest, *options))
    assert (config.catalogue, config.dataset) == (str(manifest), str(again))
    assert config.fetch.attempts == 7
    (digest,) = read_manifest_recipes(manifest)
    assert Recipe.from_config(config).digest == digest
    assert config.clip.clip_s == 2.0
    assert not home.exists()
    options = ["--set", "clip.height=128", "--dry-run"]
    changed = run_argus("dataset", "rebuild", manifest, *options)
    assert digest in changed.stderr, "the difference of recipes is reported"


def test_a_manifest_of_two_recipes_is_rebuilt_by_two_refreshes(manifest: Path) -> None:
    rows = read_manifest(manifest).to_pylist()
    (digest, text), *_ = read_manifest_recipes(manifest).items()
    rows[1]["recipe"] = "other"
    metadata = {
        **MANIFEST_SCHEMA.metadata,
        b"argus.recipe:other": text,
        f"argus.recipe:{digest}": text,
    }
    pq.write_table(
        pa.Table.from_pylist(rows, schema=MANIFEST_SCHEMA.with_metadata(metadata)), manifest
    )
    configs = rebuild_configs(manifest, None, (), {"run_id": "again"}, write=True)
    assert [config.run_id for config in configs] == [f"again-{digest}", "again-other"]
    urls = [pq.read_table(config.catalogue)["url"].to_pylist() for config in configs]
    assert urls == [[row["url"]] for row in rows]
    pq.write_table(pa.Table.from_pylist(rows, schema=MANIFEST_SCHEMA), manifest)
    assert_invalid(run_argus("dataset", "rebuild", manifest, "--dry-run"), digest)


@pytest.mark.slow
def test_a_dataset_is_rebuilt_from_its_manifest(tmp_path: Path) -> None:
    """Twice: from the same files, and after one video was removed and another was replaced."""
    site, manifest = tmp_path / "site", tmp_path / "m.parquet"
    site.mkdir()
    for number in range(3):
        write_video_kind(site / f"{number}.mp4", "walk", seed=number, seconds=4, fps=5, height=64)
    with serve_folder(site) as served:
        urls = [f"{served.url}/{number}.mp4" for number in range(3)]
        (tmp_path / "c.csv").write_text("\n".join(["url", *urls]))
        sets = ("clip.height=64", "clip.clip_s=2", "clip.min_clip_s=1")
        options = ["--allow-private-hosts", *(part for text in sets for part in ("--set", text))]
        run_argus_process("refresh", tmp_path / "c.csv", "--dataset", tmp_path / "first", *options)
        run_argus_process("dataset", "export-manifest", manifest, "--dataset", tmp_path / "first")
        options = ["--allow-private-hosts", "--set", "fetch.attempts=1"]
        rebuild = ["dataset", "rebuild", manifest, *options]
        again = run_argus_process(*rebuild, "--dataset", tmp_path / "second")
        assert ["same, byte for byte", "6", "100%"] in split_cells(again)
        first, second = (
            Dataset(tmp_path / name).get_snapshot().table.drop_columns(["shard", "row"])
            for name in ("first", "second")
        )
        assert second.equals(first)
        (site / "0.mp4").unlink()
        write_video_kind(site / "1.mp4", "walk", seed=9, seconds=4, fps=5, height=64)
        printed = run_argus_process(*rebuild, "--dataset", tmp_path / "third", "--json")
    report = json.loads(printed)
    assert (len(report["same"]), len(report["changed"])) == (2, 2)
    assert list(report["missing"].values()) == ["not_found"] * 2
