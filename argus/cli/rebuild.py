"""What `argus dataset rebuild` runs: a refresh for each recipe of a manifest, with the manifest as its catalogue."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from argus.cli.errors import console
from argus.config import resolve_config
from argus.errors import InvalidInput
from argus.files import replace_atomically, sha256_file
from argus.runs import argus_home
from schemas.config import CurateConfig


def rebuild_configs(
    manifest: Path,
    file: Path | None,
    sets: Sequence[str],
    fields: Mapping[str, Any],
    *,
    write: bool,
) -> list[CurateConfig]:
    """The refreshes that make a manifest's dataset again, one for each recipe, in the order of commits.

    Settings of clips and thresholds are the recipe's; `file`, `fields` and `sets` give the rest, and `sets` may change these too. A manifest of
    several recipes is parted into catalogues below ARGUS_HOME, which are only named where not to `write`. Raises InvalidInput.
    """
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    from argus.dataset import manifest_recipes, read_manifest

    table, recipes = read_manifest(manifest), manifest_recipes(manifest)
    digests = table["recipe"].unique().to_pylist()
    configs = []
    for digest in digests:
        catalogue, names = manifest.absolute(), {}
        if len(digests) > 1:
            catalogue = argus_home() / "rebuild" / f"{sha256_file(manifest)[:16]}-{digest}.parquet"
            names = {"run_id": f"{fields['run_id']}-{digest}"} if fields.get("run_id") else {}
            if write:
                with replace_atomically(catalogue) as beside:
                    pq.write_table(table.filter(pc.equal(table["recipe"], digest)), beside)
        given = {"home": str(argus_home()), **fields, **names, "catalogue": str(catalogue)}
        configs.append(_config(digest, recipes.get(digest), file, sets, given))
    return configs


def _config(
    digest: str, text: str | None, file: Path | None, sets: Sequence[str], fields: Mapping[str, Any]
) -> CurateConfig:
    from argus.curate import Recipe

    if text is None:
        raise InvalidInput(
            f"the manifest names recipe {digest}, but not its settings: it is of an older version; ask for one that was exported anew"
        )
    try:
        recipe = Recipe.parse(text)
    except ValueError as error:
        raise InvalidInput(
            f"recipe {digest} of the manifest cannot be used by this version: {error}"
        ) from error
    settings = {
        "clip": recipe.clip.model_dump(),
        "policy": recipe.policy.model_dump(),
        "learned.scorers": tuple(recipe.learned) or None,
    }
    config = resolve_config(CurateConfig, "curate", file=file, sets=sets, fields={**settings, **fields})
    if (own := Recipe.of(config).digest) != digest:
        console.print(
            f"The manifest's recipe is {digest}, this one is {own}: settings or versions of filters differ, so clips may too."
        )
    return config
