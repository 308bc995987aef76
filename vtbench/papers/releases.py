"""The files that names of weights stand for, as the papers say."""

from __future__ import annotations

from vtbench.errors import SpecError
from vtbench.papers.roots import papers
from vtbench.papers.spec.schema import Release
from vtbench.papers.spec.tables import read_about


def releases() -> dict[str, Release]:
    """Name of weights -> its release, of all papers. Raises SpecError where two papers have different files for one
    name."""
    found: dict[str, tuple[str, Release]] = {}
    for paper, (_, folder) in papers().items():
        about = read_about(folder)[0]
        for name, release in (about.weights if about else {}).items():
            other, known = found.setdefault(name, (paper, release))
            if (known.url, known.sha256) != (release.url, release.sha256):
                raise SpecError(
                    f"the weights '{name}' are another file in {paper} than in {other}; give one of them another name"
                )
    return {name: release for name, (_, release) in found.items()}


def other_release(name: str, sha256: str) -> str | None:
    """The first 8 digits of the SHA-256 of the release that a name of weights stands for, where `sha256` is another;
    None where it is that one, and where none is published."""
    release = releases().get(name)
    wanted = release.sha256 if release else None
    return wanted[:8] if wanted and not sha256.startswith(wanted) else None
