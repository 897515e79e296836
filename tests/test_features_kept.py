"""Features wherever rows are kept: compact traces, pieces, phases, streams side by side, samples, shared traces."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.shared import HashedWorkload, share
from simulator.errors import InputError
from simulator.trace import Batch, concatenate, make_batch, with_features
from tests.strategies import ListWorkload
from workloads.combine import Interleave, Phases, Slice
from workloads.readers import compact_writer
from workloads.readers.compact import Compact
from workloads.readers.compact_writer import CompactWriter
from workloads.sampling import PARTS, are_sampled, sample
from workloads.spread import Spread
from workloads.statistics import statistics_of

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
ODD = st.sampled_from(["key", "op", "feature.key", "a.b", "", " ", "\0", "\U0001f600", "time_ns"])
UINT64 = st.sampled_from([0, 1, 2**63, 2**64 - 1]) | st.integers(0, 2**64 - 1)
Rows = list[dict[str, int]]


@st.composite
def traces(draw: st.DrawFn, names: Any = NAMES | ODD, most: int = 40) -> ListWorkload:
    """One or more accesses with any features, in batches of any size."""
    n, chosen = draw(st.integers(1, most)), draw(st.lists(names, max_size=3, unique=True))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    features = {name: rng.choice(np.array(draw(st.lists(UINT64, min_size=1)), np.uint64), n) for name in chosen}
    batch = make_batch(
        rng.integers(0, 2**64, n, np.uint64), size_bytes=rng.integers(1, 2**40, n), stream=rng.integers(0, 3, n),
        request=np.arange(n) // 2, op=rng.integers(0, 2, n), time_ns=np.arange(n) // 3 * 100, features=features,
    )  # fmt: skip
    return ListWorkload(batch, draw(st.integers(1, 50)))


def rows_of(batch: Batch) -> Rows:
    """A row an access, as plain numbers."""
    columns = {"key": batch.key, "size_bytes": batch.size_bytes, "op": batch.op}
    columns |= {f"feature {name}": column for name, column in batch.features.items()}
    return [dict(zip(columns, row, strict=True)) for row in zip(*(c.tolist() for c in columns.values()), strict=True)]


def all_rows(workload: Any) -> Rows:
    return [row for batch in workload.batches() for row in rows_of(batch)]


def only_common(parts: Sequence[Rows]) -> list[Rows]:
    """Without the columns that not all rows of all parts have."""
    common = set.intersection(*(set(row) for rows in parts for row in rows))
    return [[{name: value for name, value in row.items() if name in common} for row in rows] for rows in parts]


def written(path: Path, workload: ListWorkload) -> Compact:
    writer = CompactWriter(path)
    for batch in workload.batches():
        writer.write(batch)
    writer.finish("t", None, has_times=True)
    writer.close()
    return Compact(path)


@given(traces())
@settings(max_examples=50, deadline=None)
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, given_trace: ListWorkload) -> None:
    path = tmp_path_factory.mktemp("compact") / "t.parquet"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compact_writer, "ROW_GROUP", 7)
        found = written(path, given_trace)
    read = concatenate(list(found.batches()))
    assert rows_of(read) == rows_of(given_trace.batch)
    assert list(read.features) == list(given_trace.batch.features)
    assert all(column.dtype == np.uint64 for column in read.features.values())
    assert pq.read_schema(path).names[6:] == [f"feature.{name}" for name in given_trace.batch.features]


def described(path: Path, schema: Any = None, **changes: Any) -> Compact:
    """A compact trace that says something else of itself; what is changed to None it does not say."""
    table = pq.read_table(path)
    about = json.loads(pq.read_metadata(path).metadata[b"tierfetch_trace"]) | changes
    about = {name: value for name, value in about.items() if value is not None or name not in changes}
    table = table.cast(schema) if schema is not None else table
    pq.write_table(table.replace_schema_metadata({"tierfetch_trace": json.dumps(about)}), path)
    return Compact(path)


@pytest.mark.parametrize("version", [1, 2, 3])
def test_sizes_of_32_bits_are_read(tmp_path: Path, version: int) -> None:
    """As versions before the fourth had them; they are read as those of 64 bits are."""
    sizes = [1, 2**32 - 1, 4096]
    path = tmp_path / "t.parquet"
    written(path, ListWorkload(make_batch([5, 6, 7], size_bytes=sizes)))
    schema = pq.read_schema(path)
    schema = schema.set(2, pa.field("size_bytes", pa.uint32(), nullable=False))
    found = described(path, schema, version=version, features=None)
    assert pq.read_schema(path).field("size_bytes").type == pa.uint32()
    (batch,) = found.batches()
    assert (batch.size_bytes.tolist(), batch.size_bytes.dtype, batch.features) == (sizes, np.int64, {})


@pytest.mark.parametrize("features", [5, "pc", [5], ["pc", "pc"], {"pc": "pc"}])
def test_a_damaged_description_is_refused(tmp_path: Path, features: Any) -> None:
    path = tmp_path / "t.parquet"
    written(path, ListWorkload(make_batch([5], features={"pc": np.array([1])})))
    with pytest.raises(InputError, match="its description as a compact trace is damaged"):
        list(described(path, features=features).batches())


def test_a_description_of_other_columns_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    written(path, ListWorkload(make_batch([5], features={"pc": np.array([1])})))
    for features in (["layer"], [], ["pc", "layer"]):
        with pytest.raises(InputError, match="has columns"):
            list(described(path, features=features).batches())


def test_a_name_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a name of Unicode characters"):
        written(tmp_path / "t.parquet", ListWorkload(make_batch([5], features={"\ud800": np.array([1])})))


FEW = st.sampled_from(["pc", "layer", "token"])


@given(traces(FEW), st.integers(0, 30), st.integers(1, 50))
def test_a_slice(whole: ListWorkload, first: int, n: int) -> None:
    assert all_rows(Slice(whole, first, n)) == all_rows(whole)[first : first + n]


@given(st.lists(traces(FEW), min_size=1, max_size=3), st.integers(1, 3))
def test_phases(parts: list[ListWorkload], rounds: int) -> None:
    rounds = min(rounds, max(part.length() for part in parts))
    rows, expected = only_common([all_rows(part) for part in parts]), []
    for turn in range(rounds):
        for of_part in rows:
            expected += of_part[len(of_part) * turn // rounds : len(of_part) * (turn + 1) // rounds]
    made = Phases(parts, rounds)
    assert all_rows(made) == expected
    assert all_rows(made) == expected


@given(st.lists(traces(FEW), min_size=1, max_size=3))
def test_side_by_side(parts: list[ListWorkload]) -> None:
    rows = only_common([all_rows(part) for part in parts])
    longest = max(map(len, rows))
    expected = [of_part[i] for i in range(longest) for of_part in rows if i < len(of_part)]
    assert all_rows(Interleave(parts)) == expected


def test_side_by_side_behind_the_end_of_one_that_has_none(tmp_path: Path) -> None:
    """What all have is what they have in all: not more once one has ended, many pieces later."""
    long = ListWorkload(make_batch(np.arange(20_000), features={"pc": np.arange(20_000)}), 3000)
    made = Interleave([long, ListWorkload(make_batch([1]))])
    assert {tuple(batch.features) for batch in made.batches()} == {()}
    assert {tuple(batch.features) for batch in Phases([ListWorkload(make_batch([1])), long]).batches()} == {()}
    assert share(made, tmp_path / "shared").length() == 20_001


@given(traces(FEW))
def test_spread_arrivals(trace: ListWorkload) -> None:
    assert all_rows(Spread(trace, True, 0)) == all_rows(trace)


@given(traces(FEW), st.integers(1, PARTS))
def test_a_sample(trace: ListWorkload, parts: int) -> None:
    kept = are_sampled(trace.batch.key, parts).tolist()
    assert rows_of(sample(trace.batch, parts)) == [row for row, keep in zip(all_rows(trace), kept, strict=True) if keep]


@given(traces(FEW), st.integers(1, 20))
def test_statistics_do_not_depend_on_them(trace: ListWorkload, window: int) -> None:
    plain = ListWorkload(with_features(trace.batch, ()), trace.batch_size)
    found, expected = (statistics_of(of.batches(), window) for of in (trace, plain))
    assert found.summary() == expected.summary()
    assert found.working_set() == expected.working_set()


def test_what_is_chosen() -> None:
    batch = make_batch([1, 2], features={"pc": np.array([3, 4]), "layer": np.array([5, 6])})
    assert with_features(batch, ("pc", "layer", "more")) is batch
    assert {name: column.tolist() for name, column in with_features(batch, ["layer"]).features.items()} == {
        "layer": [5, 6]
    }


@given(traces())
@settings(max_examples=30, deadline=None)
def test_a_shared_trace(tmp_path_factory: pytest.TempPathFactory, trace: ListWorkload) -> None:
    shared = share(trace, tmp_path_factory.mktemp("shared") / "t")
    assert all_rows(shared) == all_rows(trace)
    hashed = HashedWorkload(trace)
    assert all_rows(hashed) == all_rows(trace)
    assert hashed.sha256 == shared.sha256


def test_the_hash_of_a_trace_is_of_its_features_too() -> None:
    def hashed(features: dict[str, Any]) -> str:
        found = HashedWorkload(ListWorkload(make_batch([1, 2], features=features)))
        list(found.batches())
        return found.sha256

    pc = np.array([3, 4])
    batches = [{}, {"pc": pc}, {"layer": pc}, {"pc": pc + 1}, {"pc": pc, "layer": pc}]
    assert len({hashed(features) for features in batches}) == len(batches)
    assert hashed({"pc": pc, "layer": pc}) == hashed({"layer": pc, "pc": pc})


def test_pieces_keep_them() -> None:
    batch = make_batch([1, 2, 3, 4], features={"pc": np.array([5, 6, 7, 8])})
    assert batch[1:3].features["pc"].tolist() == [6, 7]
    assert batch[batch.key > 2].features["pc"].tolist() == [7, 8]
    assert concatenate([batch[:1], make_batch([]), batch[3:]]).features["pc"].tolist() == [5, 8]
    other = replace(batch, features={"layer": batch.key, "pc": batch.key})
    assert list(concatenate([batch, other]).features) == ["pc"]
