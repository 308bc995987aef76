"""Weights by name: one release file each, held to the checksum in its name. No test uses a network."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from vtbench.errors import WeightsError
from vtbench.weights import HOSTED, hosted_file, hub

CONTENT = b"weights"
CHECKSUM = hashlib.sha256(CONTENT).hexdigest()[:8]


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A release of one file that HOSTED names, as a file: URL; torch's hub folder is `hub` below tmp_path."""
    path = tmp_path / "release" / f"net-{CHECKSUM}.pth"
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    monkeypatch.setitem(HOSTED, "net", path.as_uri())
    monkeypatch.setattr(hub.torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    return path


def test_every_name_has_a_release_and_a_checksum() -> None:
    hosts = r"https://(github\.com/.+/releases/download/v[^/]+|dl\.fbaipublicfiles\.com/deit)"
    for name, url in HOSTED.items():
        assert re.fullmatch(rf"{hosts}/[\w.-]+-[0-9a-f]{{8}}\.pth", url), name


def test_a_file_is_downloaded_once(release: Path) -> None:
    path = hosted_file("net")
    assert path.read_bytes() == CONTENT and path.parent.name == "checkpoints"
    release.unlink()
    assert hosted_file("net") == path


def test_what_has_another_checksum_is_not_used(release: Path) -> None:
    release.write_bytes(b"something else")
    with pytest.raises(WeightsError, match=rf"expected \"{CHECKSUM}\".*--weights net=FILE"):
        hosted_file("net")
    release.write_bytes(CONTENT)
    path = hosted_file("net")
    path.write_bytes(CONTENT[:3])
    with pytest.raises(WeightsError, match=rf"{path}: has SHA-256 .*, not {CHECKSUM}\.\.\.; remove it"):
        hosted_file("net")


def test_without_a_network_the_message_says_what_to_do(release: Path) -> None:
    release.unlink()
    with pytest.raises(
        WeightsError, match=r"'net' cannot be downloaded: .*download .*elsewhere and give --weights net=FILE"
    ):
        hosted_file("net")
