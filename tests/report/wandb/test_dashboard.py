"""The dashboard as W&B would keep it: built without login or network, and written against a stub of its API."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from records import record_of

from vtbench.cli import main
from vtbench.errors import RunError, UsageError
from vtbench.papers import measurements, select
from vtbench.report.wandb.content import evaluation_content
from vtbench.report.wandb.dashboard import publish, sections, specification
from vtbench.report.wandb.target import Target
from vtbench.results.store import Store
from vtbench.scales import Scale

TARGET = Target("online", entity="team")


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Two tables with results at paper scale, one at mini scale too."""
    store = Store(tmp_path / "results")
    scales: tuple[Scale, ...] = ("paper", "mini")
    for id, top1 in (("msca/table2:vit", 75.5), ("msca/table2:msca-kv", 76.4), ("laps/table1:laps", 76.0)):
        (row,) = select([id])
        for scale in scales:
            for m in measurements(row, scale, 0) if scale == "paper" or "table2" in id else ():
                store.append(record_of(m, top1))
    return tmp_path / "results"


def found(results: Path, scale: Scale = "paper") -> Any:
    return sections(select(["msca/table2", "laps/table1", "pst/table3"]), results, scale)


def panels_of(specification: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    bank = specification["workspace"]["section"]["panelBankConfig"]["sections"]
    return {section["name"]: section["panels"] for section in bank}


def test_a_workspace_has_a_section_for_each_table_with_results(results: Path) -> None:
    made = panels_of(json.loads(specification(found(results), TARGET)))
    assert list(made) == ["laps/table1", "msca/table2", "training runs, by epoch", "training runs, by step"]
    at_mini = panels_of(json.loads(specification(found(results, "mini"), TARGET)))
    assert [name for name in at_mini if "/" in name] == ["msca/table2"]
    assert "NOT COMPARABLE: mini scale" in at_mini["msca/table2"][1]["config"]["chartTitle"]
    assert "NOT COMPARABLE" not in json.dumps(made)


def test_a_section_has_the_printed_numbers_as_a_line_and_as_a_table(results: Path) -> None:
    text, line, bars, *_ = panels_of(json.loads(specification(found(results), TARGET)))["msca/table2"]
    assert "| msca-kv | MSCA-KV | 76.47 |" in text["config"]["value"]
    assert "76.40" in text["config"]["value"] and "-0.07" in text["config"]["value"]  # measured, and the difference
    assert line["viewType"] == "Run History Line Plot"
    assert (line["config"]["xAxis"], line["config"]["groupBy"]) == ("row_number", "group")
    assert line["config"]["metrics"] == ["msca/table2/top1", "msca/table2/top1_published"]
    assert bars["config"]["metrics"] == line["config"]["metrics"]


def test_panels_of_a_table_draw_what_its_runs_hold(results: Path) -> None:
    record = next(record for record in Store(results).read() if record.scale == "paper")
    held = set(evaluation_content(select([record.id])[0], record, results).numbers)
    made = panels_of(json.loads(specification(found(results), TARGET)))
    lines = [panel["config"] for panel in made["msca/table2"] if "xAxis" in panel["config"]]
    assert lines
    for line in lines:
        assert {line["xAxis"], *line["metrics"]} <= held


def test_the_runs_are_those_of_the_scale(results: Path) -> None:
    made = json.loads(specification(found(results), TARGET))
    (filters,) = made["workspace"]["section"]["runSets"][0]["filters"]["filters"]
    assert (filters["key"], filters["value"]) == ({"section": "config", "name": "scale"}, "paper")


def test_a_report_shows_the_runs_of_each_table_and_the_training_runs_behind_it(results: Path) -> None:
    made = json.loads(specification(found(results), TARGET))
    grids = [block["metadata"] for block in made["report"]["blocks"] if block["type"] == "panel-grid"]
    filters = [{f["key"]["name"]: f["value"] for f in grid["runSets"][0]["filters"]["filters"]} for grid in grids]
    assert filters[2] == {"paper": "msca", "table": "table2", "scale": "paper"}
    keys = {r.training_key for r in Store(results).read() if r.scale == "paper" and r.id.startswith("msca")}
    assert (filters[3]["jobType"], set(filters[3]["training_key"])) == ("train", keys)
    assert len(grids) == 4
    texts = [block["content"] for block in made["report"]["blocks"] if block["type"] == "markdown-block"]
    assert len(texts) == 2 and "printed" in texts[0]


def test_without_results_there_is_one_line(results: Path) -> None:
    with pytest.raises(UsageError, match=r"results\.csv has no results of these rows at lab scale; `vtbench run`"):
        found(results, "lab")


def test_the_command_writes_both_without_a_login(results: Path, tmp_path: Path, capsys: Any) -> None:
    file = tmp_path / "dashboard.json"
    command = f"wandb dashboard msca laps --scale paper --results {results} --output {file}"
    assert main(command.split()) == 0
    assert capsys.readouterr().out == f"{file}: workspace and report, 2 tables at paper scale\n"
    assert set(json.loads(file.read_text())) == {"workspace", "report"}


# ---- against a stub of the API ---------------------------------------------------------------------------------------


class Server:
    """As much of W&B as the dashboard needs: views that are kept, and a project."""

    def __init__(self) -> None:
        self.views: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []
        self.project = True

    def execute_graphql(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(query.split("(")[0].split()[-1])
        if "upsertView" in query:
            id = variables.get("id") or f"Vmlldzo{len(self.views)}"
            project = {"id": "1", "name": variables["projectName"], "entityName": variables["entityName"]}
            self.views[id] = {
                **{name: variables.get(name) for name in ("name", "displayName", "description", "spec")},
                "id": id,
                "type": variables["type"],
                "project": project,
            }
            return {"upsertView": {"view": self.views[id], "inserted": True}}
        if "allViews" in query:
            nodes = [view for view in self.views.values() if view["name"] == variables["viewName"]]
            return {"project": {"allViews": {"edges": [{"node": node} for node in nodes]}}}
        if "view(id" in query:
            return {"view": self.views.get(variables["reportId"])}
        assert "internalId" in query
        return {"project": {"internalId": "77"} if self.project else None}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    made = Server()

    class Api:
        default_entity = "team"

        def __init__(self, *_: Any, **__: Any) -> None:
            self._service_api = SimpleNamespace(execute_graphql=made.execute_graphql, app_url="https://wandb.ai")

        def projects(self, entity: str) -> list[Any]:
            return [SimpleNamespace(name="vtbench")]

    monkeypatch.setattr("wandb.Api", Api)
    return made


def test_both_are_saved_and_a_second_time_renewed(results: Path, server: Server, capfd: Any) -> None:
    made = publish(found(results), TARGET, results)
    assert set(made) == {"workspace", "report"}
    assert all(url.startswith("https://wandb.ai/team/vtbench") for url in made.values())
    assert {view["type"] for view in server.views.values()} == {"project-view", "runs"}
    report = next(json.loads(view["spec"]) for view in server.views.values() if view["type"] == "runs")
    grid = next(block for block in report["blocks"] if block["type"] == "panel-grid")
    assert grid["metadata"]["runSets"][0]["project"]["id"] == "77"
    Store(results).append(record_of(measurements(select(["msca/table2:msca-kv"])[0], "paper", 1)[0], 70.0))
    assert publish(found(results), TARGET, results) == made
    assert len(server.views) == 2
    assert all("73.20" in view["spec"] for view in server.views.values())  # the new mean
    assert capfd.readouterr() == ("", "")


def test_views_that_were_deleted_are_made_again(results: Path, server: Server) -> None:
    before = publish(found(results), TARGET, results)
    server.views.clear()
    assert publish(found(results), TARGET, results) != before
    assert len(server.views) == 2


def test_a_project_that_is_not_there_is_one_line(results: Path, server: Server) -> None:
    server.project = False
    with pytest.raises(
        RunError, match=r"^W&B team/vtbench \(online\) refuses the report: Run set 'laps/table1' project"
    ):
        publish(found(results), TARGET, results)


def test_the_command_prints_where_they_are(results: Path, server: Server, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setattr("wandb.login", lambda **options: True)
    assert main(f"wandb dashboard msca/table2 --scale paper --results {results}".split()) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[0] for line in lines] == ["workspace", "report"]
    assert all("https://wandb.ai/team/vtbench" in line for line in lines)
