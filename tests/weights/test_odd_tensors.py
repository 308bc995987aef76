"""Tensors that are no plain numbers, and files that would never end or fill the memory: one line, nothing copied."""

from __future__ import annotations

import os
import re
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from vtbench.errors import WeightsError, printable
from vtbench.models.vggish import VGGish
from vtbench.models.weights.vggish import load_vggish
from vtbench.weights import load_weights, read, sha256_of
from vtbench.weights.load import read_state
from vtbench.weights.read import read_file


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(3, 2))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))


ODD: dict[str, tuple[Callable[[], Tensor], str]] = {
    "sparse": (lambda: torch.eye(3, 2).to_sparse(), "weight is sparse (sparse_coo)"),
    "csr": (lambda: torch.eye(3, 2).to_sparse_csr(), "weight is sparse (sparse_csr)"),
    "meta": (lambda: torch.empty(3, 2, device="meta"), "weight has a shape and no numbers (meta)"),
    "complex": (lambda: torch.ones(3, 2, dtype=torch.complex64), "weight holds complex numbers"),
    "int8": (lambda: torch.ones(3, 2, dtype=torch.int8), "weight is int8"),
    "float8": (lambda: torch.ones(3, 2).to(torch.float8_e4m3fn), "weight is float8_e4m3fn"),
    "quantised": (lambda: torch.quantize_per_tensor(torch.ones(3, 2), 0.1, 0, torch.qint8), "weight is quantised"),
    "spread": (lambda: torch.zeros(1).expand(10**9, 2), "weight states 2000000000 numbers, which the file does not"),
    "whole numbers": (lambda: torch.ones(3, 2, dtype=torch.int64), "weight is int64, the network's is float32"),
    "true and false": (lambda: torch.ones(3, 2, dtype=torch.bool), "weight is bool, the network's is float32"),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # of torch, on old kinds
@pytest.mark.parametrize("kind", ODD)
def test_a_tensor_that_is_no_plain_numbers_is_named(kind: str, tmp_path: Path) -> None:
    make, message = ODD[kind]
    path = tmp_path / "odd.pth"
    torch.save({"weight": make(), "steps": torch.tensor(1)}, path)
    network = Small()
    with pytest.raises(WeightsError, match=re.escape(f"{path}: {message}")) as error:
        load_weights(network, path, expect_head=True)
    assert "\n" not in str(error.value)
    assert not network.weight.any() and network.steps == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_weights_of_every_precision_are_taken(dtype: torch.dtype, tmp_path: Path) -> None:
    torch.save({"weight": torch.full((3, 2), 0.5, dtype=dtype), "steps": torch.tensor(7.0)}, tmp_path / "some.pth")
    network = Small()
    load_weights(network, tmp_path / "some.pth", expect_head=True)
    assert network.weight.eq(0.5).all() and network.weight.dtype == torch.float32 and network.steps == 7


def test_an_audio_encoder_takes_no_whole_numbers(tmp_path: Path) -> None:
    with torch.device("meta"):
        shapes = VGGish(channels=(1, 1, 1, 1, 1, 1), hidden=1, embed_dim=1).state_dict()
    torch.save(
        {name: torch.ones(tensor.shape, dtype=torch.int64) for name, tensor in shapes.items()}, tmp_path / "v.pth"
    )
    with pytest.raises(WeightsError, match=r"is int64, the network's is float32"):
        load_vggish(VGGish(channels=(1, 1, 1, 1, 1, 1), hidden=1, embed_dim=1), tmp_path / "v.pth")


def test_an_archive_that_unpacks_to_far_more_than_it_is_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read, "MOST_UNPACKED", 10**6)
    for name in ("bomb.npz", "bomb.pth"):
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("archive/data.pkl", b"")
            archive.writestr("zeros.npy", bytes(3 * 10**6))
        with pytest.raises(WeightsError, match=r"it unpacks to 3 MB\); get the file again"):
            read_file(tmp_path / name)


def test_what_never_ends_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.pth")
    for path, what in (
        (tmp_path / "pipe.pth", "is a named pipe"),
        (Path("/dev/zero"), "is a device or a socket"),
        (tmp_path, "is a folder"),
        (tmp_path / "none.pth", "no such file"),
        (tmp_path / "a\0b.pth", "cannot be read: embedded null byte"),
        (tmp_path / ("a" * 300), "cannot be read: file name too long"),
    ):
        for open_ in (read_file, sha256_of):
            with pytest.raises(WeightsError, match=what):
                open_(path)


def test_a_raw_pickle_is_refused_without_a_warning(tmp_path: Path) -> None:
    (tmp_path / "raw.pth").write_bytes(b"\x80\x04K\x01.")
    (tmp_path / "cut.pth").write_bytes(b"\x80\x04\x95")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ("raw.pth", "cut.pth"):
            with pytest.raises(WeightsError, match=name):
                read_state(tmp_path / name)


def test_keys_with_escapes_are_printed_as_escapes(tmp_path: Path) -> None:
    torch.save({"a\x1b]0;title\x07\nb": torch.ones(2)}, tmp_path / "escapes.pth")
    with pytest.raises(WeightsError) as error:
        load_weights(Small(), tmp_path / "escapes.pth")
    assert r"a\x1b]0;title\x07 b" in printable(str(error.value))
