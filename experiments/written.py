"""A table as text for elsewhere: CSV with full numbers, Markdown and LaTeX with what the terminal would show."""

import csv
import io
import re
from typing import Any, NamedTuple

from experiments.report import COUNT, RATIO, ROWS, TIME, bytes_text, number_text

Row = dict[str, Any]

_KINDS = {metric: kind for _, metric, kind in ROWS}
_LATEX = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}",
    # After the end of a row a bracket would be the space to leave there.
    "[": "{[}", "]": "{]}",
    **{c: f"\\{c}" for c in "&%$#_{}"},
}  # fmt: skip
_DIFFERENCES = {"difference", "low", "high", "bca_low", "bca_high"}


class Written(NamedTuple):
    """A table to be written: ``columns`` by name, with their titles, and its rows as they are."""

    columns: dict[str, str]
    rows: list[Row]


def as_csv(table: Written) -> str:
    """Names and full numbers; nothing where there is no value."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows([whole(row[name]) for name in table.columns] for row in table.rows)
    return text.getvalue()


def whole(value: Any) -> Any:
    """A value of a CSV file: a number in full, nothing where there is none."""
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else repr(value) if isinstance(value, float) else value


def as_markdown(table: Written) -> str:
    """A table of GitHub's Markdown."""
    marks = ["---:" if is_number else "---" for is_number in _are_numbers(table)]
    rows = [_line(cells) for cells in [list(table.columns.values()), *_texts(table)]]
    lines = [rows[0], f"|{'|'.join(marks)}|", *rows[1:]]
    return "\n".join(lines) + "\n"


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(map(_markdown, cells))} |"


def _markdown(text: str) -> str:
    return re.sub(r"([\\`*_{}\[\]<>|~$&#])", r"\\\1", _in_one_line(text))


def as_latex(table: Written) -> str:
    """A ``tabular`` that needs no package."""
    places = "".join("r" if is_number else "l" for is_number in _are_numbers(table))
    rows = [[_latex(cell) for cell in cells] for cells in [list(table.columns.values()), *_texts(table)]]
    head, *lines = [f"{' & '.join(cells)} \\\\" for cells in rows]
    return "\n".join(
        [rf"\begin{{tabular}}{{{places}}}", r"\hline", head, r"\hline", *lines, r"\hline", r"\end{tabular}", ""]
    )


def _latex(text: str) -> str:
    text = "".join(_LATEX.get(c, c) for c in _in_one_line(text))
    # Two of them would be one longer one.
    return re.sub(r"-(?=-)", "-{}", text)


def _in_one_line(text: str) -> str:
    return " ".join(text.split())


def _are_numbers(table: Written) -> list[bool]:
    return [
        all(isinstance(row[name], int | float | None) and not isinstance(row[name], bool) for row in table.rows)
        for name in table.columns
    ]


def _texts(table: Written) -> list[list[str]]:
    return [[_shown(name, row[name], row) for name in table.columns] for row in table.rows]


def _shown(name: str, value: Any, row: Row) -> str:
    """A value as the terminal would show it, by the name of its column."""
    if value is None:
        return "-"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value).lower() if isinstance(value, bool) else str(value)
    if name == "relative_difference_ratio":
        return f"{value:+.1%}"
    if name == "baseline_mean":
        # What is compared says in which unit.
        return _number(value, kind_of(str(row["metric"])))
    if name in _DIFFERENCES:
        return ("-" if value < 0 else "+") + _number(abs(value), kind_of(str(row["metric"])))
    return _number(value, kind_of(name))


def _number(value: float, kind: str | None) -> str:
    if kind == "bytes":
        return bytes_text(int(value))
    if kind is not None:
        return number_text(value, kind)
    return str(value) if isinstance(value, int) else f"{value:.4g}"


def kind_of(name: str) -> str | None:
    """What the numbers of a column are, by its name: times, ratios, counts, bytes or seconds."""
    if name in _KINDS:
        return _KINDS[name]
    if name.startswith("n_"):
        return COUNT
    if "_bytes" in name:
        return "bytes"
    ends = {"_ns": TIME, "_ratio": RATIO, "_s": "seconds"}
    return next((kind for end, kind in ends.items() if name.endswith(end)), None)
