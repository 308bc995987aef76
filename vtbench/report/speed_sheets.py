"""What is shown of a printed table's latency, throughput and memory: ratios, beside those that the paper prints."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from vtbench.metrics import METRICS, is_memory, speed_metrics
from vtbench.report.columns import Column
from vtbench.report.machines.devices import DEVICES
from vtbench.report.ratios import Ratios, device_of, printed_on
from vtbench.report.sheets import Sheet
from vtbench.results.record import SpeedRecord
from vtbench.scales import SCALES

LABEL = 7
"""The rank of the labels."""


def speed_sheets(speeds: Sequence[Ratios]) -> list[Sheet]:
    """One sheet per printed table, device and precision, in the order of the rows; all of one scale. A table without
    printed ratios has none until its rows are measured."""
    tables: dict[tuple[str, str], list[Ratios]] = {}
    for speed in speeds:
        tables.setdefault((speed.row.paper, speed.row.table), []).append(speed)
    made = []
    for (paper, table), members in tables.items():
        places: list[tuple[str, str] | None] = []
        places += dict.fromkeys(place for speed in members for place in speed.measured)
        if places or any(speed.printed or speed.stale for speed in members):
            made += [_speed_sheet(f"{paper}/{table}", members, place) for place in places or [None]]
    return made


def _speed_sheet(table: str, speeds: Sequence[Ratios], place: tuple[str, str] | None) -> Sheet:
    """One table on one device at one precision; without a `place`, what the paper prints."""
    scale = speeds[0].scale
    found = {speed: speed.measured.get(place, {}) if place else {} for speed in speeds}
    lines = [line for by_metric in found.values() for line in by_metric.values()]
    shown = [speed for speed in speeds if speed.printed or found[speed]]
    over = {speed: speed.row.baseline or "" for speed in shown}
    names = sorted(set(over.values()))
    columns = [
        Column(("", "row"), 0, right=False, cells=[speed.row.name for speed in shown], holds="row"),
        Column(("", "label"), LABEL, right=False, wraps=True, cells=[speed.row.label for speed in shown]),
    ]
    if len(names) > 1:
        columns.append(Column(("", "over"), 1, right=False, cells=[over[speed] for speed in shown], holds="over"))
    printed = [metric for metric in speed_metrics() if any(metric in speed.printed for speed in shown)]
    measured = [m for m in speed_metrics() if any(line.metric == m and line.ratio is not None for line in lines)]
    # What is both printed and measured stays longest in a narrow terminal; what is only printed goes first.
    both = [metric for metric in measured if metric in printed]
    ranked = [*both, *(metric for metric in measured if metric not in printed)]
    for metric in speed_metrics():
        rank = 1 + ranked.index(metric) if metric in ranked else LABEL + (1 if ranked else -1)
        name = _without_unit(metric)
        if metric in printed:
            cells = [speed.printed[metric].text if metric in speed.printed else "" for speed in shown]
            columns.append(Column(("printed", name), rank, cells=cells, holds="printed ratio", of=metric, pair=metric))
        if metric in measured:
            cells = [_ratio_cell(found[s].get(metric)) for s in shown]
            columns.append(Column((scale, name), rank, cells=cells, holds="ratio", of=metric, pair=metric))
    machine = printed_on(table)
    notes = [
        f"measured on {_conditions(lines)}; the printed ratios are of {machine}"
        if lines
        else f"not measured: vtbench speed {table} --scale {scale}"
    ]
    warning = None if SCALES[scale].real else "NOT COMPARABLE with the printed ratios: small networks."
    if warning is None and printed and place and (on := _other_machine(place[0], table)):
        warning = f"MEASURED ON {on}, printed of {machine}: ratios may differ between kinds of machines."
    metrics = [name for name in speed_metrics() if name in {*printed, *(line.metric for line in lines)}]
    if higher := [_without_unit(name) for name in metrics if METRICS[name].higher_is_better]:
        notes.append(f"lower is better; of {' and '.join(higher)}, higher")
    for speed in speeds:
        stale = [line.metric for line in speed.stale if place in (None, (line.device, line.precision))]
        if stale:
            notes.append(
                f"{speed.row.name}: {', '.join(stale)} stale, not counted: measured before a network changed; "
                f"measure {speed.row.id} again"
            )
    return Sheet(
        title=f"{table} at {scale} scale: speed and memory, as ratios to {' or '.join(names)}"
        + (f", on {', '.join(place)}" if place else ""),
        warning=warning,
        columns=columns,
        verdicts=["" for _ in shown],
        notes=notes,
        place=place,
    )


def _other_machine(device: str, table: str) -> str | None:
    """A CPU, or a GPU of another name than the one that the paper names; else None."""
    printed = device_of(table) or device
    same = any(known.is_called(device) and known.is_called(printed) for known in DEVICES.values())
    return "A CPU" if device == "cpu" else None if same or printed in device else device


def _without_unit(metric: str) -> str:
    """A metric whose ratios are shown, in words: "train memory" of train_memory_gb."""
    return metric.rpartition("_")[0].replace("_", " ")


def _ratio_cell(line: SpeedRecord | None) -> str:
    if line is None or line.ratio is None:
        return ""
    return f"{line.ratio:.2f}" + ("" if line.ratio_q1 is None else f" ({line.ratio_q1:.2f}-{line.ratio_q3:.2f})")


def _conditions(lines: Sequence[SpeedRecord]) -> str:
    def every(values: Iterable[int]) -> str:
        return "/".join(map(str, sorted(set(values))))

    threads = every(line.threads for line in lines)
    rounds = every(line.rounds for line in lines if not is_memory(line.metric) and line.rounds > 1)
    batches = ", ".join(
        f"{metric} {every(line.batch for line in lines if line.metric == metric)}"
        for metric in speed_metrics()
        if any(line.metric == metric for line in lines)
    )
    return f"{lines[0].device}, {lines[0].precision}, threads {threads}, clips per pass: {batches}" + (
        f", rounds {rounds}: median (quartiles) of the ratios within a round" if rounds else ""
    )
