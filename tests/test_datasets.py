"""A sweep as one dataset: what a filter opens, swept keys as columns, who reads it."""

import csv
import io
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs as pafs
import pytest

import tierfetch
from experiments.datasets import dataset_of
from experiments.variants import KeptVariants
from simulator.errors import InputError
from tests.test_experiment import write
from tests.test_python import small
from tests.test_results import call, ran

CAPACITY, N = "system.tiers.hbm.capacity", "arms.next_n.policy.n"
SWEEP = {CAPACITY: ["40 KiB", "200 KiB"], N: [1, 3], "when": f"{CAPACITY} < '100 KiB' or {N} == 1"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweep")
    content = small(sweep=SWEEP)
    content["arms"] = [
        {"name": "none", "policy": "none"},
        {"name": "next_n", "policy": "next_n"},
        {"name": "wrong", "policy": {"kind": "next_n", "n": 7, "stride": -7}},
    ]
    ran(write(folder, content), folder / "out", "--quiet", "--seeds", "3,4")
    return folder / "out"


@pytest.fixture(scope="module")
def results(made: Path) -> tierfetch.Results:
    return tierfetch.Results.open(made)


class Counted(pafs.FileSystemHandler):  # type: ignore[misc]
    """The local disk, with a list of what is opened there."""

    def __init__(self) -> None:
        self.opened: list[str] = []
        self._local = pafs.LocalFileSystem()

    def open_input_file(self, path: str) -> Any:
        self.opened.append(path)
        return self._local.open_input_file(path)

    def get_file_info(self, paths: Any) -> Any:
        return self._local.get_file_info(paths)

    def get_type_name(self) -> str:
        return "counted"

    def normalize_path(self, path: str) -> str:
        return path


for _name in pafs.FileSystemHandler.__abstractmethods__ - set(vars(Counted)):
    # Nothing is written, and folders are not listed.
    setattr(Counted, _name, None)
Counted.__abstractmethods__ = frozenset()


def opened_by(made: Path, where: Any) -> tuple[list[str], pa.Table]:
    found, files = KeptVariants.open(made), Counted()
    rows = dataset_of(
        made, "accesses", found.parts("accesses", None), found.front, filesystem=pafs.PyFileSystem(files)
    ).to_table(filter=where)  # fmt: skip
    return sorted({str(Path(path).relative_to(made)) for path in files.opened}), rows


def test_a_filter_on_keys_arms_and_seeds_opens_their_files_alone(made: Path) -> None:
    small_one, large = sorted(path.name for path in made.iterdir())[::-1]
    assert (small_one, large) == ("capacity-40KiB", "capacity-200KiB")
    names, rows = opened_by(made, (ds.field(CAPACITY) == 200 << 10) & (ds.field("seed") == 4))
    assert names == [f"{large}/accesses/{arm}-4.parquet" for arm in ("next_n-n-1", "none", "wrong")]
    assert rows.num_rows == 3 * 600
    names, rows = opened_by(made, ds.field(N) == 3)
    assert names == [f"{small_one}/accesses/next_n-n-3-{seed}.parquet" for seed in (3, 4)]
    assert set(rows["arm"].to_pylist()) == {"next_n-n-3"}
    names, _ = opened_by(made, (ds.field("arm") == "none") & (ds.field("variant") == small_one))
    assert names == [f"{small_one}/accesses/none-{seed}.parquet" for seed in (3, 4)]
    # What a key does not apply to is null, and can be asked for.
    names, rows = opened_by(made, ds.field(N).is_null() & (ds.field("seed") == 3) & (ds.field("outcome") == "miss"))
    assert names == sorted(f"{of}/accesses/{arm}-3.parquet" for of in (small_one, large) for arm in ("none", "wrong"))
    assert rows[N].null_count == rows.num_rows > 0
    assert opened_by(made, ds.field(CAPACITY) == 1)[0] == []


def test_swept_keys_are_columns_of_every_table(results: tierfetch.Results) -> None:
    runs = results.runs
    assert list(runs.columns[:4]) == ["variant", CAPACITY, N, "arm"]
    found = {(row.variant, row.arm): (row._1, row._2) for row in runs[runs.columns[:4]].itertuples(index=False)}
    assert found == {
        ("capacity-40KiB", "none"): (40960, pd.NA), ("capacity-40KiB", "next_n-n-1"): (40960, 1),
        ("capacity-40KiB", "next_n-n-3"): (40960, 3), ("capacity-40KiB", "wrong"): (40960, pd.NA),
        ("capacity-200KiB", "none"): (204800, pd.NA), ("capacity-200KiB", "next_n-n-1"): (204800, 1),
        ("capacity-200KiB", "wrong"): (204800, pd.NA),
    }  # fmt: skip
    assert results.arrow.runs.schema.field(N).type == pa.int64()
    for table in ("comparisons", "attribution", "runs", "accesses", "prefetches", "windows"):
        dataset = results.dataset(table)
        assert [dataset.schema.field(name).type for name in ("variant", CAPACITY, N)] == [
            pa.string(), pa.int64(), pa.int64(),
        ]  # fmt: skip
        rows = dataset.to_table(columns=["arm", N]).group_by(["arm", N]).aggregate([]).to_pylist()
        assert {(row["arm"], row[N]) for row in rows} <= {
            ("none", None), ("next_n-n-1", 1), ("next_n-n-3", 3), ("wrong", None),
        }  # fmt: skip
        assert {row[N] for row in rows} == {None, 1, 3}, table


def test_it_has_the_rows_of_all_files(results: tierfetch.Results) -> None:
    for table in ("accesses", "prefetches", "windows"):
        alone = [one.dataset(table).to_table().to_pylist() for one in results.variants.values()]
        whole = results.dataset(table).to_table()
        rows = [row for rows in alone for row in rows]
        assert whole.select(list(rows[0])).to_pylist() == rows
    frame = results.accesses(arm=["none", "wrong"], seed=4, columns=["variant", CAPACITY, "arm", "latency_ns"])
    assert frame.groupby([CAPACITY, "arm"], observed=True).size().to_dict() == {
        (capacity, arm): 600 for capacity in (40960, 204800) for arm in ("none", "wrong")
    }
    assert (
        results.arrow.windows(seed=3).count_rows()
        == results.dataset("windows").filter(ds.field("seed") == 3).count_rows()
    )


def test_one_result_is_read_through_the_same_door(made: Path, tmp_path: Path) -> None:
    one = tierfetch.Results.open(made / "capacity-40KiB")
    assert one.dataset("runs").schema.names[0] == N
    assert one.dataset("accesses").schema.names[:2] == [N, "arm"]
    assert one.accesses("next_n-n-3", 3)[N].unique().tolist() == [3]
    assert one.runs[N].dropna().unique().tolist() == [1, 3]
    with pytest.raises(InputError, match="dataset: there is no 'acesses'; expected one of runs, comparisons, "):
        one.dataset("acesses")
    with pytest.raises(InputError, match=r"keeps no transfers of these runs \(output.transfers: false\)"):
        one.dataset("transfers")


def test_a_file_that_is_missing_is_named(made: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(made, tmp_path / "out")
    (tmp_path / "out" / "capacity-200KiB" / "accesses" / "none-3.parquet").unlink()
    with pytest.raises(InputError, match=r"capacity-200KiB/accesses/none-3.parquet: is missing"):
        tierfetch.Results.open(tmp_path / "out").dataset("accesses")


def test_pandas_reads_it(results: tierfetch.Results) -> None:
    some = results.dataset("accesses").filter(ds.field(CAPACITY) == 40960).to_table(columns=["arm", "latency_ns"])
    means = some.to_pandas().groupby("arm", observed=True)["latency_ns"].mean()
    assert means["none"] == pytest.approx(_mean(results, "none"))


def _mean(results: tierfetch.Results, arm: str) -> float:
    runs = results.runs
    return float(runs[(runs["arm"] == arm) & (runs[CAPACITY] == 40960)]["mean_latency_ns"].mean())


@pytest.mark.skipif(find_spec("polars") is None, reason="needs Polars")
def test_polars_reads_it(results: tierfetch.Results) -> None:
    import polars as pl

    lazy = pl.scan_pyarrow_dataset(results.dataset("accesses"))
    assert isinstance(lazy, pl.LazyFrame)
    found = lazy.filter((pl.col(CAPACITY) == 40960) & (pl.col("arm") == "none")).select(pl.col("latency_ns").mean())
    assert found.collect().item() == pytest.approx(_mean(results, "none"))
    assert lazy.filter(pl.col(N) == 3).collect()["arm"].unique().to_list() == ["next_n-n-3"]
    assert pl.scan_pyarrow_dataset(results.dataset("runs")).filter(pl.col(N).is_null()).collect().height == 8
    assert lazy.filter(pl.col("outcome") == "miss").select(pl.len()).collect().item() > 0


@pytest.mark.skipif(find_spec("duckdb") is None, reason="needs DuckDB")
def test_duckdb_reads_it(results: tierfetch.Results) -> None:
    import duckdb

    with duckdb.connect() as connection:
        connection.register("accesses", results.dataset("accesses"))
        connection.register("runs", results.dataset("runs"))
        # Names with dots need quotes.
        where = f"where \"{CAPACITY}\" = 40960 and arm = 'none'"
        [(mean,)] = connection.execute(f"select avg(latency_ns) from accesses {where}").fetchall()
        assert mean == pytest.approx(_mean(results, "none"))
        found = connection.execute(
            f'select distinct a.arm, "{N}", r.hit_ratio > 0 from accesses a join runs r using (variant, arm, seed, '
            f'"{N}") where "{N}" = 3'
        ).fetchall()
        assert found == [("next_n-n-3", 3, True)]


def test_show_and_export_have_the_keys_of_arms(made: Path) -> None:
    text = call("export", made, "--csv").stdout
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(row[CAPACITY], row[N], row["arm"]) for row in rows][:4] == [
        ("40960", "", "none"), ("40960", "1", "next_n-n-1"), ("40960", "3", "next_n-n-3"), ("40960", "", "wrong"),
    ]  # fmt: skip
    one = list(csv.DictReader(io.StringIO(call("export", made / "capacity-40KiB", "--csv").stdout)))
    assert [row[N] for row in one] == ["", "1", "3", ""]
    lines = call("show", made).stdout.splitlines()
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if line.startswith("│")]
    # In its narrow column a name is folded.
    assert [row[2:4] for row in cells if row[4]][:4] == [
        ["", "none"],
        ["1", "next_n-n-"],
        ["3", "next_n-n-"],
        ["", "wrong"],
    ]


def test_large_tables_are_exported_some_rows_at_a_time(made: Path, results: tierfetch.Results, tmp_path: Path) -> None:
    done = call("export", made, "--csv", "--table", "accesses", "--out", tmp_path / "a.csv")
    assert done.exit_code == 0, done.output
    with (tmp_path / "a.csv").open(newline="") as file:
        lines = list(csv.reader(file))
    rows = results.dataset("accesses").to_table().to_pylist()
    assert lines[0] == list(rows[0])
    assert lines[1:] == [["" if value is None else str(value) for value in row.values()] for row in rows]
    some = call("export", made, "--csv", "--table", "windows", "--columns", f"{CAPACITY},arm,used_bytes").stdout
    assert some.splitlines()[:2] == [f"{CAPACITY},arm,used_bytes", "40960,none,[0]"]
    refused = call("export", made, "--markdown", "--table", "accesses")
    assert (refused.exit_code, refused.stderr) == (2, "error: --table accesses: grows with the trace; expected --csv\n")
    refused = call("export", made, "--csv", "--table", "accesses", "--columns", "arm,latency")
    assert "--columns arm,latency: there is no 'latency'; did you mean 'latency_ns'?" in refused.stderr
