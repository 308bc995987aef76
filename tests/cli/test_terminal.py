"""What commands print in terminals of several widths and into a pipe, and what goes through the pager."""

from __future__ import annotations

import contextlib
import functools
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from fcntl import ioctl
from pathlib import Path
from types import SimpleNamespace

import pytest

import vtbench
from vtbench.cli import main
from vtbench.papers import roots, select
from vtbench.papers.check import check
from vtbench.report.machines.devices import DEVICES
from vtbench.results.store import SpeedStore
from vtbench.run.measuring import cost, speed

REPOSITORY = Path(vtbench.__file__).parent.parent
RESULTS = ("--results", str(REPOSITORY / "results"))
Capture = pytest.CaptureFixture[str]

COMMANDS = [
    ("list", *RESULTS),
    ("list", "pst/table3", "msca/table1", "laps/table1"),
    ("plan", "msca/table3", *RESULTS),
    ("plan", "pst/table2a", "msca/table1", "--device", "a100"),
    ("cost", "laps/table1:laps"),
    ("show", "pst/table3:pst-t-in1k-1x1@sthv1"),
    ("show", "msca/table1:vit", "laps/table4:i3d"),
    ("diff", "laps/table1:laps", "--variant", "official-code"),
    ("diff", "pst/table3:pst-t-in1k-1x1@sthv1", "laps/table1:laps"),
    ("decisions", "laps"),
    ("check", "msca"),
    ("report", "pst/table6", *RESULTS),
    ("speed", "pst/table6", *RESULTS),
]


counted = functools.cache(lambda count, ids, scale: count(select(ids), scale))
checked = functools.cache(check)
GROWTH = {"attention": "divided", "measured": "N^2 T + N T^2", "printed": "SA-Complexity O(N^2T + T^2N)"}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`speed` finds what is recorded of the CPU, in place of measuring for minutes; the others count and check once."""
    monkeypatch.chdir(tmp_path)
    lines = [line for line in SpeedStore(REPOSITORY / "results").read() if line.device == "cpu"]
    outcome = SimpleNamespace(written=lines, notes=[], failed=[])
    monkeypatch.setattr(speed, "measure_speed", lambda *_, **__: outcome)
    count = cost.cost
    monkeypatch.setattr(cost, "cost", lambda rows, scale: counted(count, tuple(row.id for row in rows), scale))
    monkeypatch.setattr(cost, "complexity", lambda rows: [{"id": row.id, **GROWTH} for row in rows])
    monkeypatch.setattr("vtbench.papers.check.check", checked)


def output(capsys: Capture, *command: str, code: int = 0) -> str:
    assert main(command) == code
    return capsys.readouterr().out


def hidden_names(text: str) -> list[str]:
    """The columns that notes name as hidden."""
    found = re.findall(r"(\d+) columns? hidden: (.*?); --format \w+ has all", " ".join(text.split()))
    for count, names in found:
        assert int(count) == len(names.split(", "))
    return [name for _, names in found for name in names.split(", ")]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_command_fits_its_width_and_breaks_no_word(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    everything = output(capsys, *command)
    assert "hidden" not in everything
    for width in (40, 80, 120, 200):
        monkeypatch.setenv("COLUMNS", str(width))
        text = output(capsys, *command)
        assert max(map(len, text.splitlines())) <= width
        if width >= 80:
            notes = r"\d+ (columns?|URLs?)( of public code)? hidden.*?has\s+all"
            words = set(re.sub(notes, "", text, flags=re.S).split())
            assert {word for word in words if not set(word) <= {"─"}} - set(everything.split()) <= {
                "A",
                "A:",
                "B",
                "B:",
            }
        assert len(text.split()) > 20


@pytest.mark.parametrize(
    ("command", "columns"),
    [
        (("list", *RESULTS), ["table", "rows", "own", "runs", "mini", "caption"]),
        (("plan", "msca/table3", *RESULTS), ["state", "training", "title", "seed", "needs", "gmacs", "seconds"]),
        (("cost", "laps/table1:laps"), ["id", "params_m", "gmacs fvcore", "gmacs matmul", "gmacs thop", "printed"]),
    ],
    ids=["list", "plan", "cost"],
)
@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_every_column_is_shown_or_named_as_hidden(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], columns: list[str], width: int
) -> None:
    monkeypatch.setattr(cost, "complexity", lambda rows: [])
    monkeypatch.setenv("COLUMNS", str(width))
    text = output(capsys, *command)
    shown = re.split(r"\s{3,}", text.splitlines()[0].strip())
    hidden = hidden_names(text)
    assert sorted([*shown, *hidden]) == sorted(columns)
    assert shown[0] == columns[0]
    assert bool(hidden) == (width < {"list": 61, "plan": 90, "cost": 110}[command[0]])


def test_the_columns_of_a_printed_table_are_those_of_list(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = output(capsys, "list", "pst/table3")
    assert text.startswith("pst/table3: Comparisons with the other methods")
    assert hidden_names(text) == [
        *("printed Pretrain", "printed Crops x Clips", "printed FLOPs", "printed Params"),
        *("printed Sthv1 Top-5", "printed Sthv2 Top-5", "counted gflops", "counted params_m"),
        *("status", "training runs"),
    ]
    (row,) = (line.split() for line in text.splitlines() if line.startswith("pst/table3:tdn "))
    assert row == ["pst/table3:tdn", "TDN", "[38]", "53.9", "65.3"]


def test_urls_that_are_longer_than_a_line_are_hidden_and_counted(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("show", "msca/table2:msca-kv")
    monkeypatch.delenv("COLUMNS", raising=False)
    count = output(capsys, *command).count("https://github.com")
    assert count > 5
    monkeypatch.setenv("COLUMNS", "80")
    text = output(capsys, *command)
    assert "https://" not in text
    assert f"{count} URLs of public code hidden: longer than a line; --format json has all" in text


# ---- which rows, at which scale --------------------------------------------------------------------------------------


def test_list_without_rows_has_a_line_per_table_and_the_scales_with_results(capsys: Capture) -> None:
    lines = output(capsys, "list", *RESULTS).splitlines()
    assert lines[0].split() == ["table", "rows", "own", "runs", "mini", "caption"]
    (line,) = (line for line in lines if line.startswith("laps/table4 "))
    assert line.split()[:5] == ["laps/table4", "28", "4", "4", "4/4"]
    assert "28 tables, 253 rows; runs: distinct training runs at paper scale, 156 in all; mini: rows with" in lines[-2]


def test_stale_results_are_not_counted_by_list(capsys: Capture, tmp_path: Path) -> None:
    header, *lines = (REPOSITORY / "results" / "results.csv").read_text().splitlines(keepends=True)
    key = header.split(",").index("evaluation_key")
    kept = [line for line in lines if line.startswith(("msca/table1:vit,", "msca/table1:msca-kv-2,"))]
    stale = [",".join([*line.split(",")[:key], "0" * 12, *line.split(",")[key + 1 :]]) for line in kept[:1]]
    current = [line for line in kept if line.startswith("msca/table1:msca-kv-2,")]
    (tmp_path / "results.csv").write_text(header + "".join([*stale, *current]))
    (line,) = (
        line
        for line in output(capsys, "list", "--results", str(tmp_path)).splitlines()
        if line.startswith("msca/table1 ")
    )
    assert line.split()[4] == "1/5"


def test_list_without_results_lists_no_scale(capsys: Capture) -> None:
    lines = output(capsys, "list").splitlines()
    assert lines[0].split() == ["table", "rows", "own", "runs", "caption"]
    assert lines[-2].endswith("; no results yet")


def test_check_lists_no_scale_without_training_runs(capsys: Capture, include: object) -> None:
    outside = str(REPOSITORY / "tests" / "outside" / "frameflip")
    text = output(capsys, "check", "frameflip", "--include", outside)
    assert re.search(r"frameflip: .*; training runs: 2 at paper, .* at smoke scale: ok", text)
    assert " at lab" not in text


@pytest.mark.parametrize("command", ["list", "cost", "decisions", "check"])
def test_all_is_every_row(capsys: Capture, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.setattr(cost, "cost", lambda rows, scale: [{"id": row.id} for row in rows])
    monkeypatch.setattr(cost, "complexity", lambda rows: [])
    monkeypatch.setattr("vtbench.papers.check.check", lambda name: (None, [f"{name} was checked"]))
    code = 2 if command == "check" else 0
    everything = output(capsys, command, "--format", "json", code=code)
    assert output(capsys, command, "all", "--format", "json", code=code) == everything
    assert output(capsys, command, "msca", "all", "--format", "json", code=code) == everything


def test_all_takes_a_measurement(capsys: Capture) -> None:
    text = output(capsys, "list", "all@sthv2", "--format", "csv")
    assert {line.partition("/")[0] for line in text.splitlines()[1:]} == {"mmvit", "pst"}
    assert main(["list", "all@sthv9"]) == 2
    assert "no measurement 'all@sthv9'; did you mean 'all@sthv" in capsys.readouterr().err


SAYS = {
    "list": "at paper scale",
    "plan": "at mini scale",
    "cost": "at paper scale",
    "show": "paper scale, and what differs at mini scale",
    "diff": "at paper scale",
    "report": "at mini scale",
    "speed": "paper scale: ",
}


@pytest.mark.parametrize("command", [one for one in COMMANDS if one[0] in SAYS], ids=" ".join)
def test_every_output_says_its_scale_in_its_first_or_last_lines(capsys: Capture, command: tuple[str, ...]) -> None:
    lines = [line for line in output(capsys, *command).splitlines() if line.strip()]
    said = "at paper scale" if "--device" in command else SAYS[command[0]]
    # Below the counts of plan stand what is in the way and hours.
    assert any(said in line for line in [lines[0], *lines[-10:]])


# ---- a real terminal -------------------------------------------------------------------------------------------------


def on_terminal(*command: str, width: int = 80, height: int = 24, typed: bytes = b"", **variables: str) -> str:
    """What a command writes to a terminal of this size."""
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    environment |= {"TERM": "xterm", "PYTHONPATH": str(REPOSITORY), **variables}
    terminal, inside = pty.openpty()
    ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
    arguments = [sys.executable, "-m", "vtbench", *command]
    with subprocess.Popen(arguments, env=environment, stdin=inside, stdout=inside, stderr=inside) as process:
        os.close(inside)
        os.write(terminal, typed)
        written = b""
        with contextlib.suppress(OSError):  # the other side is closed
            while part := os.read(terminal, 4096):
                written += part
    os.close(terminal)
    return f"{written.decode().replace(chr(13), '')}[exit {process.returncode}]"


def test_a_terminal_has_its_own_width_and_colours() -> None:
    text = on_terminal("report", "laps/table1:laps", *RESULTS, PAGER="cat")
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert plain != text and max(map(len, plain.splitlines())) <= 80
    assert "columns hidden: label" in plain and plain.endswith("[exit 0]")


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_colour_and_dumb_terminals_get_no_escapes(variables: dict[str, str]) -> None:
    text = on_terminal("report", "laps/table1:laps", *RESULTS, PAGER="cat", **variables)
    assert "\x1b" not in text and "NOT COMPARABLE" in text


@pytest.mark.parametrize(
    ("command", "variables", "paged"),
    [
        (("decisions", "laps"), {"VTBENCH_PAGER": "sed s/^/paged:/"}, True),
        (("decisions", "laps"), {"PAGER": "sed s/^/paged:/"}, True),
        (("decisions", "laps"), {"PAGER": "false", "VTBENCH_PAGER": "sed s/^/paged:/"}, True),
        (("decisions", "laps"), {"PAGER": "sed s/^/paged:/", "VTBENCH_PAGER": "cat"}, False),
        (("decisions", "laps"), {"PAGER": "sed s/^/paged:/", "TERM": "dumb"}, False),
        (("decisions", "laps"), {"PAGER": ""}, False),
        (("decisions", "laps"), {"PAGER": "no-such-pager-here"}, False),
        (("decisions", "laps", "--no-pager"), {"PAGER": "sed s/^/paged:/"}, False),
        (("decisions", "laps-gpus"), {"PAGER": "sed s/^/paged:/"}, False),  # fits the screen
        (("run", "--help"), {"PAGER": "sed s/^/paged:/"}, True),
    ],
)
def test_what_is_longer_than_the_screen_goes_through_the_pager(
    command: tuple[str, ...], variables: dict[str, str], paged: bool
) -> None:
    lines = on_terminal(*command, **variables).splitlines()
    assert lines[-1] == "[exit 0]"
    assert len([line for line in lines[:-1] if line.startswith("paged:")]) == (len(lines) - 1 if paged else 0)
    assert len(lines) > 5


def test_an_error_comes_after_what_was_printed_before_it() -> None:
    text = on_terminal("show", "msca/nothing", PAGER="sed s/^/paged:/")
    assert text == "vtbench: no table 'msca/nothing'; known: table1, table2, table3, table4, table5\n[exit 2]"


def test_a_pager_that_is_left_early_is_no_error() -> None:
    assert on_terminal("show", "msca", PAGER="head -1").endswith("at mini scale)\n[exit 0]")


# ---- run without rows ------------------------------------------------------------------------------------------------


def test_run_without_rows_is_refused_where_nobody_can_be_asked(capsys: Capture) -> None:
    assert main(["run"]) == 2
    assert capsys.readouterr().err == "vtbench: run needs a selector: which rows; `all` is every row, 253 of them\n"


@pytest.mark.parametrize("answer", ["n", "", "what"])
def test_run_without_rows_asks_on_a_terminal(tmp_path: Path, answer: str) -> None:
    text = on_terminal("run", "--results", str(tmp_path / "none"), typed=f"{answer}\n".encode(), width=200)
    assert re.search(r"vtbench: \d+ distinct training runs at mini scale: 0 done, \d+ to do", text)
    assert "Run all 253 rows? [y/N] " in text
    assert text.endswith("vtbench: nothing was run\n[exit 0]")
    assert not (tmp_path / "none").exists()


def test_run_without_rows_runs_all_after_a_yes(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    from vtbench.run.jobs import launch

    asked = []
    monkeypatch.setattr(launch, "run", lambda rows, *_, **__: asked.append(rows) or launch.Outcome())
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True, readline=lambda: "Y\n"))
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert main(["run", "--scale", "smoke"]) == 0
    assert [len(rows) for rows in asked] == [253]
    assert roots.own_root().folder == REPOSITORY


# ---- the pages -------------------------------------------------------------------------------------------------------


def examples() -> list[tuple[str, str]]:
    """The commands whose output README.md and docs/running.md show, with it; not those that train, or measure time."""
    found = []
    for page in ("README.md", "docs/running.md"):
        for block in re.findall(r"^```\n(\$ vtbench .*?)^```$", (REPOSITORY / page).read_text(), re.M | re.S):
            for part in block.removeprefix("$ vtbench ").split("\n$ vtbench "):
                command, _, shown = part.partition("\n")
                if shown.strip() and command.split()[0] not in ("run", "speed"):
                    found.append((command, shown))
    return found


@pytest.mark.parametrize(("command", "shown"), examples(), ids=[command for command, _ in examples()])
def test_a_page_shows_what_the_command_prints(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, command: str, shown: str
) -> None:
    """In a pipe, or in a terminal of 120 columns."""
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setattr(cost, "complexity", lambda rows: [])
    printed = []
    for columns in ("", "120"):
        monkeypatch.setenv("COLUMNS", columns)
        printed.append(output(capsys, *command.split()).rstrip("\n"))
    assert shown.rstrip("\n") in printed


def test_the_pages_show_commands() -> None:
    assert {command.split()[0] for command, _ in examples()} == {"list", "report", "claims", "cost", "plan", "diff"}


def test_the_pages_list_the_devices() -> None:
    text = (REPOSITORY / "docs" / "running.md").read_text()
    (listed,) = re.findall(r"^- `--device NAME`: (.*?);", text, re.M | re.S)
    assert re.findall(r"`(\w+)`", listed) == list(DEVICES)
