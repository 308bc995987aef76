"""MSCA's tables at the small scales: the shares that they print stay."""

from __future__ import annotations

import pytest

from vtbench.papers import select
from vtbench.papers.resolve import recipe_at
from vtbench.papers.spec.recipe import Recipe


def at(row_id: str, scale: str) -> Recipe:
    return recipe_at(select([row_id])[0], "main", scale)


@pytest.mark.parametrize("scale", ["smoke", "mini"])
@pytest.mark.parametrize("blocks", [4, 8, 12])
def test_the_share_of_blocks_with_msca_stays(blocks: int, scale: str) -> None:
    arguments = at(f"msca/table3:msca-kv-{blocks}", scale).model.arguments
    assert arguments["num_msca_blocks"] * 12 == blocks * arguments["depth"]


@pytest.mark.parametrize("scale", ["smoke", "mini"])
@pytest.mark.parametrize("patches", [8, 16, 32, 48, 64])
def test_the_share_of_shifted_patches_stays(patches: int, scale: str) -> None:
    recipe = at(f"msca/table4:msca-pkv-{patches}", scale)
    arguments = recipe.model.arguments
    count = (recipe.data.size // arguments["patch_size"]) ** 2
    assert (arguments["backward_patches"] + arguments["forward_patches"]) * 196 == patches * count
    assert arguments["backward_patches"] == arguments["forward_patches"]


@pytest.mark.parametrize("scale", ["smoke", "mini"])
def test_every_network_of_table_5_shifts_the_same_patches(scale: str) -> None:
    shifted = [row for row in select(["msca/table5"]) if row.name.startswith("msca-p")]
    for row in shifted:
        recipe = recipe_at(row, "main", scale)
        paper = row.recipes["main"].recipe
        for name in ("backward_patches", "forward_patches"):
            share = recipe.model.arguments[name] / (recipe.data.size // recipe.model.arguments["patch_size"]) ** 2
            assert share == paper.model.arguments[name] / 14**2


def test_what_the_variants_differ_in_is_the_papers_at_every_scale() -> None:
    for key in ("model.shifted", "model.backward_heads", "model.forward_heads", "model.num_heads", "augment.flip"):
        paper = at("msca/table2:msca-kv", "paper").leaves()[key]
        assert [at("msca/table2:msca-kv", scale).leaves()[key] for scale in ("mini", "smoke")] == [paper, paper]
