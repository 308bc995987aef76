"""Computes the numbers of a page again, from files of a store and of the specs, by what it says of their origin.

What is a plain fact of a file is read again here, with csv and yaml: printed cells, lines of results.csv, their means,
spreads, counts of rows. Intervals, ranks and verdicts are the report's own functions, called with the inputs that the
page names.
"""

from __future__ import annotations

import csv
import re
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import yaml

from vtbench.metrics import METRICS
from vtbench.papers import measurements, select
from vtbench.papers.datasets import load_dataset
from vtbench.papers.decisions import unsaid
from vtbench.papers.load import load_paper
from vtbench.papers.resolve import network_of
from vtbench.papers.spec.schema import Row
from vtbench.report.claims.finding import Finding, Judged
from vtbench.report.claims.judge import judge_claims
from vtbench.report.compare import Comparison
from vtbench.report.page.claims import method_of, said_of
from vtbench.report.ratios import Ratios
from vtbench.report.report import compared
from vtbench.report.sheets import accuracy_sheets, summary
from vtbench.report.speed_sheets import speed_sheets
from vtbench.report.statistics import TOLERANCE
from vtbench.results.curves import read_curve
from vtbench.results.scores import VideoScores, read_scores

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "benchmarks"
NUMBER = re.compile(r"(?<![\w.])(?<![A-Za-z]-)[-+−]?\d+(?:,\d{3})*(?:\.\d+)?(?:e[-+]?\d+)?|(?<=\d-)\d+(?:\.\d+)?")
CALL = re.compile(r"(\w+)\(((?:[^()]|\([^()]*\))*)\)")
VOID = {"meta", "br", "input", "link", "hr", "img"}


# ---- the page --------------------------------------------------------------------------------------------------------


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    parent: Element | None
    children: list[Element | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(child if isinstance(child, str) else child.text for child in self.children)

    @property
    def words(self) -> str:
        """Its text, with one blank between the texts of its parts."""
        parts = (child if isinstance(child, str) else child.words for child in self.children)
        return " ".join(" ".join(parts).split())

    def above(self) -> Iterator[Element]:
        """Itself and everything that it stands in."""
        found: Element | None = self
        while found is not None:
            yield found
            found = found.parent

    def all(self) -> Iterator[Element]:
        yield self
        for child in self.children:
            if isinstance(child, Element):
                yield from child.all()


class Page(HTMLParser):
    """A page as a tree; refuses tags that are not closed."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.root = self.here = Element("", {}, None)
        self.feed(text)
        assert self.here is self.root, f"<{self.here.tag}> is not closed"

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        made = Element(tag, {name: value or "" for name, value in attributes}, self.here)
        self.here.children.append(made)
        if tag not in VOID:
            self.here = made

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.here.children.append(Element(tag, {name: value or "" for name, value in attributes}, self.here))

    def handle_endtag(self, tag: str) -> None:
        assert tag == self.here.tag, f"</{tag}> closes <{self.here.tag}>"
        assert self.here.parent is not None
        self.here = self.here.parent

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.here.children.append(data)


def numbers_without_origin(page: Page) -> list[str]:
    """Texts with a number that no element around them gives an origin for. Ticks of axes, names and commands (`code`)
    hold none, nor do style and script."""
    found = []
    for element in page.root.all():
        for text in (child for child in element.children if isinstance(child, str)):
            around = list(element.above())
            if any(
                one.tag in ("style", "script", "code") or one.attributes.keys() & {"data-origin", "data-line"}
                for one in around
            ):
                continue
            if any(one.tag == "svg" for one in around) and element.tag == "text":
                continue
            if NUMBER.search(text):
                found.append(text.strip())
    return found


def names(page: Page) -> set[str]:
    """What stands in `code`, but for texts with an origin: names and commands."""
    return {
        element.text
        for element in page.root.all()
        if element.tag == "code"
        and not any("data-origin" in one.attributes for one in [*element.above(), *element.all()])
    }


# ---- the numbers -----------------------------------------------------------------------------------------------------


class Origins:
    """What the origins of a page of a store stand for. A number has to be that of the text in the digits shown; a text
    has to be the same."""

    def __init__(self, results: Path, *selectors: str) -> None:
        """`selectors`: of the rows on the page; none for all."""
        self.results = results
        self.selected = select(selectors)

    def wrong(self, text: str, origin: str) -> str | None:
        """What is wrong with a text of this origin; None for nothing."""
        calls = CALL.findall(origin)
        if not calls or CALL.sub("", origin).strip():
            return f"{text!r}: not an origin: {origin}"
        values = [self.value(name, inside.split("; ")) for name, inside in calls]
        if len(values) == 1 and isinstance(values[0], str):
            if " ".join(values[0].split()) == " ".join(text.split()):
                return None
            if not NUMBER.fullmatch(values[0]):
                return f"{text!r} is not {values[0]!r}: {origin}"
        shown = NUMBER.findall(text)
        if len(shown) != len(values):
            return f"{text!r} has {len(shown)} numbers, its origin {len(values)}: {origin}"
        for number, value in zip(shown, values, strict=True):
            value = float(value.replace(",", "")) if isinstance(value, str) else value
            digits = number.replace(",", "").replace("−", "-")
            mantissa, _, power = digits.partition("e")
            half = 0.5 * 10.0 ** (int(power or 0) - len(mantissa.partition(".")[2]))
            if abs(float(digits) - value) > half * (1 + 1e-6) + 1e-9:
                return f"{number} in {text!r} is not {value}: {origin}"
        return None

    def value(self, name: str, arguments: Sequence[str]) -> float | str:
        function: Callable[..., float | str] = getattr(self, f"of_{name}")
        return function(*([] if list(arguments) == [""] else arguments))

    # -- specs

    @cached_property
    def tables(self) -> dict[str, dict[str, Any]]:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        return {
            f"{path.parent.name}/{path.stem}": yaml.load(path.read_text(), loader)
            for path in sorted(BENCHMARKS.glob("*/table*.yaml"))
        }

    @cached_property
    def papers(self) -> dict[str, dict[str, Any]]:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        return {p.parent.name: yaml.load(p.read_text(), loader) for p in BENCHMARKS.glob("*/paper.yaml")}

    @cached_property
    def rows(self) -> dict[str, dict[str, Any]]:
        return {f"{table}:{row['id']}": row for table, file in self.tables.items() for row in file["rows"]}

    def cell(self, row: str, name: str) -> str:
        found = self.rows[row]["published"][name]
        return found["value"] if isinstance(found, dict) else found

    def of_spec(self, row: str, name: str) -> str:
        return self.cell(row, name)

    def of_printed(self, row: str, heading: str) -> str:
        if heading in (printed := self.rows[row].get("printed", {})):
            return printed[heading]
        names = self.tables[row.partition(":")[0]]["columns"][heading]
        names = names if isinstance(names, list) else [names]
        return "x".join(self.cell(row, name) for name in names if name in self.rows[row]["published"])

    def of_label(self, row: str) -> str:
        return str(self.rows[row]["label"])

    def of_caption(self, table: str) -> str:
        return self.tables[table]["caption"]

    def of_place(self, table: str) -> str:
        source = self.tables[table]["source"]
        assert table.partition("/table")[2].rstrip("abcde") == str(source["table"])
        return "Table " + table.partition("/table")[2]

    def of_heading(self, table: str, holds: str, of: str) -> str:
        columns = self.tables[table]["columns"]
        if holds == "printed":
            return next(heading for heading in columns if heading == of)
        if holds in ("counted", "measured", "delta"):
            return next((h for h, n in columns.items() if of in (n if isinstance(n, list) else [n])), of)
        if holds == "difference":
            return f"- {self.tables[table]['reference']}"
        return holds

    def of_venue(self, paper: str) -> str:
        venue, year = self.papers[paper]["venue"], str(self.papers[paper]["year"])
        return venue if year in venue else f"{venue} {year}"

    def of_arxiv(self, paper: str) -> str:
        return f"arXiv:{self.papers[paper]['arxiv']}"

    def of_decision(self, paper: str, name: str, key: str) -> str:
        return self.papers[paper]["decisions"][name][key]

    def of_unsaid(self, row: str, name: str) -> str:
        (found,) = select([row])
        return f"{name}: {unsaid(load_paper(found.paper), found)[name]}"

    def of_reconstructed(self, row: str, name: str) -> str:
        return f"{name}: {self.rows[row]['published'][name]['reconstructed']}"

    def of_dataset(self, name: str) -> str:
        assert (ROOT / "data_manifests" / name / "dataset.yaml").is_file()
        return name

    def of_tolerance(self) -> float:
        return TOLERANCE

    # -- results.csv

    @cached_property
    def lines(self) -> list[dict[str, str]]:
        path = self.results / "results.csv"
        if not path.is_file():
            return []
        with path.open(newline="") as file:
            return list(csv.DictReader(file))

    @cached_property
    def by_key(self) -> dict[tuple[str, str], dict[str, str]]:
        """(row, evaluation key) -> the newest line that is of no variant."""
        own = (line for line in self.lines if not line.get("variant"))
        return {(line["id"], line["evaluation_key"]): line for line in own}

    def measured(self, row: str, metric: str, key: str) -> float:
        line = self.by_key[row, key]
        others = dict(part.split("=") for part in line.get("metrics", "").split(";") if part)
        return float(line.get(metric) or others[metric])

    def seeds(self, row: str, metric: str, keys: str) -> list[float]:
        parts = [[self.measured(row, metric, key) for key in seed.split("+")] for seed in keys.split()]
        seeds = [tuple({self.by_key[row, key]["seed"] for key in seed.split("+")}) for seed in keys.split()]
        assert all(len(one) == 1 for one in seeds) and len(set(seeds)) == len(seeds), "not one line a seed"
        prints = {self.by_key[row, key]["data_fingerprint"] for seed in keys.split() for key in seed.split("+")}
        assert len(prints) <= len(keys.split()[0].split("+")), "a mean over different copies"
        return [statistics.fmean(one) for one in parts]

    def of_mean(self, row: str, metric: str, keys: str) -> float:
        return statistics.fmean(self.seeds(row, metric, keys))

    def of_sd(self, row: str, metric: str, keys: str) -> float:
        return statistics.stdev(self.seeds(row, metric, keys))

    def of_count(self, keys: str) -> int:
        return len(keys.split())

    def of_delta(self, row: str, name: str, metric: str, keys: str) -> float:
        cell = self.cell(row, name)
        return round(self.of_mean(row, metric, keys) - float(cell.replace(",", "")), len(cell.partition(".")[2]))

    def of_record(self, row: str, measurement: str, key: str, column: str) -> str:
        return self.line(row, measurement, key)[column]

    def line(self, row: str, measurement: str, key: str) -> dict[str, str]:
        wanted = (row, measurement, key)
        return [one for one in self.lines if (one["id"], one["measurement"], one["evaluation_key"]) == wanted][-1]

    # -- the report

    @cached_property
    def _compared(self) -> tuple[dict[str, list[Comparison]], dict[str, list[Ratios]]]:
        return compared(self.selected, self.results)

    @property
    def comparisons(self) -> dict[str, list[Comparison]]:
        return self._compared[0]

    @cached_property
    def by_row(self) -> dict[tuple[str, str], Comparison]:
        return {(c.row.id, scale): c for scale, members in self.comparisons.items() for c in members}

    @cached_property
    def sheets(self) -> dict[tuple[str, str], Any]:
        return {
            (members[0].table, scale): accuracy_sheets(members)[0]
            for scale, every in self.comparisons.items()
            for members in [[c for c in every if c.table == table] for table in dict.fromkeys(c.table for c in every)]
        }

    def of_title(self, table: str, scale: str) -> str:
        return f"{table} at {scale} scale"

    def of_warning(self, table: str, scale: str) -> str:
        return self.sheets[table, scale].warning

    def of_note(self, table: str, scale: str, number: str) -> str:
        return self.sheets[table, scale].notes[int(number)]

    def of_summary(self, scale: str, number: str) -> str:
        return summary(self.comparisons[scale])[int(number)]

    def _difference(self, row: str, scale: str) -> Any:
        return self.by_row[row, scale].difference

    def of_printed_gap(self, row: str, reference: str, name: str) -> float:
        return float(self.cell(row, name)) - float(self.cell(reference, name))

    def of_gap(self, row: str, scale: str) -> float:
        found = self.by_row[row, scale]
        assert found.difference is not None
        name = found.difference.metric
        reference = self.by_row[f"{found.table}:{found.difference.reference}", scale]
        return found.measured[name].mean - reference.measured[name].mean

    def of_low(self, row: str, scale: str) -> float:
        return self._difference(row, scale).interval[0]

    def of_high(self, row: str, scale: str) -> float:
        return self._difference(row, scale).interval[1]

    def of_p(self, row: str, scale: str) -> float:
        return self._difference(row, scale).p

    def of_alike(self, row: str, scale: str) -> int:
        found = self.by_row[row, scale].in_band
        assert found is not None
        return found

    def of_coverage(self, row: str, scale: str) -> int:
        found = self.by_row[row, scale].coverage
        assert found is not None
        return int(100 * found)

    def of_chance(self, row: str, scale: str, name: str) -> float:
        (found,) = select([row])
        for mean, parts in [*found.means.items(), *((m, (m,)) for m in found.recipes)]:
            for metric, known in METRICS.items():
                if found.metric(mean, metric) == name and known.guesses:
                    datasets = {m.name: m.evaluation.data.dataset for m in measurements(found, scale)}
                    classes = load_dataset(next(datasets[part] for part in parts if part in datasets)).num_classes
                    return 100 * min(known.guesses, classes) / classes
        raise AssertionError(name)

    def of_tau(self, table: str, scale: str) -> float:
        from scipy.stats import kendalltau

        rows, name = self._ordered(table, scale)
        sides = [(float(self.cell(c.row.id, name)), self._level(c, name)) for c in rows]
        return float(kendalltau(*zip(*sides, strict=True)).statistic)

    def _ordered(self, table: str, scale: str) -> tuple[list[Comparison], str]:
        members = [c for c in self.comparisons[scale] if c.table == table]
        name = next(c.order.metric for c in members if c.order)
        return [c for c in members if name in c.row.published and name in c.measured], name

    def _level(self, found: Comparison, name: str) -> float:
        """The measured mean, or chance where Wilson's interval of each line of it reaches down to chance."""
        from scipy.stats import binomtest

        chance = self.of_chance(found.row.id, found.scale, name)
        tests = {part: (part,) for part in found.row.recipes} | found.row.means_at(found.scale)
        parts = next(parts for test, parts in tests.items() if found.row.metric(test, "top1") == name)
        for record in (one for one in found.counted if one.measurement in parts):
            hits = round(record.top1 * record.videos_expected / 100)
            low = binomtest(hits, record.videos_expected).proportion_ci(method="wilson").low
            if 100 * low > chance + 1e-9:
                return found.measured[name].mean
        return chance

    def of_printed_place(self, row: str, scale: str, name: str) -> float:
        return self._place(row, scale, lambda c: float(self.cell(c.row.id, name)))

    def of_measured_place(self, row: str, scale: str, name: str) -> float:
        return self._place(row, scale, lambda c: self._level(c, name))

    def _place(self, row: str, scale: str, value: Callable[[Comparison], float]) -> float:
        from scipy.stats import rankdata

        rows, _ = self._ordered(self.by_row[row, scale].table, scale)
        ranks = rankdata([-value(c) for c in rows])
        return float(ranks[[c.row.id for c in rows].index(row)])

    # -- costs and speed

    @cached_property
    def costs(self) -> dict[tuple[str, str], dict[str, str]]:
        found = {}
        for folder in dict.fromkeys((ROOT / "results", self.results)):
            if (folder / "cost.csv").is_file():
                with (folder / "cost.csv").open(newline="") as file:
                    found |= {(line["arguments"], line["convention"]): line for line in csv.DictReader(file)}
        return found

    def of_counted(self, network: str, convention: str, name: str) -> float:
        line = self.costs[network, convention]
        if name.endswith("params_m"):
            return int(line["params"]) / 1e6
        return int(line["macs"]) / (1e12 if name.endswith("tflops") else 1e9)

    def of_macs(self, network: str, convention: str) -> float:
        return int(self.costs[network, convention]["macs"]) / 1e9

    def of_cost_points(self, dataset: str) -> int:
        return len(self.points(dataset))

    def points(self, dataset: str) -> set[tuple[str, str]]:
        """(network, printed cell) of the rows that a data set's drawing is of."""
        found = set()
        for row in self.selected:
            if row.status != "runnable" or not row.own or (network := network_of(row, "paper")) is None:
                continue
            if not any(arguments == network.key and line["macs"] for (arguments, _), line in self.costs.items()):
                continue
            at = {m.name: m.evaluation.data.dataset for m in measurements(row, "paper")}
            for name, parts in [*((m, (m,)) for m in at), *row.means.items()]:
                key = row.metric(name, "top1")
                if at[parts[0]] == dataset and key in row.published:
                    found.add((network.key, row.published[key].text))
        return found

    @cached_property
    def speeds(self) -> list[dict[str, str]]:
        path = self.results / "speed.csv"
        if not path.is_file():
            return []
        with path.open(newline="") as file:
            return list(csv.DictReader(file))

    def of_speed(self, row: str, scale: str, metric: str, device: str, precision: str, column: str) -> float:
        wanted = {"id": row, "scale": scale, "metric": metric, "device": device, "precision": precision}
        (found,) = select([row])
        current = network_of(found, scale)
        lines = [
            line for line in self.speeds if wanted.items() <= line.items() and line["against"] == found.baseline_id
        ]
        return float([line for line in lines if current and line["network"] == current.key][-1][column])

    def of_printed_ratio(self, row: str, metric: str) -> float:
        baseline = f"{row.partition(':')[0]}:{self.rows[row]['baseline']}"
        return float(self.cell(row, metric)) / float(self.cell(baseline, metric))

    def of_baseline(self, row: str) -> str:
        return self.rows[row]["baseline"]

    def of_measured_on(self, device: str, precision: str) -> str:
        assert (device, precision) in {(line["device"], line["precision"]) for line in self.speeds}
        return f"{device}, {precision}"

    def of_printed_on(self, table: str) -> str:
        return self.tables[table]["source"].get("device", "the paper's own machine")

    def _speed_sheet(self, table: str, scale: str, number: str) -> Any:
        members = [s for s in self._compared[1][scale] if f"{s.row.paper}/{s.row.table}" == table]
        return speed_sheets(members)[int(number)]

    def of_speed_title(self, *at: str) -> str:
        return self._speed_sheet(*at).title

    def of_speed_warning(self, *at: str) -> str:
        return self._speed_sheet(*at).warning

    def of_speed_note(self, table: str, scale: str, number: str, note: str) -> str:
        return self._speed_sheet(table, scale, number).notes[int(note)]

    # -- single videos

    @cached_property
    def scores(self) -> dict[tuple[str, str, str], list[VideoScores]]:
        """(row, scale, measurement) -> the scores of each seed that counts and has them."""
        found: dict[tuple[str, str, str], list[VideoScores]] = {}
        for scale, members in self.comparisons.items():
            for record in (record for c in members for record in c.counted):
                scores = read_scores(self.results, record)
                if scores is not None:
                    found.setdefault((record.id, scale, record.measurement), []).append(scores)
        return found

    def of_hits(self, row: str, scale: str, measurement: str, label: str, predicted: str) -> int:
        pairs = [
            (int(one.labels[n]), int(one.classes[n, 0]))
            for one in self.scores[row, scale, measurement]
            for n in range(len(one.video_ids))
        ]
        return pairs.count((int(label), int(predicted)))

    def of_tested(self, row: str, scale: str, measurement: str) -> int:
        return sum(record.measurement == measurement for record in self.by_row[row, scale].counted)

    def of_lacking(self, what: str, state: str) -> int:
        """Evaluations, or trainings, of rows of tables that have a file or folder for any of theirs, and none itself
        that can be used."""
        read, key = (read_scores, "evaluation_key") if what == "scores" else (read_curve, "training_key")
        run = "eval" if what == "scores" else "train"

        def there(of: str) -> bool:
            return any((self.results / name).exists() for name in (f"{what}/{of}.parquet", f"runs/{run}-{of}"))

        found = set()
        for members in self.comparisons.values():
            for table in {c.table for c in members}:
                lines = [(c.row.id, record) for c in members if c.table == table for record in c.counted]
                if any(there(getattr(record, key)) for _, record in lines):
                    found |= {
                        (row, getattr(record, key))
                        for row, record in lines
                        if read(self.results, record) is None
                        and there(getattr(record, key)) == (state == "damaged")
                        and (what == "scores" or record.init != "given")
                    }
        return len(found)

    def of_scored(self, row: str, scale: str, measurement: str) -> int:
        return len(self.scores[row, scale, measurement])

    def of_class(self, dataset: str, number: str) -> str:
        path = ROOT / "data_manifests" / dataset / "classes.txt"
        return path.read_text().splitlines()[int(number)] if path.is_file() else number

    def of_curve_seeds(self, table: str, scale: str) -> str:
        members = [c for c in self.comparisons[scale] if c.table == table]
        records = [r for c in members for r in c.counted if read_curve(self.results, r) is not None]
        return ", ".join(f"seed {seed}" for seed in sorted({r.seed for r in records}))

    # -- counts

    def _rows(self, paper: str = "") -> list[Row]:
        return [row for row in self.selected if row.paper == (paper or row.paper)]

    def of_rows(self, paper: str = "") -> int:
        return len(self._rows(paper))

    def of_own_rows(self, paper: str) -> int:
        return sum(not self.rows[row.id].get("quoted") for row in self._rows(paper))

    def of_runnable_rows(self, paper: str) -> int:
        return sum(row.status == "runnable" for row in self._rows(paper))

    def of_measured_rows(self, paper: str, scale: str) -> int:
        own = [line for line in self.lines if line["scale"] == scale and not line.get("variant")]
        found = set()
        for row in self._rows(paper):
            lines = [line for line in own if line["id"] == row.id]
            for seed in {int(line["seed"]) for line in lines}:
                wanted = {m.evaluation.key for m in measurements(row, scale, seed)}
                found |= {line["id"] for line in lines if line["evaluation_key"].partition("-")[0] in wanted}
        return len(found)

    def of_evaluations(self, paper: str, scale: str) -> int:
        return len({r.evaluation_key for c in self.comparisons[scale] if c.row.paper == paper for r in c.counted})

    def of_verdicts(self, paper: str, verdict: str) -> int:
        rows = [c for c in self.comparisons["paper"] if c.row.paper == paper and c.row.status == "runnable"]
        return sum(c.verdict == verdict for c in rows)

    def of_set_aside(self, kind: str) -> int:
        if kind == "unknown":
            return sum(line["id"] not in self.rows for line in self.lines)
        if kind == "variant":
            return sum(bool(line.get("variant")) and line["id"] in self.rows for line in self.lines)
        return sum(len(getattr(c, kind)) for members in self.comparisons.values() for c in members)

    def of_costs(self, *verdicts: str) -> int:
        first = next(iter(self.comparisons.values()))
        said = [
            "stale" if c.costs_stale else "yes" if x.agrees else "no" for c in first for x in c.counted_costs.values()
        ]
        return sum(one in verdicts for one in said)

    # -- claims

    @cached_property
    def claim_files(self) -> dict[str, dict[str, Any]]:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        return {
            f"{path.parent.name}/{claim['id']}": claim
            for path in BENCHMARKS.glob("*/claims.yaml")
            for claim in yaml.load(path.read_text(), loader)
        }

    def of_quote(self, name: str) -> str:
        return self.claim_files[name]["quote"]

    def of_claim_note(self, name: str) -> str:
        return self.claim_files[name]["note"]

    def of_holds(self, name: str) -> str:
        return self.claim_files[name]["holds"]

    def of_said_at(self, name: str) -> str:
        source = self.claim_files[name]["source"]
        section = str(source["section"])
        page = f", page {source['page']}" if "page" in source else ""
        return ("section " if section[0].isdigit() else "") + section + page

    @cached_property
    def judged(self) -> dict[str, Judged]:
        scales = dict.fromkeys([*self.comparisons, "paper"])
        papers = list(dict.fromkeys(row.paper for row in self.selected))
        return {one.claim.id: one for one in judge_claims(papers, self.results, list(scales))}

    def finding(self, name: str, of: str) -> Finding:
        one = self.judged[name]
        return one.printed if of == "printed" else one.measured[of]

    def of_finding(self, name: str, of: str) -> str:
        return said_of(self.finding(name, of))

    def of_method(self, name: str, of: str) -> str:
        return method_of(self.finding(name, of))

    def of_claims(self, paper: str, of: str, verdict: str) -> int:
        on_page = {row.id for row in self.selected}
        names = [one.claim.id for one in self.judged.values() if one.claim.paper == paper]
        names = [name for name in names if on_page & {row.id for row in self.judged[name].claim.rows}]
        return sum(self.finding(name, of).verdict == verdict for name in names)
