"""Weights by name: one release file each, held to the checksum in its name. No test uses a network."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from vtbench.errors import WeightsError
from vtbench.papers.releases import releases
from vtbench.papers.resolve import weight_names
from vtbench.weights import hosted_file, hub

CONTENT = b"weights"
CHECKSUM = hashlib.sha256(CONTENT).hexdigest()[:8]


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A release of one file, to be fetched from a file: URL; torch's hub folder is `hub` below tmp_path."""
    path = tmp_path / "release" / f"net-{CHECKSUM}.pth"
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    monkeypatch.setattr(hub.torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    return path


def fetch(release: Path) -> Path:
    return hosted_file("net", release.as_uri(), CHECKSUM)


def test_every_name_that_a_row_starts_from_says_where_its_file_is() -> None:
    known = releases()
    assert set(weight_names()) == set(known)
    assert all(release.url for release in known.values())
    for release in known.values():
        if release.sha256:
            assert release.url and release.url.endswith(f"-{release.sha256}.pth")


def test_a_file_is_downloaded_once(release: Path) -> None:
    path = fetch(release)
    assert path.read_bytes() == CONTENT and path.parent.name == "checkpoints"
    release.unlink()
    assert fetch(release) == path


def test_what_has_another_checksum_is_not_used(release: Path) -> None:
    release.write_bytes(b"something else")
    with pytest.raises(WeightsError, match=rf"expected \"{CHECKSUM}\".*--weights net=FILE"):
        fetch(release)
    release.write_bytes(CONTENT)
    path = fetch(release)
    path.write_bytes(CONTENT[:3])
    with pytest.raises(WeightsError, match=rf"{path}: has SHA-256 .*, not {CHECKSUM}\.\.\.; remove it"):
        fetch(release)


def test_without_a_network_the_message_says_what_to_do(release: Path) -> None:
    release.unlink()
    with pytest.raises(
        WeightsError, match=r"'net' cannot be downloaded: .*download .*elsewhere and give --weights net=FILE"
    ):
        fetch(release)
