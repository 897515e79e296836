"""The campaign of damaged inputs in small, and that it finds what it is there to find."""

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from benchmarks.campaign import configs, faults, kept, traces
from benchmarks.campaign.__main__ import campaign, planned
from benchmarks.campaign.case import Case, DefectError
from benchmarks.campaign.commands import Ended, call, expect
from benchmarks.campaign.folders import check_books, differences
from benchmarks.campaign.hook import at_operation, fails
from benchmarks.campaign.workers import one
from experiments import exits, tables
from experiments.kept import Kept
from tests.test_experiment import config, write
from tests.test_faults import PLAIN
from workloads.readers import text_table

N_OF = {"configs": 600, "traces": 90, "kept": 20, "faults": 20, "kills": 2}


def test_nothing_is_found() -> None:
    """Of 732 cases, in a process of their own; the seed is that of CI, others are tried by hand."""
    cases = [Case(kind, 7, number) for kind, n in N_OF.items() for number in range(n)]
    tally = campaign(cases, 1)
    assert not tally.defects, "\n\n".join(
        f"python -m benchmarks.campaign {case}\n{said}" for case, said in tally.defects
    )
    n_of: dict[str, int] = {}
    for (kind, _), n in tally.outcomes.items():
        n_of[kind] = n_of.get(kind, 0) + n
    assert n_of == N_OF
    # What it means that nothing was found: all ways of ending were met often.
    met = tally.outcomes
    assert met["configs", "refused"] > 390
    assert met["configs", "done"] > 7
    assert met["configs", "done, as it was"] > 7
    assert met["configs", "too long to run here"] < 100
    assert met["traces", "refused"] > 30
    assert met["traces", "read"] > 25
    assert met["kept", "made good"] > 3
    assert met["kept", "refused, then forced"] > 1
    assert met["faults", "run: refused"] > 2
    assert met["faults", "run: interrupted"] > 0
    assert sum(n for (_, outcome), n in met.items() if outcome.startswith("process, ")) > 0


# -- it finds ----------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shared")
    # What is compiled and imported beforehand for the sake of time limits is left to each case here.
    configs.files(folder)
    for kind in (kept, faults):
        kind.prepare(folder)
    return folder


def found(kind: Any, numbers: Iterable[int], shared: Path, tmp_path: Path) -> Iterator[str]:
    """What some cases find, in this process, one after another."""
    name = kind.__name__.rpartition(".")[2]
    said = (one(kind, Case(name, 0, number), tmp_path / "case", shared)[1] for number in numbers)
    return (text for text in said if text)


def test_a_row_that_is_lost_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shared").mkdir()
    traces.prepare(tmp_path / "shared")
    assert list(found(traces, range(45), tmp_path / "shared", tmp_path)) == []
    read_pieces = text_table.read_pieces

    def whole_lines(path: Path) -> Iterator[bytes]:
        return (piece[: piece.rfind(b"\n") + 1] for piece in read_pieces(path))

    monkeypatch.setattr(text_table, "read_pieces", whole_lines)
    assert any("accesses; expected" in text for text in found(traces, range(45), tmp_path / "shared", tmp_path))


def test_a_traceback_is_found(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(found(configs, range(30), shared, tmp_path)) == []

    def leave(lines: list[str], code: int) -> None:
        raise RuntimeError(lines)

    monkeypatch.setattr(exits, "_leave", leave)
    assert any("a traceback" in text for text in found(configs, range(30), shared, tmp_path))


def test_what_ends_a_line_and_lines_without_end_are_found(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exits, "printable", lambda line: line)
    said = partial(found, configs, range(120), shared, tmp_path)
    assert any("characters" in text for text in said())
    assert any("belongs to no problem" in text or "names neither" in text or "would obey" in text for text in said())


def test_damage_that_is_not_looked_for_is_found(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Kept, "damage", lambda self, found: None)
    assert len(list(islice(found(kept, range(12), shared, tmp_path), 2))) > 1


def test_damage_that_is_made_good_without_a_word_is_found(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("experiments.progress.RunProgress.say", lambda self, text: None)
    assert any("without a word" in text for text in found(kept, range(12), shared, tmp_path))


def test_what_is_left_half_written_is_found(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables.RunTables, "abandon", lambda self: None)
    monkeypatch.setattr("experiments.runner.remove_leftovers", lambda folder: None)
    assert any("half-written" in text for text in found(faults, range(30), shared, tmp_path))


def test_results_that_are_lost_are_found(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables that a rerun writes in another order."""
    whole = kept.reference(shared, "phases")[1]
    assert differences(whole, whole) == []
    rows = tables.write_rows

    def shifted(path: Path, content: list[dict[str, Any]], about: dict[str, Any]) -> None:
        rows(path, content[::-1], about)

    monkeypatch.setattr(tables, "write_rows", shifted)
    assert any("other results" in text for text in found(kept, range(12), shared, tmp_path))


def test_books_that_do_not_close_are_found(shared: Path, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    path = write(tmp_path, config(arms=PLAIN, seeds=[0]))
    expect(call("experiments.run", path, "--out", tmp_path / "out"), 0)
    check_books(tmp_path / "out", 2)
    file = tmp_path / "out" / "accesses" / "none-0.parquet"
    table = pq.read_table(file)
    at = table.column_names.index("queue_ns")
    pq.write_table(table.set_column(at, "queue_ns", [[ns + 1 for ns in table["queue_ns"].to_pylist()]]), file)
    with pytest.raises(DefectError, match="not the sum"):
        check_books(tmp_path / "out", 2)


@pytest.mark.parametrize(
    ("ended", "text"),
    [
        (Ended([], 1, "", "error: a.yaml: x\n"), "exit code 1"),
        (Ended([], 2, "", "error: a.yaml: x\nTraceback (most recent call last):\n"), "a traceback"),
        (Ended([], 2, "", "Usage: run\n"), "no message of ours"),
        (Ended([], 2, "", "error: a.yaml: x\nb.yaml: y\n"), "belongs to no problem"),
        (Ended([], 2, "", "error: something is wrong\n"), "neither file nor key"),
        (Ended([], 0, "", "a warning\n"), "said something on standard error"),
        (Ended([], 130, "", "interrupted: x\ninterrupted: x\n"), "not said in one line"),
    ],
)
def test_how_a_command_must_not_end(ended: Ended, text: str) -> None:
    with pytest.raises(DefectError, match=text):
        expect(ended, 0, 2, 130, names=("a.yaml",))


def test_a_case_is_the_same_whenever_it_is_run() -> None:
    assert Case("kept", 3, 5).draws().random() == Case("kept", 3, 5).draws().random()
    assert Case("kept", 3, 5).draws().random() != Case("kept", 3, 6).draws().random()
    assert [str(case) for case in planned(["kills"], 0, 1, 4)] == ["--kinds kills --seed 4 --only 0"]
    assert len(planned(["configs", "traces", "kept", "faults", "kills"], 2000, 200, 0)) == 2200


def test_an_operation_fails_where_it_is_told_to(tmp_path: Path) -> None:
    with at_operation(tmp_path, 2, fails(28)) as watch:
        (tmp_path / "a").write_text("a")
        with pytest.raises(OSError, match="No space"):
            (tmp_path / "b").write_text("b")
        (tmp_path / "c").write_text("c")
    assert watch.n == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "c"]
