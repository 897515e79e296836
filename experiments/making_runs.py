"""The runs of an experiment that are to be made, on their way into its folder."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.callbacks import Callbacks
from experiments.config import Experiment
from experiments.crews import Steps
from experiments.exits import RunsDiedError, RunsFailedError
from experiments.folder import SHARED, about
from experiments.interrupts import Interrupts
from experiments.kept import Done, Kept
from experiments.plan import Key, Run, in_turn, is_timed, key_of, planned
from experiments.progress import OneRun, RunProgress
from experiments.shards import Share
from simulator.errors import InputError, OutsideError

if TYPE_CHECKING:
    from experiments.clusters.joined import Cluster
    from experiments.common import Common
    from experiments.crews import Group, Result, Task
    from experiments.prepared import OtherEngine
    from experiments.settling import Cut
    from experiments.shared import SharedTrace
    from simulator.trace import Workload

Row = dict[str, Any]


def metadata(experiment: Experiment, rows: list[Row]) -> dict[str, Any]:
    """What the tables over several runs say of themselves; the last three by arm, or by seed for the trace."""
    from experiments.single import code_hash, versions

    return {
        "config": experiment.model_dump(mode="json"),
        "config_hash": experiment.folder_hash(),
        "versions": versions(),
        "code": code_hash(),
        "device": {row["arm"]: row["device"] for row in rows},
        "latencies": {row["arm"]: row["latencies"] for row in rows},
        "trace_sha256": {str(row["seed"]): row["trace_sha256"] for row in rows},
    }


def in_order_of_plan(experiment: Experiment, kept: Kept) -> list[Row]:
    """The rows of all that is kept, by arm, seed and repeat."""
    arms = [arm.name for arm in experiment.arms]
    return [kept.runs[key].row for key in sorted(kept.runs, key=lambda key: (arms.index(key[0]), *key[1:]))]


def _told(run: Run, error: OutsideError) -> list[str]:
    """What failed, and where in the code from outside."""
    first, *frames = error.lines
    where = f"{run}" + (f", access {error.access}" if error.access is not None else "")
    return [f"error: {where}: {first}", *(f"  {frame}" for frame in frames)]


def hash_of(experiment: Experiment, run: Run, n_warm_up: int, traces: Mapping[str, str]) -> str:
    """What makes a run the one that it is; ``traces`` has the SHA-256 of each trace file."""
    from experiments.single import run_hash

    return run_hash(experiment, run, n_warm_up) + str(sorted(traces.values()))


class Making:
    """The runs of an experiment, on their way into its folder."""

    def __init__(
        self, experiment: Experiment, folder: Path, kept: Kept, traces: dict[str, str], callbacks: Callbacks,
        share: Share | None, cluster: "Cluster | None" = None, common: "Common | None" = None,
        engine: "OtherEngine | None" = None,
    ) -> None:  # fmt: skip
        self.experiment, self.folder, self.kept, self.traces = experiment, folder, kept, traces
        self._callbacks, self._share, self._cluster, self._common = callbacks, share, cluster, common
        self._engine = engine
        self.runs = [run for run in planned(experiment) if share is None or run.key in share.keys]
        """Those that are asked for."""
        self._todo: dict[Key, Run] = {}
        self._cuts: dict[int, Cut] = {}
        self._hashes: dict[Key, str] = {}
        self._sources: dict[str, list[str]] = {}
        self._failed: list[tuple[Run, OutsideError]] = []
        self._died: list[str] = []
        self._digests: dict[int, str] = {}

    def choose(self, progress: RunProgress, *, force: bool, title: str) -> None:
        """Keep what fits: its hash is today's, its files are as they were written. All else of the plan is made."""
        from experiments.settling import cut_of
        from experiments.single import sources_of
        from workloads.readers.files import files_in

        find_sources = sources_of if self._common is None else self._common.sources_of
        runs = {run.key: run for run in self.runs}
        if title:
            progress.say(f"{title}: {len(runs)} runs")
        for file in files_in(self.experiment.workload.source.build(self.experiment.seeds[0])):
            for note in file.notes_of_ids():
                progress.say(note)
        arms = {arm.name: arm for arm in self.experiment.arms}
        for seed in self.experiment.seeds:
            self._cuts[seed] = cut_of(self.experiment, seed, workload=self._known(seed))
        for key, found in list(self.kept.runs.items()):
            name, seed, repeat = key
            run = Run(arms[name], seed, repeat) if name in arms else None
            # Runs of other seeds stay in the table: a folder is an experiment whatever seeds it was asked for last.
            if seed not in self._cuts and run is not None:
                self._cuts[seed] = cut_of(self.experiment, seed, workload=self._known(seed))
            # With --force, a repeat beyond those that are asked for, too: it would stay beside others of another hour.
            is_repeated = force and (key in runs or (name, seed, 0) in runs)
            if run is None or found.hash != self._hash(run) or is_repeated:
                # Its files go with it: whoever reads a table reads all that lie there.
                self.kept.remove(key)
            elif damage := self.kept.damage(found):
                what = "is made again" if key in runs else "was not asked for, and is removed"
                progress.say(f"{self.folder / damage}: {run} {what}")
                # Not one of its files is left, so that nobody reads what is damaged together with the others.
                self.kept.remove(key)
        self._todo = {key: run for key, run in runs.items() if key not in self.kept.runs}
        for key in runs.keys() - self._todo.keys():
            progress.has(self.kept.runs[key].row)
        for key, run in self._todo.items():
            # Before it is made: what is found afterwards may have been edited meanwhile.
            self._hash(run)
            self._sources[key[0]] = find_sources(self.experiment, run.arm)
        progress.expect(len(self._todo))
        n_kept = len(runs) - len(self._todo)
        if n_kept:
            progress.say(f"{n_kept} of {len(runs)} runs are finished already (--force repeats them)")

    def _known(self, seed: int) -> "Workload | None":
        return None if self._common is None else self._common.read(self.experiment, seed, self.traces)

    def _hash(self, run: Run) -> str:
        """What makes it this run: of the inputs as they were found before it is made."""
        if run.key not in self._hashes:
            n_warm_up = self._cuts[run.seed].n_accesses
            # What another engine has made is never taken for the simulator's.
            other = "" if self._engine is None else self._engine.name
            self._hashes[run.key] = hash_of(self.experiment, run, n_warm_up, self.traces) + other
        return self._hashes[run.key]

    def _n_warm_up(self, run: Run) -> int:
        return self._cuts[run.seed].n_accesses

    def run(self, progress: RunProgress) -> Steps[None]:
        """Make what is to be made, and keep each as it is over."""
        if not self._todo:
            return
        from experiments.compiling import Announced
        from experiments.prepared import chosen_engine
        from experiments.warm import compile_core

        experiment = self.experiment
        if self._engine is None:
            for chosen in dict.fromkeys(chosen_engine(experiment, arm) for arm in experiment.arms):
                progress.say(f"engine: {chosen}" + (" (auto)" if chosen != experiment.engine else ""))
        self._digests = {seed: found.row["trace_sha256"] for (_, seed, _), found in self.kept.runs.items()}
        runs = in_turn(list(self._todo.values()))
        evictions = [tier.eviction for arm in experiment.arms for tier in experiment.system_of(arm).tiers]
        if self._common is not None:
            if self._cluster is None:
                with Announced(progress.say):
                    self._common.compile(evictions)
            yield from self._make_with_others(runs, progress)
        else:
            with Announced(progress.say), closing(Interrupts()) as interrupts:
                if self._cluster is None:
                    compile_core(evictions)
                for done in self._make(runs, progress, interrupts):
                    self._keep(done)
                    interrupts.check()
        failed = [line for run, error in self._failed for line in _told(run, error)]
        if self._died:
            raise RunsDiedError(*self._died, *failed)
        if failed:
            raise RunsFailedError(*failed)

    def _keep(self, done: Done) -> None:
        """A run is over."""
        seed, digest = done.row["seed"], done.row["trace_sha256"]
        if self._digests.setdefault(seed, digest) != digest:
            raise InputError(f"seed {seed}: the trace changed between arms; run again with --force")
        row = {**done.row, "has_settled": self._cuts[seed].has_settled}
        run = self._todo[key_of(row)]
        self._check_sources(run)
        self.kept.add(self._hash(run), Done(row, done.files))
        self._callbacks.run_finished(row)

    def _check_sources(self, run: Run) -> None:
        """What was run is what its hash says: nobody edited it meanwhile."""
        from experiments.single import sources_of

        if sources_of(self.experiment, run.arm) != self._sources[run.arm.name]:
            raise InputError(f"{run}: its policy's sources were edited while it ran; run the same command again")

    def _n_simulated(self, trace: "SharedTrace | None" = None) -> int:
        from experiments.prepared import split

        # To know its length may take reading it.
        workload = trace or self.experiment.workload.source.build(self.experiment.seeds[0])
        return workload.length() - split(self.experiment, workload).first

    def _make(self, runs: list[Run], progress: RunProgress, interrupts: Interrupts) -> Iterator[Done]:
        """Each run as it is over."""
        from experiments.single import run_one

        n_simulated = self._n_simulated()
        if self._cluster is not None or min(progress.n_at_once, len(runs)) > 1:
            yield from self._side_by_side(runs, progress, n_simulated)
            return
        for run in runs:
            shown = progress.start(str(run), n_simulated, arm=run.arm.name)

            def tell(*done: Any, shown: OneRun = shown) -> None:
                interrupts.check()
                shown.accesses(*done)

            try:
                done = run_one(
                    self.experiment, run, self.folder, self._n_warm_up(run), tell, shown.epoch, say=shown.said,
                    watches=progress.watches, engine=self._engine,
                )  # fmt: skip
            except OutsideError as error:
                self._failed.append((run, error))
                shown.failed()
                continue
            shown.finish(done.row)
            yield done

    def _groups(self, runs: list[Run], progress: RunProgress) -> "list[tuple[list[Task], bool]]":
        """Tasks in the order in which they are made; whether they are made alone.

        What runs beside a run whose own wall time is charged would be measured with it.
        """
        from experiments.crews import Task

        training = [Task(run, trains_only=True) for run in self._trained_ahead(runs)]
        tasks = [Task(run, self._n_warm_up(run), watches=progress.watches) for run in runs]
        beside, timed = ([task for task in tasks if is_timed(task.run.arm) == kind] for kind in (False, True))
        return [([*training, *beside], False), (timed, True)]

    @staticmethod
    def _showing(progress: RunProgress, n_simulated: int) -> "Callable[[Task], OneRun]":
        def show(task: "Task") -> OneRun:
            if task.trains_only:
                return progress.start_training(str(task.run), arm=task.run.arm.name)
            is_again = task.n_tries > 0
            return progress.start(str(task.run), n_simulated, arm=task.run.arm.name, is_again=is_again)

        return show

    def _come(self, task: "Task", what: "Result") -> Done | None:
        """What came of a task, if that is a run."""
        if isinstance(what, OutsideError):
            # What fails in training fails in the run again, and is told once.
            self._failed += [(task.run, what)] * (not task.trains_only)
            return None
        return what if isinstance(what, Done) else None

    def _side_by_side(self, runs: list[Run], progress: RunProgress, n_simulated: int) -> Iterator[Done]:
        from experiments.shared import share_all

        n, seeds = min(progress.n_at_once, len(runs)), sorted({run.seed for run in runs})
        traces = share_all(self.experiment.workload.source, seeds, self.folder / SHARED, n)
        show = self._showing(progress, n_simulated)
        for group, alone in self._groups(runs, progress):
            try:
                for task, what in self._made(group, n, traces, show, alone=alone):
                    done = self._come(task, what)
                    if done is not None:
                        yield done
            except RunsDiedError as error:
                # The others are made before it is told.
                self._died += error.args

    def _make_with_others(self, runs: list[Run], progress: RunProgress) -> Steps[None]:
        from experiments.crews import Group, Work

        assert self._common is not None
        seeds = sorted({run.seed for run in runs})
        with self._common.traces_of(self.experiment, seeds, self.traces) as traces:
            show = self._showing(progress, self._n_simulated(traces[seeds[0]]))
            work = Work(self.experiment, self.folder, traces, self._common.shared, show)
            try:
                for tasks, alone in self._groups(runs, progress):
                    yield from self._ask_for(Group(work, tasks, alone))
            except BaseException:
                self._common.stop()
                raise

    def _ask_for(self, group: "Group") -> Steps[None]:
        from experiments.crews import Died
        from experiments.workers import died_of

        assert self._common is not None
        deaths = list[Died]()
        for i in range(len(group.tasks)):
            task, what = yield group if i == 0 else None
            if isinstance(what, Died):
                deaths.append(what)
                continue
            done = self._come(task, what)
            if done is not None:
                self._keep(done)
        if deaths:
            # The others are made before it is told.
            self._died += died_of(deaths, self._common.n_attempts).args

    def _trained_ahead(self, runs: list[Run]) -> list[Run]:
        """Those whose models are trained before they run: beside others, where they are timed themselves.

        On a cluster also where several need the same, as each of its machines may have a disk of its own.
        """
        learning = [run for run in runs if run.arm.policy.learns]
        if self._cluster is None:
            return list({(run.arm.name, run.seed): run for run in learning if is_timed(run.arm)}.values())
        from experiments.clusters.answers import of_model

        needed = Counter(map(of_model, learning))
        return list({of_model(run): run for run in learning if is_timed(run.arm) or needed[of_model(run)] > 1}.values())

    def _made(
        self, group: "list[Task]", n: int, traces: "Mapping[int, SharedTrace]", show: "Callable[[Task], OneRun]", *,
        alone: bool,
    ) -> "Iterator[tuple[Task, Done | OutsideError | None]]":  # fmt: skip
        """Tasks as they are over, in processes here or on the cluster."""
        if self._cluster is None:
            from experiments.workers import side_by_side

            return side_by_side(self.experiment, self.folder, group, 1 if alone else n, traces, show)
        from experiments.clusters.on_ray import on_ray

        return on_ray(self._cluster, self.experiment, self.folder, group, traces, show, alone=alone)

    def write(self) -> None:
        """The manifest and the table ``runs``, of all that is kept, in order of arms, seeds and repeats."""
        from experiments.tables import write_rows

        rows = in_order_of_plan(self.experiment, self.kept)
        said = metadata(self.experiment, rows)
        self.kept.write(about(self.experiment, self.traces, said, self._share))
        if rows:
            write_rows(self.folder / "runs.parquet", rows, said)
