"""Runs on Ray while workers are killed, a node leaves and the driver dies: ``python -m benchmarks.on_ray [PART ...]``.

PART is one of these, or of ``benchmarks.large_sweeps``. Each ends with the same results as one process leaves, or says
in what they differ. It needs ``tierfetch[ray]``.
"""

import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import yaml

from benchmarks.campaign.folders import asides, differences
from experiments.clusters.joined import Cluster, joined
from experiments.kept import RECEIPTS
from experiments.loading import load
from experiments.making import make

N_SEEDS, N_SWEPT = int(os.environ.get("ON_RAY_SEEDS", "70")), 24
KILL_EVERY_S = float(os.environ.get("ON_RAY_KILL_S", "20"))


def content(n_seeds: int, accesses: int = 600) -> dict[str, object]:
    """Three arms; ``engine: simpy`` for runs that take a while."""
    return {
        "name": "on_ray",
        "seeds": list(range(n_seeds)),
        "engine": "simpy",
        "workload": {"source": {"kind": "random", "accesses": accesses, "n_keys": 500, "block": "4 KiB"}},
        "system": {"preset": "h100-sxm-pcie5", "tiers": {"hbm": {"capacity": "1 MiB"}, "dram": {"capacity": "4 MiB"}}},
        "arms": ["none", "next_n(n=2)", "markov"],
        "output": {"prefetches": False, "inferences": False},
    }


def write(folder: Path, said: dict[str, object], name: str = "config.yaml") -> Path:
    path = folder / name
    path.write_text(yaml.safe_dump(said))
    return path


def same(folder: Path, found: str, expected: str) -> str:
    said = differences(folder / found, folder / expected)
    n = len(list((folder / found).glob("accesses/*.parquet")))
    left = asides(folder / found)
    return (
        f"{n} runs, {'as in one process, to the byte' if not said and not left else f'DIFFER: {said[:3]} {left[:3]}'}"
    )


def children(process: psutil.Process, word: str) -> list[psutil.Process]:
    found = []
    for child in process.children(recursive=True):
        try:
            if word in child.name() or word in " ".join(child.cmdline()):
                found.append(child)
        except psutil.Error:
            continue
    return found


@contextmanager
def killing(every_s: float) -> Iterator[list[int]]:
    """Some worker that runs a task is killed every so often; the numbers of those that were."""
    killed, over, draw = list[int](), threading.Event(), random.Random(0)

    def kill() -> None:
        while not over.wait(every_s):
            if found := children(psutil.Process(), "ray::do"):
                chosen = draw.choice(found)
                chosen.kill()
                killed.append(chosen.pid)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield killed
    finally:
        over.set()
        thread.join()


def ran(path: Path, out: Path, cluster: Cluster | None) -> float:
    began = time.perf_counter()
    make(load(path)[""], out, quiet=True, cluster=cluster)
    return time.perf_counter() - began


def workers(folder: Path) -> str:
    """A worker is killed at random again and again."""
    path = write(folder, content(N_SEEDS))
    alone_s = ran(path, folder / "one", None)
    with joined("ray", 2) as cluster, killing(KILL_EVERY_S) as killed:
        took_s = ran(path, folder / "ray", cluster)
    return f"{same(folder, 'ray', 'one')}; {len(killed)} workers killed; {took_s:.0f} s, in one process {alone_s:.0f} s"


def nodes(folder: Path) -> str:
    """Of two nodes one is taken away on the way."""
    path = write(folder, content(70))
    ran(path, folder / "one", None)
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1"}
    from ray.cluster_utils import Cluster as Nodes

    place = {"include_dashboard": False, "object_store_memory": 100 << 20}
    started = Nodes(initialize_head=True, head_node_args={"num_cpus": 1, **place})
    try:
        second = started.add_node(num_cpus=1, object_store_memory=100 << 20)
        with joined(started.address, None) as cluster:
            assert cluster is not None
            n_before = len(cluster.nodes())
            timer = threading.Timer(8, lambda: started.remove_node(second, allow_graceful=False))
            timer.start()
            took_s = ran(path, folder / "ray", cluster)
            timer.cancel()
            timer.join()
            n_after = sum(node["Alive"] for node in cluster.ray.nodes())
    finally:
        started.shutdown()
    return f"{same(folder, 'ray', 'one')}; {n_before} nodes, then {n_after}; {took_s:.0f} s"


def driver(folder: Path) -> str:
    """The driver is killed, and started again; then another is interrupted."""
    path = write(folder, content(20))
    ran(path, folder / "one", None)
    command = [
        sys.executable, "-m", "tierfetch", "run", str(path), "--out", str(folder / "ray"), "--cluster", "ray",
        "--jobs", "2",
    ]  # fmt: skip
    said = []
    for number in (signal.SIGKILL, signal.SIGINT):
        n_kept = len(list((folder / "ray" / RECEIPTS).glob("*.json")))
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True)
        while len(list((folder / "ray" / RECEIPTS).glob("*.json"))) < n_kept + 10:
            assert process.poll() is None
            time.sleep(0.1)
        theirs = psutil.Process(process.pid).children(recursive=True)
        os.killpg(process.pid, number) if number == signal.SIGINT else process.kill()
        process.wait()
        _, alive = psutil.wait_procs(theirs, timeout=20)
        said.append(f"signal {number}: exit code {process.returncode}, {len(alive)} of {len(theirs)} processes left")
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    kept = next(line for line in done.stdout.splitlines() if "finished already" in line)
    places = Path(tempfile.gettempdir()).glob("tierfetch-ray-*")
    left = [path for path in places if not psutil.pid_exists(_pid(path))]
    return f"{same(folder, 'ray', 'one')}; {'; '.join(said)}; then {kept!r}; temporary folders left: {len(left)}"


def _pid(folder: Path) -> int:
    return int(folder.name.split("-")[2])


def sweep(folder: Path) -> str:
    """What an experiment of a sweep costs with a cluster, in turn with the same in this process."""
    small = {**content(3, 1000), "engine": "compiled"}
    paths = [write(folder, {**small, "name": f"s{i}"}, f"{i}.yaml") for i in range(N_SWEPT)]
    ran(paths[0], folder / "warm", None)
    began = time.perf_counter()
    with joined("ray", 2) as cluster:
        started_s = time.perf_counter() - began
        first_s = ran(paths[0], folder / "first", cluster)
        took: dict[str, list[tuple[float, float]]] = {"here": [], "ray": []}
        for i, path in enumerate(paths):
            for name, where in (("here", None), ("ray", cluster)):
                cpu_s = resource.getrusage(resource.RUSAGE_SELF)
                wall_s = ran(path, folder / f"{name}-{i}", where)
                now_s = resource.getrusage(resource.RUSAGE_SELF)
                took[name].append((wall_s, now_s.ru_utime + now_s.ru_stime - cpu_s.ru_utime - cpu_s.ru_stime))
    means = {name: [1e3 * sum(times) / len(times) for times in zip(*rows, strict=True)] for name, rows in took.items()}
    here, there = means["here"], means["ray"]
    return (
        f"{N_SWEPT} experiments of 9 runs of 1,000 accesses: here {here[0]:.0f} ms each ({here[1]:.0f} ms of CPU), on "
        f"Ray {there[0]:.0f} ms (this process {there[1]:.0f} ms of CPU); once {started_s:.0f} s to start, "
        f"{first_s:.0f} s for the first"
    )


PARTS: dict[str, Callable[[Path], str]] = {"workers": workers, "nodes": nodes, "driver": driver, "sweep": sweep}


def main() -> None:
    from benchmarks.large_sweeps import PARTS as LARGE

    parts = PARTS | LARGE
    for name in sys.argv[1:] or parts:
        with tempfile.TemporaryDirectory() as folder:
            print(f"{name}: {(parts[name].__doc__ or '').strip()}\n  {parts[name](Path(folder))}", flush=True)


if __name__ == "__main__":
    main()
