"""MM-ViT against plain loops over the equations of arXiv:2108.09322, and what the paper says about it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Hashable
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from vtbench.cost import count_params
from vtbench.models import build
from vtbench.models.mmvit import CHANNELS, MLP, MODALITIES, Block, MMViTConfig

T, SIDE, P, D, HEADS = 4, 4, 2, 12, 2
N = SIDE**2
SIZES: dict[str, Any] = {
    "num_classes": 5,
    "num_frames": T,
    "img_size": SIDE * P,
    "patch_size": P,
    "embed_dim": D,
    "depth": 2,
    "num_heads": HEADS,
    "mlp_ratio": 2.0,
    "max_frames": 6,
    "audio_dim": 7,
}
VISUAL = ("iframe", "motion", "residual")
ORDERS = ["TMS", "TSM", "STM", "SMT", "MTS", "MST"]
CASES: dict[str, dict[str, Any]] = {
    "I": {"variant": "I"},
    "II": {"variant": "II"},
    "II-ST": {"variant": "II", "order": "ST"},
    **{order: {"order": order} for order in ORDERS},
    "co": {"cross_modal": "co"},
    "shift_merge": {"cross_modal": "shift_merge"},
    "IV": {"variant": "IV"},
    "IV-SMT-co": {"variant": "IV", "order": "SMT", "cross_modal": "co"},
    "IV-shift_merge": {"variant": "IV", "cross_modal": "shift_merge"},
}
every_case = pytest.mark.parametrize("arguments", CASES.values(), ids=CASES)


def network(**arguments: Any) -> Any:
    """With random weights everywhere, large enough for uneven attention, in double precision."""
    model = build("mmvit", **{**SIZES, **arguments})
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            scale = parameter[0].numel() ** -0.5 if parameter.ndim > 1 else 0.3
            parameter.normal_(std=1.5 * scale)
    return model.double().eval()


def clips(count: int = 1, modalities: tuple[str, ...] = MODALITIES) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    every = {
        name: torch.randn(
            (count, T, *((CHANNELS[name], SIDE * P, SIDE * P) if name in CHANNELS else (7,))),
            dtype=torch.float64,
            generator=generator,
        )
        for name in MODALITIES
    }
    return {name: every[name] for name in modalities}


@torch.no_grad()
def logits(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    result: Tensor = model(batch)
    return result


def close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-10)


# ---- the network token by token ----------------------------------------------------------------------------------

Token = tuple[int, int, int]
"""Frame, modality, place."""


def group(step: str, variant: str, token: Token) -> Hashable:
    """Tokens of the same group attend to each other in a step."""
    t, s, n = token
    half, window = T // 2, (n // SIDE // (SIDE // 2), n % SIDE // (SIDE // 2))
    by_variant: dict[str, dict[str, Hashable]] = {
        "I": {"joint": ()},
        "II": {"time": n, "space": t},
        "III": {"time": (s, n), "modality": (t, n), "space": (t, s)},
        "IV": {"time": (t // half, s, n), "modality": (t, n), "space": (t, s, window)},
    }
    return by_variant[variant][step]


def normal(norm: nn.LayerNorm, x: Tensor) -> Tensor:
    return (x - x.mean()) / (x.var(correction=0) + 1e-6).sqrt() * norm.weight + norm.bias


def attended(step: Any, query: Tensor, k: list[Tensor], v: list[Tensor]) -> Tensor:
    """Eqs. 5, 8 and 16 for one query: head by head, then the output projection."""
    q = step.q(normal(step.norm, query)).chunk(HEADS)
    by_head = zip(q, torch.stack(k).chunk(HEADS, dim=1), torch.stack(v).chunk(HEADS, dim=1), strict=True)
    return step.proj(torch.cat([torch.softmax(k @ q / (D / HEADS) ** 0.5, dim=0) @ v for q, k, v in by_head]))


def loop(model: Any, clip: dict[str, Tensor], *, variant: str, order: str, cross_modal: str) -> Tensor:
    """Logits of one clip with the modalities of `clip`, which may be fewer than those of the model."""
    names = tuple(clip)
    places = list(product(range(T), range(len(names)), range(N)))
    z: dict[Token, Tensor] = {}
    for t, s, n in places:  # Eqs. 1 to 4
        name, row, column = names[s], n // SIDE * P, n % SIDE * P
        embed, time = model.patch_embed[name], model.time_embed[name][t]
        if name == "audio":
            z[t, s, n] = embed.weight @ clip[name][t] + embed.bias + time
        else:
            patch = clip[name][t][:, row : row + P, column : column + P].flatten()
            z[t, s, n] = embed.weight.flatten(1) @ patch + embed.bias + model.pos_embed[name][n] + time
    cls = model.cls_token[0, 0]

    for block in model.blocks:
        letters = {"T": "time", "M": "modality", "S": "space"}
        steps = ["joint"] if variant == "I" else [letters[letter] for letter in order]
        if variant == "IV":
            steps.insert(max(steps.index("time"), steps.index("space")) + 1, "conv")
        for name in steps:
            step = getattr(block, name)
            y: dict[Token, Tensor] = {}
            y_cls = torch.zeros(D, dtype=torch.float64)
            if name == "conv":
                size, (weight, bias) = SIDE // 2, (step.depthwise.weight[:, 0], step.depthwise.bias)
                for t, s, n in places:
                    y[t, s, n] = bias
                    for i, j in product(range(size), repeat=2):
                        row, column = n // SIDE + i - size // 2, n % SIDE + j - size // 2
                        if 0 <= row < SIDE and 0 <= column < SIDE:
                            y[t, s, n] = y[t, s, n] + weight[:, i, j] * z[t, s, row * SIDE + column]
            elif name == "modality" and cross_modal == "shift_merge":
                values = {token: step.v(normal(step.norm, x)) for token, x in z.items()}
                for t, s, n in places:  # Eqs. 17 to 20
                    parts = [values[t, j, n].chunk(len(names))[s] for j in range(len(names))]
                    y[t, s, n] = step.fc(step.proj(normal(step.merged_norm, torch.cat(parts) + values[t, s, n])))
            else:
                groups: dict[Hashable, list[Token]] = {}
                for token in places:
                    groups.setdefault(group(name, variant, token), []).append(token)
                for members in groups.values():
                    k, v = ([project(normal(step.norm, z[m])) for m in members] for project in (step.k, step.v))
                    if name in ("joint", "space"):
                        k, v = [step.k(normal(step.norm, cls)), *k], [step.v(normal(step.norm, cls)), *v]
                        y |= {token: attended(step, z[token], k, v) for token in members}
                        y_cls = y_cls + attended(step, cls, k, v) / len(groups)
                    else:
                        for i, token in enumerate(members):
                            after = i + 1 if name == "modality" and cross_modal == "co" else i
                            seen_k, seen_v = (x[:i] + x[after:] for x in (k, v))
                            y[token] = step.fc(attended(step, z[token], seen_k, seen_v))
            z = {token: z[token] + y[token] for token in places}
            cls = cls + y_cls

        def mlp(x: Tensor, step: MLP = block.mlp) -> Tensor:
            hidden = step.fc1(normal(step.norm, x))
            return x + step.fc2(hidden * (1 + torch.erf(hidden / 2**0.5)) / 2)

        z, cls = {token: mlp(x) for token, x in z.items()}, mlp(cls)
    return model.head(normal(model.norm, cls))


def meaning(arguments: dict[str, Any]) -> dict[str, str]:
    """The arguments that the loop takes, defaults as in the paper."""
    variant = arguments.get("variant", "III")
    order = arguments.get("order", "TS" if variant == "II" else "TMS")
    return {"variant": variant, "order": order, "cross_modal": arguments.get("cross_modal", "merged")}


@torch.no_grad()
def loops(model: Any, batch: dict[str, Tensor], arguments: dict[str, Any]) -> Tensor:
    count = len(next(iter(batch.values())))
    each = ({name: x[b] for name, x in batch.items()} for b in range(count))
    return torch.stack([loop(model, clip, **meaning(arguments)) for clip in each])


@every_case
def test_the_network_equals_the_loop_over_tokens(arguments: dict[str, Any]) -> None:
    small = {**arguments, "depth": 1} if arguments.get("variant") == "I" else arguments  # 257 keys for each token
    model = network(**small)
    close(logits(model, clips()), loops(model, clips(), arguments))


@pytest.mark.parametrize(
    "modalities", [VISUAL, ("motion", "audio"), ("residual",), ("audio",)], ids=lambda names: "-".join(names)
)
@pytest.mark.parametrize("label", ["II", "TMS", "IV"])
def test_leaving_modalities_out_is_the_network_of_the_others_with_the_same_weights(
    label: str, modalities: tuple[str, ...]
) -> None:
    every, fewer = network(**CASES[label]), network(**CASES[label], modalities=modalities)
    shared = fewer.load_state_dict(every.state_dict(), strict=False)
    assert not shared.missing_keys
    left_out = "|".join(set(MODALITIES) - set(modalities))
    assert all(re.match(rf"(patch|pos|time)_embed\.({left_out})\b", key) for key in shared.unexpected_keys)
    batch = clips(1, modalities)
    close(logits(fewer, batch), loops(every, batch, CASES[label]))


@pytest.mark.parametrize("modalities", [VISUAL, ("iframe", "audio")], ids=["visual", "two"])
@pytest.mark.parametrize("label", ["co", "shift_merge"])
def test_fewer_modalities_equal_the_loop(label: str, modalities: tuple[str, ...]) -> None:
    model = network(**CASES[label], modalities=modalities)
    close(logits(model, clips(1, modalities)), loops(model, clips(1, modalities), CASES[label]))


# ---- who sees whom -----------------------------------------------------------------------------------------------


@torch.no_grad()
def seen_by(step: nn.Module, changed: Token) -> tuple[set[Token], bool]:
    """The patches for which a step gives something else when one patch changes, and whether the class token does."""
    torch.manual_seed(2)
    cls, x = torch.randn(1, 1, 1, 1, D, dtype=torch.float64), torch.randn(1, T, 4, N, D, dtype=torch.float64)
    other = x.clone()
    t, s, n = changed
    other[0, t, s, n] = -other[0, t, s, n] + 0.1
    (cls_before, before), (cls_after, after) = step(cls, x), step(cls, other)
    moved = ((after - before)[0].abs().amax(-1) > 1e-12).nonzero().tolist()
    return {(t, s, n) for t, s, n in moved}, cls_before is not None and not torch.equal(cls_after, cls_before)


@pytest.mark.parametrize("changed", [(0, 0, 0), (2, 3, 7)])
@pytest.mark.parametrize(
    ("label", "step"),
    [
        ("I", "joint"),
        ("II", "time"),
        ("II", "space"),
        ("TMS", "time"),
        ("TMS", "modality"),
        ("TMS", "space"),
        ("IV", "time"),
        ("IV", "modality"),
        ("IV", "space"),
        ("shift_merge", "modality"),
    ],
)
def test_a_patch_is_seen_by_its_group_and_no_other(label: str, step: str, changed: Token) -> None:
    found, class_token = seen_by(getattr(network(**CASES[label]).blocks[0], step), changed)
    variant = meaning(CASES[label])["variant"]
    everyone = product(range(T), range(4), range(N))
    assert found == {token for token in everyone if group(step, variant, token) == group(step, variant, changed)}
    assert class_token == (step in ("joint", "space"))


def test_the_convolution_joins_neighbouring_windows_of_a_frame() -> None:
    found, class_token = seen_by(network(**CASES["IV"]).blocks[0].conv, (1, 2, 5))  # row 1, column 1: of the first
    assert found == {(1, 2, 5), (1, 2, 6), (1, 2, 9), (1, 2, 10)} and not class_token


def test_co_attention_ignores_a_modalitys_own_keys_and_values() -> None:
    attention = network(**CASES["co"]).blocks[0].modality
    attention.q.weight.data.zero_()  # so that a patch does not see itself as a query either
    found, _ = seen_by(attention, (1, 2, 5))
    assert found == {(1, 0, 5), (1, 1, 5), (1, 3, 5)}


# ---- what permutations change ------------------------------------------------------------------------------------


def moved(a: Tensor, b: Tensor) -> bool:
    difference = (a - b).abs().max()
    assert difference < 1e-10 or difference > 1e-4
    return bool(difference > 1e-4)


@every_case
def test_frames_have_no_order_but_that_of_their_positions(arguments: dict[str, Any]) -> None:
    model, batch = network(**arguments), clips()
    before = logits(model, batch)
    windowed = meaning(arguments)["variant"] == "IV"
    for order, within in (([1, 0, 2, 3], True), ([2, 3, 1, 0], True), ([2, 1, 0, 3], False)):
        permuted = {name: x[:, order] for name, x in batch.items()}
        assert moved(logits(model, permuted), before)
        other = network(**arguments)
        for table in other.time_embed.values():
            table.data[:T] = table.data[order]
        assert moved(logits(other, permuted), before) == (windowed and not within)


def permute_places(frames: Tensor, order: list[int]) -> Tensor:
    patches = frames.unflatten(-1, (SIDE, P)).unflatten(-3, (SIDE, P)).transpose(-3, -2).flatten(-4, -3)
    return patches[..., order, :, :].unflatten(-3, (SIDE, SIDE)).transpose(-3, -2).flatten(-4, -3).flatten(-2)


@every_case
def test_places_have_no_order_but_that_of_their_positions(arguments: dict[str, Any]) -> None:
    model, batch = network(**arguments), clips()
    before, order = logits(model, batch), [5, 1, 2, 14, 4, 0, 6, 7, 8, 9, 10, 11, 12, 13, 3, 15]
    permuted = {name: permute_places(x, order) if name in CHANNELS else x for name, x in batch.items()}
    assert moved(logits(model, permuted), before)
    other = network(**arguments)
    for table in other.pos_embed.values():
        table.data = table.data[order]
    assert moved(logits(other, permuted), before) == (meaning(arguments)["variant"] == "IV")  # windows, convolution


@pytest.mark.parametrize("label", ["I", "II", "TMS", "co", "shift_merge", "IV"])
@torch.no_grad()
def test_only_shift_merge_knows_which_modality_is_which(label: str) -> None:
    torch.manual_seed(3)
    cls, x = torch.randn(1, 1, 1, 1, D, dtype=torch.float64), torch.randn(1, T, 4, N, D, dtype=torch.float64)
    block, order = network(**CASES[label]).blocks[0], [2, 0, 3, 1]
    after_cls, after = block(cls, x)
    permuted_cls, permuted = block(cls, x[:, :, order])
    assert moved(permuted, after[:, :, order]) == (label == "shift_merge")
    assert moved(permuted_cls, after_cls) == (label == "shift_merge")


# ---- gradients, batches, stochastic depth ------------------------------------------------------------------------


@every_case
def test_gradients_reach_everything_that_can_reach_the_logits(arguments: dict[str, Any]) -> None:
    model = network(**arguments)
    nn.functional.cross_entropy(model(clips(2)), torch.tensor([1, 4])).backward()
    steps = [name for name, _ in model.blocks[1].named_children()]
    behind = steps[max(i for i, name in enumerate(steps) if name in ("joint", "space")) + 1 :]
    dead = tuple(f"blocks.1.{name}." for name in behind if name != "mlp")
    for key, parameter in model.named_parameters():
        if key.startswith(dead):
            assert parameter.grad is None, key
        elif not key.endswith(".k.bias"):  # adds the same to all scores of a softmax
            assert parameter.grad is not None and parameter.grad.abs().max() > 1e-9, key
    for table in model.time_embed.values():
        assert table.grad[:T].any(dim=1).all() and not table.grad[T:].any()


@every_case
def test_clips_of_a_batch_do_not_see_each_other(arguments: dict[str, Any]) -> None:
    model, batch = network(**arguments), clips(3)
    before = logits(model, batch)
    for x in batch.values():
        x[1] = float("nan")
    after = logits(model, batch)
    assert torch.equal(after[[0, 2]], before[[0, 2]]) and after[1].isnan().all()


@torch.no_grad()
def test_stochastic_depth_drops_a_step_for_all_tokens_of_a_clip() -> None:
    torch.manual_seed(0)
    block = Block({"mlp": MLP(D, hidden=6)}, drop_path=0.25)
    cls, x = torch.randn(64, 1, 1, 1, D), torch.randn(64, 2, 3, 4, D)
    block.eval()
    cls_whole, whole = block(cls, x)
    block.train()
    cls_some, some = block(cls, x)
    dropped = (some == x).flatten(1).all(dim=1)
    assert 4 < dropped.sum() < 28 and torch.equal((cls_some == cls).flatten(1).all(dim=1), dropped)
    torch.testing.assert_close((some - x)[~dropped] * 0.75, (whole - x)[~dropped])
    torch.testing.assert_close((cls_some - cls)[~dropped] * 0.75, (cls_whole - cls)[~dropped])


def test_the_rate_of_stochastic_depth_grows_to_the_last_block() -> None:
    model = build("mmvit", **{**SIZES, "depth": 3, "drop_path": 0.2})
    assert [block.drop_path for block in model.blocks] == [0.0, 0.1, 0.2]


# ---- starting as a ViT -------------------------------------------------------------------------------------------


def from_vit(source: dict[str, Tensor], model: Any, *, cross_modal: str) -> None:
    """What the head of vtbench/models/weights/mmvit.py says about the weights of a ViT."""
    state = {"cls_token": source["cls_token"] + source["pos_embed"][:, :1]}
    for name in model.pos_embed:
        state[f"pos_embed.{name}"] = source["pos_embed"][0, 1:]
        for kind in ("weight", "bias"):
            state[f"patch_embed.{name}.{kind}"] = source[f"patch_embed.proj.{kind}"]
    for key, value in source.items():
        if not (found := re.match(r"blocks\.(\d+)\.(.*)\.(weight|bias)", key)):
            continue
        block, what, kind = found.groups()
        for step in ("joint", "space", "time", "modality"):
            if not hasattr(model.blocks[0], step):
                continue
            values_only = step == "modality" and cross_modal == "shift_merge"
            if what == "norm1":
                state[f"blocks.{block}.{step}.norm.{kind}"] = value
            elif what == "attn.proj":
                state[f"blocks.{block}.{step}.proj.{kind}"] = value
            elif what == "attn.qkv":
                for letter, part in zip("qkv", value.chunk(3), strict=True):
                    if letter == "v" or not values_only:
                        state[f"blocks.{block}.{step}.{letter}.{kind}"] = part
        if what.startswith("mlp") or what == "norm2":
            state[f"blocks.{block}.{what.replace('norm2', 'mlp.norm')}.{kind}"] = value
    state |= {key: source[key] for key in source if key.startswith(("norm.", "head."))}
    result = model.load_state_dict(state, strict=False)
    new = r"time_embed\.|blocks\.\d+\.(time|modality)\.fc\.|blocks\.\d+\.modality\.merged_norm\.|blocks\.\d+\.conv\."
    assert not result.unexpected_keys and all(re.match(new, key) for key in result.missing_keys)


@pytest.mark.parametrize("label", ["I", "II", "TMS", "SMT", "co", "shift_merge"])
def test_with_the_weights_of_a_vit_a_network_starts_as_that_vit(label: str) -> None:
    sizes = {key: SIZES[key] for key in ("num_classes", "img_size", "patch_size", "embed_dim", "depth", "num_heads")}
    torch.manual_seed(0)
    backbone = build("vit", **sizes, num_frames=1).double().eval()
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.normal_(std=0.4)
    picture = torch.randn(2, 1, 3, SIDE * P, SIDE * P, dtype=torch.float64)
    expected = logits(backbone, picture)

    alone = {"num_frames": 1, "modalities": ("iframe",)} if label in ("I", "II") else {}  # or modalities mix at once
    arguments = {**SIZES, "mlp_ratio": 4.0, "modalities": ("iframe", "residual"), **CASES[label], **alone}
    model = build("mmvit", **arguments).double().eval()
    from_vit(backbone.state_dict(), model, cross_modal=meaning(CASES[label])["cross_modal"])
    still = picture.expand(-1, model.config.num_frames, -1, -1, -1)
    close(logits(model, dict.fromkeys(model.config.modalities, still)), expected)


# ---- the paper's figures -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "params", "tmacs"),
    [
        ({"variant": "I"}, 87.231744, 1.2606),
        ({"variant": "II"}, 122.685696, 0.8520),
        ({}, 158.139648, 1.0043),  # printed: 0.82
        ({"cross_modal": "co"}, 158.139648, 1.0043),  # printed: 0.82
        ({"cross_modal": "shift_merge"}, 143.983872, 0.9151),  # printed: 0.78
        ({"variant": "IV"}, 158.600448, 0.9924),  # printed: 0.72
        ({"modalities": VISUAL}, None, 0.7538),
        ({"modalities": VISUAL, "num_frames": 16}, None, 1.5089),
    ],
    ids=["I", "II", "III", "co", "shift_merge", "IV", "visual", "visual-16"],
)
def test_parameters_without_the_head_and_multiply_accumulates(
    arguments: dict[str, Any], params: float | None, tmacs: float
) -> None:
    with torch.device("meta"):
        model = build("mmvit", **{"num_classes": 101, "num_frames": 8, **arguments}).eval()
        clip = {
            name: torch.empty(1, model.config.num_frames, *((CHANNELS[name], 224, 224) if name in CHANNELS else (128,)))
            for name in model.config.modalities
        }
    if params is not None:
        assert count_params(model)["no_head"] == round(params * 1e6)
    counter = FlopCounterMode(display=False)
    with torch.inference_mode(), counter:
        model(clip)
    assert round(counter.get_total_flops() / 2e12, 4) == tmacs


# ---- bad arguments, bad input ------------------------------------------------------------------------------------


def test_defaults_are_the_networks_of_table_1() -> None:
    defaults = dataclasses.asdict(MMViTConfig(num_classes=101, num_frames=8))
    assert {key: defaults[key] for key in ("img_size", "patch_size", "embed_dim", "depth", "num_heads")} == {
        "img_size": 224,
        "patch_size": 16,
        "embed_dim": 768,
        "depth": 12,
        "num_heads": 12,
    }
    assert defaults["modalities"] == MODALITIES and defaults["variant"] == "III"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"variant": "V"}, "variant is 'V', must be one of I, II, III, IV"),
        ({"cross_modal": "shift"}, "cross_modal is 'shift', must be one of merged, co, shift_merge"),
        ({"variant": "II", "cross_modal": "co"}, "cross_modal='co': belongs to the variants III and IV"),
        ({"order": "TS"}, "order='TS': must be a permutation of TMS"),
        ({"order": "TMM"}, "order='TMM': must be a permutation of TMS"),
        ({"variant": "II", "order": "TMS"}, "order='TMS': must be a permutation of TS"),
        ({"variant": "I", "order": "TS"}, "order='TS': variant I has none"),
        ({"modalities": ()}, "must be one or more of iframe, motion, residual, audio"),
        ({"modalities": ("iframe", "flow")}, "must be one or more of iframe, motion, residual, audio"),
        ({"modalities": ("motion", "iframe")}, "each once, in this order"),
        ({"modalities": ("motion", "motion")}, "each once, in this order"),
        ({"modalities": ("motion",), "cross_modal": "co"}, "needs other modalities than motion alone"),
        ({"modalities": VISUAL, "cross_modal": "shift_merge", "embed_dim": 16}, "multiple of the 3 modalities"),
        ({"num_frames": 7}, "num_frames=7: must be at most max_frames=6"),
        ({"num_frames": 3, "variant": "IV"}, "num_frames=3: must be even in variant IV"),
        ({"img_size": 6, "variant": "IV"}, "img_size=6: must be an even number of patches"),
        ({"img_size": 9}, "img_size=9: must be a multiple of patch_size=2"),
        ({"embed_dim": 13}, "embed_dim=13: must be a multiple of num_heads=2"),
        ({"depth": 0}, "depth=0: must be at least 1"),
        ({"num_frames": 0}, "num_frames=0: must be at least 1"),
        ({"audio_dim": 0}, "audio_dim=0: must be at least 1"),
        ({"drop_path": 1.0}, "drop_path=1.0: must be in [0, 1)"),
        ({"mlp_ratio": 0.0}, "mlp_ratio=0.0"),
    ],
)
def test_impossible_arguments_are_named(build_unchecked: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        build_unchecked("mmvit", **{**SIZES, **arguments})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"audio": None}, "clips of iframe, motion, residual: this network takes iframe, motion, residual, audio"),
        ({"flow": (1, T, 2, 8, 8)}, "clips of iframe, motion, residual, audio, flow"),
        ({"iframe": (1, T, 2, 8, 8)}, "iframe of shape (1, 4, 2, 8, 8): must be (1, 4, 3, 8, 8)"),
        ({"motion": (1, T, 2, 4, 8)}, "motion of shape (1, 4, 2, 4, 8): must be (1, 4, 2, 8, 8)"),
        ({"residual": (1, 3, 3, 8, 8)}, "residual of shape (1, 3, 3, 8, 8): must be (1, 4, 3, 8, 8)"),
        ({"residual": (2, T, 3, 8, 8)}, "must be (1, 4, 3, 8, 8), that is as many clips as of iframe"),
        ({"audio": (1, T, 128)}, "audio of shape (1, 4, 128): must be (1, 4, 7)"),
        ({"iframe": (T, 3, 8, 8)}, "iframe of shape (4, 3, 8, 8)"),
    ],
)
def test_clips_that_do_not_fit_are_named(change: dict[str, tuple[int, ...] | None], message: str) -> None:
    batch = {**clips(), **{name: torch.zeros(shape or 0) for name, shape in change.items()}}
    with pytest.raises(ValueError, match=re.escape(message)):
        network()({name: x for name, x in batch.items() if change.get(name, ...) is not None})


def test_a_network_without_a_modality_refuses_it() -> None:
    with pytest.raises(ValueError, match="this network takes iframe, motion, residual"):
        network(modalities=VISUAL)(clips())
