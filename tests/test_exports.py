"""Tables of results as CSV, Markdown and LaTeX: full numbers in the one, those of the terminal in the others."""

import csv
import io
import math
import re
from pathlib import Path
from typing import Any

import pytest

from experiments.results import table_of
from experiments.written import Written, as_csv, as_latex, as_markdown
from tests.test_results import call, folder, interrupted, made

__all__ = ["folder", "made"]


def exported(*arguments: Any) -> str:
    found = call("export", *arguments)
    assert found.exit_code == 0, found.output
    return str(found.stdout)


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def cells(line: str, between: str) -> list[str]:
    """Of a row of Markdown or LaTeX, as they are read: without the marks that escape."""
    return [re.sub(r"\\(.)", r"\1", cell.strip()) for cell in re.split(rf"(?<!\\){re.escape(between)}", line)]


@pytest.mark.parametrize("name", ["runs", "comparisons", "attribution"])
def test_csv_is_the_table_to_the_last_digit(made: tuple[Path, str], name: str) -> None:
    whole = table_of(made[0], name).to_pylist()
    found = rows_of(exported(made[0], "--csv", "--table", name))
    assert list(found[0]) == list(whole[0])
    assert len(found) == len(whole)
    for row, expected in zip(found, whole, strict=True):
        for column, value in expected.items():
            text = row[column]
            if value is None or isinstance(value, bool):
                assert text == {None: "", True: "true", False: "false"}[value]
            else:
                assert type(value)(text) == value, column


def test_the_summary_is_what_the_terminal_shows(made: tuple[Path, str]) -> None:
    out, printed = made
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in printed.splitlines()]
    shown = {line[0]: line[1:] for line in lines if len(line) == 4}
    for form, between in (("markdown", "|"), ("latex", "&")):
        lines = exported(out, f"--{form}").splitlines()
        rows = [cells(line.strip("|").removesuffix("\\\\"), between) for line in lines if len(line.split(between)) > 8]
        titles, *rest = rows[:1] + rows[2 if form == "markdown" else 1 :]
        assert titles[:4] == ["arm", "hit ratio", "mean latency", "vs baseline"]
        assert [row[0] for row in rest] == ["none (baseline)", "next_n", "wrong"]
        for label in ("hit ratio", "mean latency", "p99 latency", "issued", "accuracy", "coverage"):
            assert [row[titles.index(label)] for row in rest] == shown[label], (form, label)
        relative = re.search(r"vs baseline.*?\((-\d+\.\d%)\)", printed)
        assert relative is not None
        assert rest[1][3] == relative[1]


def test_the_summary_in_full(made: tuple[Path, str]) -> None:
    found = {row["arm"]: row for row in rows_of(exported(made[0], "--csv"))}
    runs = table_of(made[0], "runs").to_pandas().groupby("arm")
    assert list(found) == ["none", "next_n", "wrong"]
    for name in ("hit_ratio", "mean_latency_ns", "p99_latency_ns", "n_issued", "coverage_ratio"):
        for arm in found:
            assert float(found[arm][name]) == pytest.approx(runs[name].mean()[arm], rel=1e-14), (name, arm)
    assert found["none"]["accuracy_ratio"] == ""
    compared = table_of(made[0], "comparisons").to_pandas().query("metric == 'mean_latency_ns'").set_index("arm")
    assert float(found["next_n"]["relative_difference_ratio"]) == compared["relative_difference_ratio"]["next_n"]
    assert found["wrong"]["verdict"] == compared["verdict"]["wrong"]
    assert found["none"]["verdict"] == ""


def test_numbers_have_the_units_of_what_is_compared(made: tuple[Path, str]) -> None:
    text = exported(made[0], "--markdown", "--table", "comparisons", "--columns", "arm,metric,difference,p_value,seed")
    rows = [cells(line.strip("|"), "|") for line in text.splitlines()]
    assert rows[0] == ["arm", "metric", "difference", "p_value", "seed"]
    assert rows[1] == ["---", "---", "---:", "---:", "---:"]
    of = {tuple(row[:2]): row for row in rows if row[4] == "-"}
    assert re.fullmatch(r"\+0\.\d{4}", of["next_n", "hit_ratio"][2])
    assert re.fullmatch(r"-\d+ us|-\d\d\.\d us", of["next_n", "mean_latency_ns"][2])


def test_what_is_escaped() -> None:
    nasty = {"name": "a_b|c&d%e$f#g{h}i~j^k\\l<m>[n]\n*o*`p`--q", "n_of": 1234567, "is_so": True, "x_ratio": math.nan}
    table = Written({name: name for name in nasty}, [nasty, dict.fromkeys(nasty)])
    assert as_markdown(table).splitlines()[2] == (
        r"| a\_b\|c\&d%e\$f\#g\{h\}i\~j^k\\l\<m\>\[n\] \*o\*\`p\`--q | 1,234,567 | true | - |"
    )
    *_, first, second, _, _ = as_latex(table).splitlines()
    assert first == (
        r"a\_b\textbar{}c\&d\%e\$f\#g\{h\}i\textasciitilde{}j\textasciicircum{}k\textbackslash{}l\textless{}m"
        r"\textgreater{}{[}n{]} *o*`p`-{}-q & 1,234,567 & true & - \\"
    )
    assert second == r"- & - & - & - \\"
    assert as_latex(table).startswith("\\begin{tabular}{lrlr}\n\\hline\nname & n\\_of & is\\_so & x\\_ratio \\\\\n")
    back, none = rows_of(as_csv(table))
    assert back == {"name": nasty["name"], "n_of": "1234567", "is_so": "true", "x_ratio": "nan"}
    assert set(none.values()) == {""}


def test_bytes_seconds_and_other_numbers() -> None:
    row = {"hbm_dram_demand_bytes": 3 << 20, "q_bytes_max": 2048.0, "wall_s": 1.25, "load_average": 3.14159, "seed": 7}
    line = as_markdown(Written({name: name for name in row}, [row])).splitlines()[2]
    assert line == "| 3 MiB | 2 KiB | 1.2 s | 3.142 | 7 |"


def test_into_a_file(made: tuple[Path, str], tmp_path: Path) -> None:
    out = tmp_path / "t.tex"
    out.write_text("before")
    assert exported(made[0], "--latex", "--out", out) == ""
    assert out.read_text() == exported(made[0], "--latex")
    assert [path.name for path in tmp_path.iterdir()] == ["t.tex"]


def test_export_refuses(folder: Path, tmp_path: Path) -> None:
    inside = folder / "accesses" / "t.csv"
    for arguments, message in (
        ([folder], "expected one of --csv, --markdown and --latex"),
        ([folder, "--csv", "--latex"], "expected one of --csv, --markdown and --latex"),
        ([tmp_path, "--csv"], "holds no results (no manifest.json)"),
        ([folder, "--csv", "--table", "by_phase"], "no such table: the workload has no phases"),
        ([folder, "--csv", "--columns", "arm,hit_ration"], "there is no 'hit_ration'; did you mean 'hit_ratio'?"),
        ([folder, "--csv", "--columns", "arm,"], "there is no ''; expected some of arm, hit_ratio"),
        ([folder, "--csv", "--out", inside], "lies in the folder of the results"),
        ([folder, "--csv", "--out", tmp_path], "is no file"),
        ([folder, "--csv", "--out", tmp_path / "no" / "t.csv"], f"no such folder {tmp_path / 'no'}"),
    ):
        found = call("export", *arguments)
        assert (found.exit_code, found.stdout) == (2, ""), arguments
        assert message in found.stderr
        assert found.stderr.count("\n") == 1
    assert not inside.exists()
    (folder / "windows" / "none-3.parquet").unlink()
    assert "1 of 9 runs are missing (none-3)" in call("export", folder, "--csv").stderr
    interrupted(folder, seeds=[4, 5])
    for table in ("summary", "comparisons"):
        assert "is of other seeds or settings" in call("export", folder, "--csv", "--table", table).stderr
    # Of runs that are there the table tells, whatever was asked for last.
    assert len(rows_of(exported(folder, "--csv", "--table", "runs"))) == 9
