"""The page's sections in order: which charts they have, and what is said where there are none."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from experiments.charts.chart import Chart, Numbers
from experiments.page import words
from experiments.page.charts import KINDS, ladder, moves, traffic
from experiments.page.diagram import Diagram, diagram
from experiments.page.found import Found, read_json
from experiments.page.surroundings import notes_of
from experiments.results import table_of


@dataclass(frozen=True)
class Section:
    """A heading with what is below it."""

    id: str
    title: str
    says: list[str] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)
    tables: list[Numbers] = field(default_factory=list)
    drawing: Diagram | None = None


@dataclass(frozen=True)
class Result:
    """What a page says of one folder of results."""

    id: str
    name: str
    headline: str
    verdicts: list[tuple[str, str]]
    notices: list[str]
    sections: list[Section]
    again: dict[str, Any] = field(default_factory=dict)
    """How to make it again."""


_PLANS: tuple[tuple[str, str, tuple[str, ...], str, str], ...] = (
    ("attribution", "Where the latency goes", ("attribution", "first_token"),
     "An access takes service from tier 0, queueing for links, transfer over them, and thinking it waits for.", ""),
    ("distribution", "Distribution of the latency", ("ecdf", "tail"),
     "All accesses of an arm's runs together, in 64 bins an octave: times are within 1 %. Quantiles in the tables of "
     "arms are exact, and means over runs.",
     "No run kept its accesses; output: {accesses: true} keeps a row for each, {kind: sampled, rate: 0.01} some."),
    ("time", "Over time, and by phase", ("windows", "hits", "phases"), "",
     "There is no table of windows; output: {window: 200} keeps a row for each 200 accesses."),
    ("fates", "What became of accesses and prefetches", ("outcomes", "fates", "proposals"),
     "Every access has one outcome, and every prefetch that was issued one fate.", ""),
    ("timeliness", "Timeliness", ("timeliness", "lateness"), "",
     "No prefetch of these runs was used, or none is kept: output: {prefetches: true} keeps them."),
    ("inference", "Inference", ("inference", "age", "questions"), "",
     "No arm asked a policy that thinks, or no question is kept: output: {inferences: true} keeps them."),
    ("models", "Training and calibration", ("training", "calibration", "controls"), "",
     "No arm trained a model."),
)  # fmt: skip


def _planned(found: Found) -> Iterator[Section]:
    for id_, title, kinds, says, absent in _PLANS:
        charts = [chart for kind in kinds if (chart := KINDS[kind](found)) is not None]
        said = says if charts else absent
        if charts or said:
            more = _of_paces(found) if id_ == "inference" and charts else None
            yield Section(id_, title, [said] if said else [], charts, [more] if more else [])


def _of_paces(found: Found) -> Numbers | None:
    """What an inference takes at other paces, of arms whose own times are charged."""
    from experiments.means import mean
    from experiments.report import number_text

    paces = ("charged", "host", "back_to_back", "simulated", "cold")
    lines = []
    for arm in found.arms:
        rows = found.of_arm(arm)
        values = [mean(rows, f"{p}_inference_{pace}_ns") for pace in paces for p in ("p50", "p99")]
        if any(values):
            lines.append([arm, *(number_text(value, "time") for value in values)])
    titles = {"host": "as measured", "back_to_back": "back to back", "simulated": "at its pauses"}
    columns = [f"{titles.get(pace, pace)}, {p}" for pace in paces for p in ("p50", "p99")]
    return Numbers(["arm", *columns], lines) if lines else None


def _first(found: Found) -> Iterator[Section]:
    system = diagram(found.config["system"])
    yield Section("experiment", "The experiment", [words.workload(found.config, found.rows)], [], [], system)
    charts = [chart for kind in ("means", "effects", "tails") if (chart := KINDS[kind](found)) is not None]
    said = [
        "Means over runs. Intervals are of the paired difference to the baseline; verdicts are at 5 %, corrected for "
        "the number of arms. The effect size is the difference over the standard deviation of the differences."
    ]
    yield Section("arms", "Arms side by side", said, charts, list(words.arm_lines(found)))


def _last(found: Found) -> Iterator[Section]:
    use, over_time = KINDS["links"](found), moves(found)
    said = ["Bytes that started over a link, by what they were started as, and how much of the links was used."]
    if not over_time:
        said.append("When they were busy and how long blocks waited is known with output: {transfers: true}.")
    yield Section("links", "Links and traffic", said, [*([use] if use else []), *traffic(found), *over_time])
    bounds = KINDS["bounds"](found)
    said = [] if bounds else [
        "Not run. tierfetch bounds CONFIG runs the arms beside an oracle, tierfetch break-even CONFIG charges a ladder "
        "of thinking times; their folders are results to report as well, beside this one."
    ]  # fmt: skip
    yield Section("possible", "What is possible, and until when it pays", said, [bounds] if bounds else [])
    notes = notes_of(found)
    if notes is None:
        notes = ["What run notes below its table cannot be known here: it takes all runs, files of the trace, or code "
                 "of the config's own."]  # fmt: skip
    yield Section("notes", "Warnings and notes", notes or ["Nothing to note."])


def result_of(found: Found, number: int) -> Result:
    """All that the page says of one folder."""
    notices = []
    if missing := found.kept.missing():
        names = ", ".join([*missing[:3], *(["..."] if len(missing) > 3 else [])])
        notices.append(
            f"Runs are missing ({names}): run the experiment again to have them made. Means are of what is there."
        )
    elif not found.compared and len(found.arms) > 1:
        notices.append(
            "Comparisons are of other seeds or settings than were asked for last; run the experiment to its end."
        )
    id_ = f"r{number}"
    sections = [replace(s, id=f"{id_}-{s.id}") for part in (_first, _planned, _last) for s in part(found)]
    return Result(id_, found.name, words.headline(found), words.verdicts(found), notices, sections, reproduction(found))


def ladder_of(folder: Path, number: int) -> Result:
    """What the page says of a folder of ``tierfetch break-even``. Raises InputError if its tables are damaged."""
    chart = ladder(folder)
    about = table_of(folder, "break_even").schema.metadata or {}
    name = f"break-even of {read_json(about.get(b'config'))['name']}"
    section = Section(f"r{number}-possible", chart.title, [], [chart])
    return Result(f"r{number}", name, f"{chart.says.partition('. ')[0]}.", [], [], [section])


def reproduction(found: Found) -> dict[str, Any]:
    """What it takes to run it again, and what it came from."""
    import yaml

    about = found.kept.kept.about
    device = {arm: value for arm, value in about.get("device", {}).items() if value != "none"}
    hashes = {
        "config": about.get("config_hash"),
        **{f"trace, seed {s}": h for s, h in about.get("trace_sha256", {}).items()},
    }
    hashes |= {f"file {path.rpartition('/')[2]}": sha for path, sha in about.get("traces_sha256", {}).items()}
    hashes |= {
        f"model {row['arm']}, seed {row['seed']}": row["model_hash"] for row in found.rows if row.get("model_hash")
    }
    return {
        "command": f"tierfetch run {found.name}.yaml",
        "config": yaml.safe_dump(found.config, sort_keys=False, width=100),
        "versions": about.get("versions", {}), "device": device, "latencies": about.get("latencies", {}),
        "hashes": {name: value for name, value in hashes.items() if value},
    }  # fmt: skip
