"""Programs that stand for SLURM's: they keep what they were given, and answer what a test wants."""

from __future__ import annotations

import shutil
from pathlib import Path

SBATCH = """\
#!/bin/sh
case "$1" in --help) cat "{folder}/help"; exit 0;; esac
if [ -s "{folder}/refusal" ]; then cat "{folder}/refusal" >&2; exit 1; fi
number=$(($(cat "{folder}/number") + 1))
echo $number > "{folder}/number"
cp "$1" "{folder}/script-$number"
echo "Submitted batch job $number"
"""
ANSWER = """\
#!/bin/sh
echo "$0 $*" >> "{folder}/calls"
if [ -e "{folder}/{name}" ]; then cat "{folder}/{name}"; fi
"""


class FakeSlurm:
    """A folder of programs for the PATH."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "bin"
        self.bin.mkdir(parents=True)
        for name in ("cat", "cp"):
            (self.bin / name).symlink_to(shutil.which(name) or name)
        self._program("sbatch", SBATCH)
        for name in ("srun", "squeue", "scontrol", "scancel", "sacct"):
            self._program(name, ANSWER)
        (folder / "number").write_text("0")
        (folder / "help").write_text(
            "  --hint=type  --exclusive[=user]  --reservation=name  --dependency=type  --cpus-per-gpu=n\n"
        )
        self.queue("")

    def _program(self, name: str, text: str) -> None:
        path = self.bin / name
        path.write_text(text.format(folder=self.folder, name=name))
        path.chmod(0o755)

    def remove(self, name: str) -> None:
        """As where SLURM is not installed."""
        (self.bin / name).unlink()

    def refuse(self, text: str) -> None:
        """Have sbatch fail with this text."""
        (self.folder / "refusal").write_text(text)

    def queue(self, text: str) -> None:
        """What squeue answers: lines of id, state, node, reason and time, between bars."""
        (self.folder / "squeue").write_text(text)

    def job(self, text: str) -> None:
        """What `scontrol show job` answers."""
        (self.folder / "scontrol").write_text(text)

    @property
    def scripts(self) -> list[str]:
        """The scripts that were submitted."""
        return [path.read_text() for path in sorted(self.folder.glob("script-*"))]

    def calls(self, name: str) -> list[str]:
        """The arguments of the calls of a program."""
        file = self.folder / "calls"
        lines = file.read_text().splitlines() if file.exists() else []
        return [line.partition(" ")[2] for line in lines if line.partition(" ")[0].endswith(f"/{name}")]
