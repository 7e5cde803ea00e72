"""What lies in a dataset's staging, and when it goes."""

from pathlib import Path

from argus.curate.staging import clear_staged, staged_name
from argus.dataset import Store

RECIPE, OTHER = "0" * 16, "1" * 16


def test_what_a_killed_refresh_had_committed_goes_and_the_rest_stays(tmp_path: Path) -> None:
    store = Store.of(tmp_path)
    clear_staged(store, RECIPE, ["url:settled"])
    staged = [
        staged_name(*one)
        for one in (("url:settled", RECIPE), ("url:settled", OTHER), ("url:open", RECIPE))
    ]
    for name in staged:
        store.write(f"{name}/row.json", b"{}")
        store.write(f"{name}/clips.arrow", b"clips")
    clear_staged(store, RECIPE, ["url:settled", "url:never"])
    assert store.folders("staging") == sorted(staged[1:])
    assert len(store.names("staging")) == 4
