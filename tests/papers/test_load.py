"""Table files: what is refused, where, and what rows become."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from vtbench.errors import SpecError, UsageError
from vtbench.papers import load_paper, measurements, select
from vtbench.papers.spec.cells import Published

Edit = Callable[[str, str, str], int]
REPOSITORY = Path(__file__).resolve().parents[2]
TABLE2 = "msca/table2.yaml"
KV = "name: msca, shifted: kv,"


def refused(message: str, file: str = TABLE2) -> None:
    """Loading must end in one line that starts with the file."""
    with pytest.raises(SpecError) as caught:
        load_paper("msca")
    assert str(caught.value).startswith(f"benchmarks/{file}:")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_model_argument_names_line_row_key_and_nearest_name(edit: Edit) -> None:
    line = edit(TABLE2, KV, "name: msca, shfited: kv,")
    refused(f"table2.yaml:{line}: rows[6].model.shfited: msca() has no argument 'shfited'; did you mean 'shifted'?")


def test_a_key_in_defaults_is_reported_in_defaults(edit: Edit) -> None:
    line = edit(TABLE2, "num_frames: 8", "num_frame: 8")
    refused(f"table2.yaml:{line}: defaults.data.num_frame: no key 'num_frame'; did you mean 'num_frames'?")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (KV, "name: msca, shifted: kvq,", "model.shifted: is 'kvq', must be one of q, k, v, qk, kv, qv, qkv"),
        (KV, "name: msca, shifted: 3,", "model.shifted: is 3, must be one of"),
        (KV, "name: mcsa, shifted: kv,", "model.name: no model 'mcsa'; did you mean 'msca'?"),
        ("size: 224", "size: big", "defaults.data.size: must be a whole number, not 'big'"),
        ("lr: 0.1", "lr: -0.1", "defaults.train.lr: is -0.1, must be above 0"),
        ("lr: 0.1,", "", "train.lr: missing; it is initial learning rate"),
        ("method: msca", "method: mcsa", "train.method: no method 'mcsa'; did you mean 'msca'?"),
        ("momentum: 0.9, ", "", "train.momentum belongs to the optimizer sgd, which needs it"),
        ("schedule: step", "schedule: cosine", "train.milestones belongs to the schedule step"),
        (
            "schedule: step",
            "schedule: stp",
            "is 'stp', must be one of step, cosine, cosine_by_epoch, constant; did you mean 'step'?",
        ),
        ("[244, 330]", "[330, 244]", "augment.short_side is [330, 244], the smaller number comes first"),
        (", clip_seed: 0", "", "eval.clip_seed belongs to clip_sampling: random"),
        ("stride: 32, ", "", "data must hold exactly one of stride (a number of frames) and sampling: segments"),
        ("stride: 32, ", "stride: 32, sampling: segments, ", "data must hold exactly one of stride"),
        ("stride: 32", "sampling: segment", "is 'segment', must be one of segments; did you mean 'segments'?"),
        (
            "stride: 32, starts: span",
            "sampling: segments",
            "set eval.clips: 1 and eval.clip_sampling: uniform, not 10 and random",
        ),
        ("stride: 32", "sampling: segments", "data.starts and data.frames are of clips with a stride; leave them out"),
        ("color: 0.1, ", "", "set together or not at all; not set: color"),
        (
            "color: 0.1, brightness: [0.5, 2.0], saturation: [0.5, 3.0], gamma: [0.8, 1.2],",
            "",
            "augment.color, brightness, saturation, gamma and hue are set together or not at all; not set: color, "
            "brightness, saturation, gamma",
        ),
        ("flip: 0.5", "flip: 0.5, erasing: 1.5", "defaults.augment.erasing: is 1.5, must be at most 1"),
        ("flip: 0.5", "flip: 0.5, crop: resize", "is 'resize', must be one of resized; did you mean 'resized'?"),
        ("flip: 0.5", "flip: 0.5, auto_augment: cifar10", "auto_augment: is 'cifar10', must be one of imagenet"),
        ("init: {weights", "init: {scratch: true, weights", "init must hold exactly one of"),
        ('top1: "76.37"', "top1: 76.37", "quote it, so that the printed precision is kept"),
        ('top1: "76.37"', 'top1: "76,37x"', "is not a number"),
        ('top1: "76.37"', 'tpo1: "76.37"', "published.tpo1: no metric 'tpo1'; did you mean 'top1'?"),
        ('top1: "76.37"', 'events_top1: "76.37"', "this row has no measurement 'events'"),
        ('top1: "76.37"', 'top1: {value: "76.37", precison: 1}', "a cell has only the keys value, reconstructed"),
        ('top1: "76.37"', 'top1: {value: "76.37", precision: x}', "must be a number of decimals"),
        ('top1: "76.37"', 'top1: {value: "76.37", reconstructed: 2}', "must say from where"),
        ("- id: msca-k\n", "- id: msca-q\n", "'msca-q' is already the id of the row in line"),
        ("- id: msca-k\n", "- id: MSCA k\n", "use small letters"),
        ("label: MSCA-K\n", "lable: MSCA-K\n", "rows[3].lable: no key 'lable'; did you mean 'label'?"),
        ("    label: MSCA-K\n", "", "rows[3].label: missing"),
        ("msca-boundary-frames]", "msca-boundary-frame]", "did you mean 'msca-boundary-frames'?"),
        ("source: {table: 2}", "source: {table: 2}\nmini: {}", "mini: stands in `defaults`, a row, a measurement or"),
        (
            "{name: vit}\n    published: {",
            "{name: vit}\n    baseline: tokenshfit\n    published: {",
            "baseline: this table has no other row 'tokenshfit'; did you mean 'tokenshift'?",
        ),
        (
            "{name: vit}\n    published: {",
            "{name: vit}\n    baseline: vit\n    published: {",
            "baseline: this table has no other row 'vit'",
        ),
        ("caption:", "captoin:", "captoin: no key 'captoin'; did you mean 'caption'?"),
        ("rows:\n", "rows: []\nrest:\n", "no key 'rest'"),
    ],
)
def test_a_broken_table_is_one_line_with_the_remedy(edit: Edit, old: str, new: str, message: str) -> None:
    edit(TABLE2, old, new)
    refused(message)


def test_a_row_key_written_twice_is_refused(edit: Edit) -> None:
    edit(TABLE2, "    label: MSCA-K\n", "    label: MSCA-K\n    label: MSCA-Q\n")
    refused("rows[3].label: written twice")


def test_paper_yaml_is_held_to_its_schema(edit: Edit) -> None:
    edit("msca/paper.yaml", 'data.stride: {paper: "4.1"}', "data.stride: {why: because}")
    refused("a source holds exactly one of paper, code, decision, not_stated", "msca/paper.yaml")


def test_a_decision_without_a_reason_is_no_source(edit: Edit) -> None:
    edit("msca/paper.yaml", 'why: "the paper is silent; zeros as in the TokenShift code"', "why: ")
    refused("a source by decision says why", "msca/paper.yaml")


def test_a_file_with_another_name_is_refused(benchmarks: Path) -> None:
    (benchmarks / "msca" / "appendix.yaml").write_text("caption: x\n")
    with pytest.raises(SpecError, match=r"appendix\.yaml: a table's file is called like"):
        load_paper("msca")


def test_tables_come_in_printed_order(benchmarks: Path) -> None:
    first = (benchmarks / "msca" / "table1.yaml").read_text()
    for name in ("table10", "table2b", "table2a"):
        (benchmarks / "msca" / f"{name}.yaml").write_text(first)
    names = [table.name for table in load_paper("msca").tables]
    assert names == ["table1", "table2", "table2a", "table2b", "table3", "table4", "table5", "table10"]


def test_an_unknown_paper_names_the_nearest(benchmarks: Path) -> None:
    with pytest.raises(UsageError, match=r"no paper 'mcsa'.*did you mean 'msca'\?"):
        load_paper("mcsa")


def test_a_folder_of_tables_without_a_paper_is_named(benchmarks: Path) -> None:
    (benchmarks / "msca" / "paper.yaml").unlink()
    with pytest.raises(SpecError, match=r"benchmarks/msca: has no paper\.yaml; write one"):
        select()


def test_an_empty_value_in_a_row_removes_the_default(edit: Edit) -> None:
    edit(TABLE2, "- id: vit\n", "- id: vit\n    train: {clip_grad_norm: }\n")
    recipes = {row.name: row.recipes["main"].recipe.train for row in select(["msca/table2"])}
    assert recipes["vit"].clip_grad_norm is None
    assert recipes["tokenshift"].clip_grad_norm == 1.0


def test_a_row_merges_key_by_key_over_the_defaults_except_init(edit: Edit) -> None:
    edit(TABLE2, "- id: vit\n", "- id: vit\n    train: {lr: 0.05}\n    init: {scratch: true}\n")
    recipe = select(["msca/table2:vit"])[0].recipes["main"].recipe
    assert (recipe.train.lr, recipe.train.arguments["momentum"]) == (0.05, 0.9)
    assert recipe.init.scratch
    assert recipe.init.weights is None


def test_quoted_rows_are_published_only_and_need_no_recipe(edit: Edit) -> None:
    edit(TABLE2, "    model: {name: vit}\n", "    quoted: true\n")
    row = select(["msca/table2:vit"])[0]
    assert (row.own, row.status, measurements(row, "paper")) == (False, "published-only", [])
    assert row.published["top1"].text == "75.65"


@pytest.mark.parametrize("published", ['published: {gflops: "134.7"}', "published: {}", "printed: {}"])
def test_a_row_with_a_network_runs_whatever_it_prints(edit: Edit, published: str) -> None:
    edit(TABLE2, 'published: {top1: "75.65", top5: "92.19"}', published)
    row = select(["msca/table2:vit"])[0]
    assert (row.own, row.status, len(measurements(row, "paper"))) == (True, "runnable", 1)


def test_a_row_that_says_so_is_analytic(edit: Edit) -> None:
    edit(TABLE2, "- id: vit\n", "- id: vit\n    status: analytic\n")
    row = select(["msca/table2:vit"])[0]
    assert (row.own, row.status, measurements(row, "paper")) == (True, "analytic", [])


def test_a_row_without_a_recipe_says_what_it_lacks(edit: Edit) -> None:
    text = (REPOSITORY / "benchmarks" / TABLE2).read_text()
    edit(TABLE2, text[text.index("  train:") : text.index("  eval:")], "")
    refused("rows[0].train: missing, in the row and in defaults; a row with nothing to train says status: analytic")


def test_a_line_with_two_data_sets_prefixes_its_metrics(edit: Edit) -> None:
    edit(TABLE2, "- id: vit\n", "- id: vit\n    measurements: {main: {}, short: {data: {num_frames: 4}}}\n")
    edit(TABLE2, '"75.65", top5: "92.19"', '"75.65", short_top1: "70.1"')
    row = select(["msca/table2:vit"])[0]
    main, short = (m.evaluation.training for m in measurements(row, "paper"))
    assert (main.data.num_frames, short.data.num_frames) == (8, 4)
    assert main.key != short.key
    assert row.published[row.metric("short", "top1")].text == "70.1"


@pytest.mark.parametrize(
    ("cell", "value", "decimals"),
    [
        (Published("76.40"), 76.4, 2),
        (Published("173.0", precision=0), 173.0, 0),
        (Published("1,703"), 1703.0, 0),
        (Published("86"), 86.0, 0),
    ],
)
def test_a_cell_knows_its_printed_precision(cell: Published, value: float, decimals: int) -> None:
    assert (cell.value, cell.decimals) == (value, decimals)


def test_a_reconstructed_cell_says_from_where() -> None:
    cell = select(["msca/table1:vit"])[0].published["top1"]
    assert cell.text == "75.65"
    assert cell.reconstructed
    assert "Table 2" in cell.reconstructed
    assert select(["msca/table2:vit"])[0].published["top1"].reconstructed is None


def test_a_clip_of_the_whole_video_cannot_start_at_random(edit: Edit) -> None:
    edit(TABLE2, "stride: 32, starts: span", "sampling: segments")
    edit(TABLE2, "clips: 10", "clips: 1")
    refused(
        "data.sampling: segments makes one clip of the whole video; set eval.clips: 1 and eval.clip_sampling: uniform"
    )


def test_a_clip_of_the_whole_video_and_no_colours_can_be_asked_for(edit: Edit) -> None:
    edit(TABLE2, "stride: 32, starts: span", "sampling: segments")
    edit(
        TABLE2, "clips: 10, crops: 3, clip_sampling: random, clip_seed: 0", "clips: 1, crops: 3, clip_sampling: uniform"
    )
    edit(TABLE2, "color: 0.1, brightness: [0.5, 2.0], saturation: [0.5, 3.0], gamma: [0.8, 1.2],", "erasing: 0.25,")
    edit(TABLE2, "hue: [-0.5, 0.5], ", "crop: resized, auto_augment: imagenet, ")
    leaves = load_paper("msca").tables[1].rows[0].recipes["main"].recipe.leaves()
    assert leaves["data.sampling"] == "segments" and "data.stride" not in leaves
    augment = {key.removeprefix("augment."): leaves[key] for key in leaves if key.startswith("augment.")}
    assert augment == {
        "short_side": (244, 330), "crop": "resized", "auto_augment": "imagenet", "flip": 0.5, "erasing": 0.25,
        "interpolation": "bicubic", "mean": 0.5, "std": 0.5,
    }  # fmt: skip


def test_a_baseline_is_a_row_of_the_same_table(edit: Edit) -> None:
    edit(TABLE2, "- id: tokenshift\n", "- id: tokenshift\n    baseline: vit\n")
    assert [row.baseline_id for row in select(["msca/table2"])][:2] == ["msca/table2:vit", None]


def test_a_baseline_has_none_itself(edit: Edit) -> None:
    line = edit(TABLE2, "- id: tokenshift\n", "- id: tokenshift\n    baseline: vit\n")
    edit(TABLE2, "- id: vit\n", "- id: vit\n    baseline: msca-k\n")
    refused(
        f"table2.yaml:{line + 1}: rows[0].baseline: 'vit' has a baseline itself, 'msca-k'; name a row that has none"
    )


@pytest.mark.parametrize("name", ["train_memory_gb", "train_step_ms", "memory_gb", "short_train_memory_gb"])
def test_a_metric_is_told_from_one_that_ends_like_it(edit: Edit, name: str) -> None:
    edit(TABLE2, "- id: vit\n", "- id: vit\n    measurements: {main: {}, short: {data: {num_frames: 4}}}\n")
    edit(TABLE2, '"75.65", top5: "92.19"', f'"75.65", {name}: "3.7"')
    assert select(["msca/table2:vit"])[0].published[name].text == "3.7"


def test_a_line_can_print_the_mean_over_its_measurements() -> None:
    row = select(["mmvit/table1:mm-vit-iii-merged"])[0]
    assert row.means == {"ucf101": ("split1", "split2", "split3")}
    assert row.published[row.metric("ucf101", "top1")].text == "95.99"
    assert select(["mmvit/table2:tms"])[0].means == {"main": ("split1", "split2", "split3")}
    assert select(["mmvit/table4:coviar"])[0].means == {}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{ucf101: [split1, ", "{ucf: [split1, ", "this row has no measurement 'ucf101'"),
        ("{ucf101: [split1, ", "{split1: [split1, ", "'split1' is a measurement of this row"),
        ("{ucf101: [split1, ", "{ucf101: [split4, ", "row mm-vit-i has no measurement 'split4'; did you mean"),
        ("[split1, split2, split3]", "[split1]", "must be two or more measurements, each once, not ['split1']"),
        (
            "[iframe, motion, residual, audio]",
            "[iframe, audio, motion]",
            "data.modalities is [iframe, audio, motion]; it",
        ),
        ("[iframe, motion, residual, audio]", "[iframe, audio]", "data.motion belongs to the modalities motion and"),
        ("[iframe, motion, residual, audio]", "[iframe, motion]", "data.audio_encoder belongs to the modality audio"),
        ("[iframe, motion, residual, audio]", "[iframe, sound]", "must be one of iframe, motion, residual, audio"),
        ("modalities: [iframe, motion, residual, audio], motion: iframe,\n     audio_encoder: vggish", "", "needs it"),
        ("{name: mmvit,", "{name: mmvit, modalities: [iframe],", "is filled in from the data block; leave it out"),
        ("patience: 2, ", "", "train.patience belongs to the schedule plateau, which needs it"),
        ("gamma: 0.1, ", "", "train.gamma belongs to the schedules step and plateau, which need it"),
        ("holdout: 0.1", "holdout: 1.0", "train.holdout: is 1.0, must be below 1"),
        (
            "holdout: 0.1",
            "holdout: 0.1, keep: best_on_test",
            "train.keep is best_on_test, must be left out with the schedule plateau",
        ),
        ("warmup_epochs: 0.0", "warmup_epochs: 1.0", "train.warmup_epochs is 1.0, must be 0 with the schedule plateau"),
        (
            "method: mmvit",
            "method: msca",
            "defaults.train.schedule: is 'plateau', must be one of step, cosine, cosine_by_epoch, constant",
        ),
    ],
)
def test_what_compressed_videos_cannot_have_is_one_line(edit: Edit, old: str, new: str, message: str) -> None:
    edit("mmvit/table1.yaml", old, new)
    with pytest.raises(SpecError) as caught:
        load_paper("mmvit")
    assert str(caught.value).startswith("benchmarks/mmvit/table1.yaml:")
    assert message in "\n".join(caught.value.problems)


def test_modalities_are_for_networks_that_take_them(edit: Edit) -> None:
    edit(TABLE2, "stride: 32", "stride: 32, modalities: [iframe]")
    refused("data.modalities: the network tokenshift takes decoded frames alone; leave it out")
