"""Comparisons and ratios for programs: JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from vtbench.report.compare import Comparison
from vtbench.report.origin import origin_entry
from vtbench.report.ratios import Ratios
from vtbench.report.sheets import row_notes
from vtbench.scales import Scale

CSV_COLUMNS = ("id", "scale", "metric", "published", "mean", "sd", "n", "delta", "verdict", "commit")
CSV_SPEED_COLUMNS = (
    *("value", "q1", "q3", "against", "ratio", "ratio_q1", "ratio_q3"),
    *("batch", "rounds", "device", "precision", "threads"),
)
"""Columns of speed.csv that stand behind those above and `printed_ratio`."""
CSV_ORIGIN_COLUMNS = (
    *("counted", "convention", "agrees", "training_keys", "evaluation_keys", "data_fingerprints", "coverage"),
    *("stale_keys", "decisions", "notes"),
)
"""What stands last: the count of a printed cost, and where the numbers of the row come from; several joined by `;`."""


def as_json(comparisons: Mapping[Scale, Sequence[Comparison]], ratios: Mapping[Scale, Sequence[Ratios]]) -> str:
    """An array with one entry per row and scale; both hold the same rows at the same scales."""
    entries = [
        {
            **comparison.entry(),
            **origin_entry(comparison),
            "notes": row_notes([comparison]),
            "speed": speed.entry(),
        }
        for scale, members in comparisons.items()
        for comparison, speed in zip(members, ratios[scale], strict=True)
    ]
    return json.dumps(entries, indent=2, ensure_ascii=False) + "\n"


def as_csv(comparisons: Mapping[Scale, Sequence[Comparison]], ratios: Mapping[Scale, Sequence[Ratios]]) -> str:
    """One line per row, scale and metric, printed or measured; of speed and memory per device and precision too.
    Numbers as in the JSON."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow((*CSV_COLUMNS, "printed_ratio", *CSV_SPEED_COLUMNS, "variant", *CSV_ORIGIN_COLUMNS))
    for entry in json.loads(as_json(comparisons, ratios)):
        printed, lines = entry["speed"]["printed"], entry["speed"]["measured"]
        metrics = dict.fromkeys([*entry["published"], *entry["measured"], *(line["metric"] for line in lines)])
        for metric in metrics or [""]:
            found = entry["measured"].get(metric, {"mean": None, "sd": None, "n": 0})
            for line in [line for line in lines if line["metric"] == metric] or [{}]:
                writer.writerow(
                    [
                        *(entry["id"], entry["scale"], metric, entry["published"].get(metric)),
                        *(found["mean"], found["sd"], found["n"]),
                        *((entry["delta"] or {}).get(metric), entry["verdict"], entry["commit"]),
                        printed.get(metric, {}).get("ratio"),
                        *(line.get(column) for column in CSV_SPEED_COLUMNS),
                        entry["variant"],
                        *_origin_cells(entry, metric),
                    ]
                )
    return out.getvalue()


def _origin_cells(entry: Mapping[str, Any], metric: str) -> list[Any]:
    cost = entry["costs"].get(metric, {})
    data = dict.fromkeys(record["data_fingerprint"] for record in entry["records"])
    return [
        *(cost.get(name) for name in ("measured", "convention", "agrees")),
        *(";".join(entry["keys"][which]) for which in ("training", "evaluation")),
        ";".join(data),
        entry["coverage"],
        ";".join(entry["keys"]["stale"]),
        ";".join(entry["decisions"]),
        "; ".join(entry["notes"]),
    ]
