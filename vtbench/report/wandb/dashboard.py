"""A workspace and a report on Weights & Biases, of rows at one scale: a section per printed table.

Each section has the table (printed, measured, what has to be said), the measured numbers over the rows with the printed
ones as a line of reference, and both as bars. The panels draw what `content` logs under the table's name, so they show
runs of that table alone. Built from specs and results, with wandb-workspaces (`pip install vtbench[dashboard]`); only
`publish` needs a login.
"""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vtbench.errors import RunError, UsageError, first_line
from vtbench.papers.load import load_paper
from vtbench.papers.spec.schema import Row, Table
from vtbench.report.compare import Comparison, compare_rows
from vtbench.report.report import report
from vtbench.report.wandb.content import table_keys
from vtbench.report.wandb.session import quiet
from vtbench.report.wandb.target import Target, wandb_folder
from vtbench.results import folders
from vtbench.results.store import Store
from vtbench.scales import Scale

MAX_RUNS = 500
"""Runs that a panel draws; W&B's default of 10 would leave out most of a table."""

BY_STEP = ("loss", "top1", "lr", "grad_norm", "clips_per_s", "data_wait", "memory_gb", "remaining_s")
BY_EPOCH = ("train_loss", "train_top1", "val_top1", "epoch_s")


@dataclass(frozen=True)
class Section:
    """One printed table."""

    title: str
    """As paper/table."""
    scale: Scale
    caption: str
    text: str
    """The table in Markdown: printed and measured numbers, and what has to be said."""
    metrics: tuple[str, ...]
    """The measured metrics, by the names under which the rows print them; those that are printed first."""
    printed: frozenset[str]
    """Those of `metrics` that any row prints."""
    trainings: tuple[str, ...]
    """Keys of the training runs behind it."""


def sections(rows: Sequence[Row], results: Path, scale: Scale) -> list[Section]:
    """One per table of the rows that has results at the scale. Raises UsageError if none has."""
    tables: dict[str, list[Row]] = {}
    for row in rows:
        tables.setdefault(f"{row.paper}/{row.table}", []).append(row)
    store, found = Store(results), []
    for title, members in tables.items():
        comparisons = compare_rows(members, store, scale)
        if any(comparison.counted for comparison in comparisons):
            found.append(_section(title, members, comparisons, results, scale))
    if not found:
        raise UsageError(f"{store.path} has no results of these rows at {scale} scale; `vtbench run` makes some")
    return found


def _section(
    title: str, rows: Sequence[Row], comparisons: Sequence[Comparison], results: Path, scale: Scale
) -> Section:
    measured = dict.fromkeys(name for comparison in comparisons for name in comparison.measured)
    printed = frozenset(name for name in measured for row in rows if name in row.published)
    return Section(
        title,
        scale,
        _table(rows[0]).caption,
        report(rows, results, scale, "md"),
        tuple(sorted(measured, key=lambda name: name not in printed)),
        printed,
        tuple(dict.fromkeys(record.training_key for comparison in comparisons for record in comparison.counted)),
    )


def _table(row: Row) -> Table:
    return next(table for table in load_paper(row.paper).tables if table.name == row.table)


# ---- objects of wandb-workspaces -------------------------------------------------------------------------------------


def _library() -> tuple[Any, Any]:
    """The modules `workspaces` and `reports.v2` of wandb-workspaces."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of pydantic, about how it is written
            import wandb_workspaces.reports.v2 as reports
            import wandb_workspaces.workspaces as workspaces
    except ModuleNotFoundError as error:
        raise UsageError(f"the dashboard needs the package {error.name}: pip install wandb-workspaces") from error
    return workspaces, reports


def build_workspace(found: Sequence[Section], target: Target) -> Any:
    """The workspace, of all runs at the scale."""
    workspaces, reports = _library()
    made = []
    for one in found:
        text = reports.MarkdownPanel(markdown=one.text, layout=reports.Layout(w=24, h=12))
        made.append(workspaces.Section(name=one.title, panels=[text, *_panels(one)], is_open=True))
    made += [
        workspaces.Section(name="training runs, by epoch", panels=_curves("", BY_EPOCH, "epoch")),
        workspaces.Section(name="training runs, by step", panels=_curves("step/", BY_STEP, "trainer/global_step")),
    ]
    return workspaces.Workspace(
        name=f"vtbench at {found[0].scale} scale",
        entity=target.entity or "",
        project=target.project,
        sections=made,
        settings=workspaces.WorkspaceSettings(max_runs=MAX_RUNS),
        runset_settings=workspaces.RunsetSettings(filters=workspaces.And(workspaces.Config("scale") == found[0].scale)),
    )


def build_report(found: Sequence[Section], target: Target, *, place: bool = True) -> Any:
    """The report. `place` says in every set of runs which project it is of, which W&B looks up when it is written."""
    workspaces, reports = _library()
    config, metric, together = workspaces.Config, workspaces.Metric, workspaces.And
    where = {"entity": target.entity or "", "project": target.project} if place else {}
    blocks: list[Any] = [reports.TableOfContents()]
    for one in found:
        paper, _, table = one.title.partition("/")
        of_table = together(config("paper") == paper, config("table") == table, config("scale") == one.scale)
        behind = together(metric("JobType") == "train", config("training_key").isin(list(one.trainings)))
        blocks += [
            reports.H1(text=one.title),
            reports.P(text=one.caption),
            reports.MarkdownBlock(text=one.text),
            reports.PanelGrid(runsets=[reports.Runset(name=one.title, filters=of_table, **where)], panels=_panels(one)),
            reports.PanelGrid(
                runsets=[reports.Runset(name=f"training runs of {one.title}", filters=behind, **where)],
                panels=_curves("", BY_EPOCH, "epoch") + _curves("step/", BY_STEP[:4], "trainer/global_step"),
            ),
        ]
    return reports.Report(
        project=target.project,
        entity=target.entity or "",
        title=f"vtbench at {found[0].scale} scale",  # part of its address, so without a slash
        description="Printed and measured numbers, by vtbench.",
        blocks=blocks,
        width="fluid",
    )


def _panels(section: Section) -> list[Any]:
    """For each metric a line over the rows, in printed order, with the printed numbers beside it, and bars."""
    _, reports = _library()
    warning = "" if section.scale == "paper" else f" (NOT COMPARABLE: {section.scale} scale)"
    panels = []
    for name in section.metrics:
        keys = table_keys(section.title, name)
        drawn = list(keys) if name in section.printed else [keys[0]]
        title = f"{section.title}: {name}{' and as printed' if name in section.printed else ''}{warning}"
        common = {"groupby_aggfunc": "mean", "groupby_rangefunc": "minmax", "max_runs_to_show": MAX_RUNS}
        panels += [
            reports.LinePlot(
                title=f"{title}, rows in printed order",
                x="row_number",
                y=drawn,
                groupby="Group",
                layout=reports.Layout(w=12, h=8),
                **common,
            ),
            reports.BarPlot(
                title=f"{title}, by row",
                metrics=drawn,
                groupby=reports.Config("row"),
                layout=reports.Layout(x=12, w=12, h=8),
                **common,
            ),
        ]
    return panels


def _curves(prefix: str, names: Sequence[str], x: str) -> list[Any]:
    _, reports = _library()
    return [
        reports.LinePlot(title=f"{prefix}{name}", x=x, y=[f"{prefix}{name}"], max_runs_to_show=MAX_RUNS)
        for name in names
    ]


# ---- written ---------------------------------------------------------------------------------------------------------


def specification(found: Sequence[Section], target: Target) -> str:
    """Workspace and report as JSON, in the form in which W&B keeps them. Needs no login and no network."""
    views = {
        "workspace": build_workspace(found, target),
        "report": build_report(found, target, place=False),
    }
    content = {
        name: view._to_model().spec.model_dump(mode="json", by_alias=True, exclude_none=True)
        for name, view in views.items()
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def publish(found: Sequence[Section], target: Target, results: Path) -> dict[str, str]:
    """Make the workspace and the report, or bring those up to date that were made from this folder of results before;
    gives their addresses, by `workspace` and `report`. Raises RunError where W&B refuses."""
    workspaces, reports = _library()
    memory = wandb_folder(results) / "dashboards.json"
    before: dict[str, str] = folders.read_json(memory) if memory.exists() else {}
    slot = f"of {target.entity or ''}/{target.project} at {found[0].scale} scale"
    views = {
        "workspace": (build_workspace, workspaces.Workspace, ("name", "sections", "settings", "runset_settings")),
        "report": (build_report, reports.Report, ("title", "description", "blocks", "width")),
    }
    made = {}
    for name, (build, kind, parts) in views.items():
        try:
            with quiet():
                made[name] = _save(build(found, target), kind, before.get(f"{name} {slot}"), parts)
        except Exception as error:
            raise RunError(f"W&B {target.title} refuses the {name}: {first_line(error)}") from error
        before[f"{name} {slot}"] = made[name]
        folders.write_json(memory, before)
    return made


def _save(view: Any, kind: Any, url: str | None, parts: Sequence[str]) -> str:
    """Save a view; in place of the one at `url`, if that is still there. Gives its address."""
    if url is not None:
        with contextlib.suppress(Exception):  # it was deleted
            there = kind.from_url(url)
            for part in parts:
                setattr(there, part, getattr(view, part))
            view = there
    view.save()
    return str(view.url)
