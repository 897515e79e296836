"""Updates that a policy begins (R43): on a device of their own, or on the inference server when nobody asks."""

from simulator.arrays import NONE
from simulator.compiled import compiled, internal
from simulator.events import UPDATE_ENDS, cancel, schedule
from simulator.records.run import Run, run_at
from simulator.units import PPM


@internal
def is_on_server(run: Run) -> bool:
    """Whether a server is at work on one."""
    it = run.updating
    return it.is_live != 0 and it.shares != 0 and it.began_ns != NONE


@internal
def _start(run: Run) -> None:
    it = run.updating
    it.began_ns = run.now
    if it.started_ns == NONE:
        it.started_ns = run.now
    if it.shares:
        run.server.slow_ppm = run.settings.busy_ppm
    schedule(run, it.left_ns, UPDATE_ENDS, NONE)


@compiled
def begin(machine: int, ns: int, shares: bool) -> None:
    """The policy has begun one that takes so long; ``machine`` is the address of the run's memory."""
    run = run_at(machine)
    it = run.updating
    it.is_live, it.shares, it.left_ns, it.begun_ns, it.n_preempted = 1, shares, ns, run.now, 0
    it.began_ns = it.started_ns = it.ended_ns = NONE
    if ns == 0:
        it.started_ns = run.now
        end(run)
    elif not shares:
        _start(run)


@internal
def can_go_on(run: Run) -> bool:
    """Whether one waits for a server, and one is free."""
    it = run.updating
    return (
        it.is_live != 0 and it.shares != 0 and it.began_ns == NONE and run.server.n_busy < run.settings.servers
    )  # fmt: skip


@internal
def go_on(run: Run) -> None:
    """It has a server, for as long as nobody asks."""
    _start(run)


@internal
def give_way(run: Run) -> None:
    """An inference begins: it gets the server, if no other is free."""
    it = run.updating
    if is_on_server(run) and run.server.n_busy + 1 == run.settings.servers:
        it.left_ns -= run.now - it.began_ns
        it.began_ns = NONE
        it.n_preempted += 1
        cancel(run, UPDATE_ENDS)


@internal
def end(run: Run) -> None:
    """It is over, and the policy hears of it before it is asked again."""
    it = run.updating
    it.is_live, it.left_ns, it.began_ns, it.ended_ns, it.is_news = 0, 0, NONE, run.now, 1
    if run.server.n_busy == 0:
        run.server.slow_ppm = PPM
