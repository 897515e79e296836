"""``python -m benchmarks.campaign``: damaged inputs by the thousand, and a table of what became of them."""

import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.campaign.case import Case
from benchmarks.campaign.workers import Tally, run_cases

SHARES = {"configs": 0.5, "traces": 0.3, "kept": 0.1, "faults": 0.1}
"""Of the cases, by kind; kills are counted for themselves."""
KINDS = (*SHARES, "kills")


def planned(kinds: list[str], n_cases: int, n_kills: int, seed: int) -> list[Case]:
    """The cases of a campaign, kind by kind."""
    chosen = {kind: share for kind, share in SHARES.items() if kind in kinds}
    n_of = {kind: round(n_cases * share / sum(chosen.values())) for kind, share in chosen.items()}
    n_of |= {"kills": n_kills} if "kills" in kinds else {}
    return [Case(kind, seed, number) for kind, n in n_of.items() for number in range(n)]


def campaign(cases: list[Case], n_jobs: int) -> Tally:
    """Run cases in processes beside each other, and say on standard error what is found as it is found."""
    started = told = time.monotonic()
    n_told = 0

    def show(tally: Tally) -> None:
        nonlocal told, n_told
        for case, found in tally.defects[n_told:]:
            print(f"\nfound by python -m benchmarks.campaign {case}\n{found}\n", file=sys.stderr, flush=True)
        n_told = len(tally.defects)
        n, now = tally.outcomes.total(), time.monotonic()
        if now - told >= 10 or n == len(cases):
            told = now
            said = f"{n:,} of {len(cases):,} cases, {len(tally.defects)} found, {now - started:.0f} s"
            print(said, file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="campaign-") as folder:
        return run_cases(iter(cases), Path(folder), n_jobs, show)


def rows(tally: Tally) -> Iterator[str]:
    """The table of counts, as Markdown."""
    yield "| kind | outcome | cases |"
    yield "|---|---|---|"
    for (kind, outcome), n in sorted(tally.outcomes.items(), key=lambda item: (KINDS.index(item[0][0]), item[0][1])):
        yield f"| {kind} | {outcome} | {n:,} |"


def main(
    cases: Annotated[int, typer.Option(min=0, help="How many, of all kinds but kills together.")] = 2000,
    seed: Annotated[int, typer.Option(help="Another seed, other cases.")] = 0,
    kinds: Annotated[str, typer.Option(metavar="KIND,...", help=f"Of {', '.join(KINDS)}.")] = ",".join(KINDS),
    kills: Annotated[int, typer.Option(min=0, help="How many commands are killed.")] = 200,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="So many cases at once.")] = 2,
    only: Annotated[int | None, typer.Option(metavar="N", help="This case alone, of one kind.")] = None,
) -> None:
    """Damage configs, kept results and the machine, kill commands, and look how they end.

    Each must end with exit code 0 and right results, or 2 and one line a problem, without a traceback, and leave
    nothing half-written. What is found is printed with the command that does it again. Exit code 1 where there is any.
    """
    wanted = [kind.strip() for kind in kinds.split(",")]
    for kind in wanted:
        if kind not in KINDS:
            raise typer.BadParameter(f"--kinds {kind}: expected some of {', '.join(KINDS)}")
    if only is not None and len(wanted) != 1:
        raise typer.BadParameter(f"--only {only}: goes with one kind; expected --kinds with one of {', '.join(KINDS)}")
    plan = planned(wanted, cases, kills, seed) if only is None else [Case(wanted[0], seed, only)]
    # A campaign of hours may be ended from elsewhere, and says what it has found until then.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    tally = campaign(plan, jobs)
    for row in rows(tally):
        print(row)
    took = ", ".join(f"{kind} {ms / 1000:.0f} s" for kind, ms in tally.seconds.items())
    of_all = f" of {len(plan):,}, interrupted," if tally.is_interrupted else ""
    print(f"\n{tally.outcomes.total():,} cases{of_all} with seed {seed}, {len(tally.defects)} found; {took}")
    for case, found in tally.defects:
        print(f"- {case}: {found.splitlines()[0][:300]}")
    if tally.defects:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
