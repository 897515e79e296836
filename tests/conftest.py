"""A deterministic Hypothesis in CI, real traces where they are at hand, and models kept out of the user's cache."""

import gc
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import typer.main
import typer.testing
from hypothesis import Phase, settings

from experiments import pacing
from simulator.paced import OtherWork
from tests.wheels import installed as installed
from tests.wheels import wheel as wheel

# Before torch is imported, here and in processes started from here: on cores that others have too, two threads of one
# network wait for each other, busily, most of the time.
os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("dev", deadline=None)
# For the lists of mutants, which ask for one failure and no smaller one.
settings.register_profile(
    "mutants", derandomize=True, deadline=None, phases=[Phase.explicit, Phase.generate], report_multiple_bugs=False
)
settings.load_profile("ci" if os.environ.get("CI") else "dev")

TRACES = Path(os.environ.get("TIERFETCH_TRACES", Path(__file__).parents[2] / "shared" / "traces"))
SOURCES = {
    "cloudPhysicsIO.oracleGeneral.bin": "libCacheSim's data folder",
    "cloudPhysicsIO.vscsi": "libCacheSim's data folder",
    "mooncake_conversation.jsonl": "kvcache-ai/Mooncake, FAST25-release/traces",
    "lirs_multi1.trace.gz": "the resources of Caffeine's simulator",
    "cache2k_orm-busy.trace.xz": "the resources of Caffeine's simulator",
}


def real_trace(name: str) -> Path:
    """A real trace, or a skip that says where it comes from."""
    path = TRACES / name
    if not path.exists():
        source = SOURCES.get(name, "golden_misses.json beside the traces")
        pytest.skip(f"{path} is not there; it comes from {source}; point TIERFETCH_TRACES at its folder")
    return path


@pytest.fixture(autouse=True, scope="module")
def _imports_are_no_garbage() -> None:
    # Half a million objects of modules live on: to look through them again and again is a seventh of all time.
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def _short_trials(session_patch: pytest.MonkeyPatch) -> None:
    # Beside each measured run: with as many rounds as usual, most of what a small run takes. `test_paced` has them all.
    session_patch.setattr(pacing, "_ROUNDS", 1)
    # And with what 64 MiB to go through take: 0.06 s of a core on a quiet one, twice that beside other work.
    session_patch.setattr(pacing, "OtherWork", lambda n_bytes: OtherWork(min(n_bytes, 1 << 20)))


@pytest.fixture(autouse=True, scope="session")
def _commands_are_built_once(session_patch: pytest.MonkeyPatch) -> None:
    # Typer builds a command, and what checks each of its options, anew for each of some thousand calls.
    once = cache(typer.main.get_command)
    session_patch.setattr(typer.main, "get_command", once)
    session_patch.setattr(typer.testing, "_get_command", once)


@pytest.fixture(scope="session")
def session_patch() -> Iterator[pytest.MonkeyPatch]:
    """Changes of code that hold for all tests in this process."""
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(autouse=True, scope="session")
def _own_models(tmp_path_factory: pytest.TempPathFactory) -> None:
    # Those of all workers together: a model that one has trained is found by the others.
    base = tmp_path_factory.getbasetemp()
    os.environ["TIERFETCH_MODELS"] = str((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "models")
