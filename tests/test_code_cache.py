"""Machine code of our files is found by every copy of them, and by no other."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numba
import numba.core.config
import pytest

from simulator import code_cache
from simulator.compiled import CHECKED

SOURCE = "def twice(n):\n    return n + n\n"


def loaded(root: Path, source: str, monkeypatch: pytest.MonkeyPatch, package: str = "simulator") -> Any:
    """A function of a copy of ours, compiled and called; what Numba says of its cache."""
    path = root / package / "evictions" / "some.py"
    path.parent.mkdir(parents=True)
    path.write_text(source)
    monkeypatch.setattr(code_cache, "_ROOT", root)
    spec = spec_from_file_location("some", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    function = numba.njit(cache=True)(module.twice)
    assert function(4) in (8, 12)
    return function.stats


@pytest.mark.skipif(CHECKED, reason="nothing is compiled")
def test_another_copy_finds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba.core.config, "CACHE_DIR", str(tmp_path / "cache"))
    assert not loaded(tmp_path / "one", SOURCE, monkeypatch).cache_hits
    found = loaded(tmp_path / "two", SOURCE, monkeypatch)
    assert sum(found.cache_hits.values()) == 1
    assert found.cache_path == str(next((tmp_path / "cache" / "simulator" / "evictions").iterdir()))
    # Other contents, and files of others.
    assert not loaded(tmp_path / "three", SOURCE.replace("n + n", "n + n + n"), monkeypatch).cache_hits
    assert not loaded(tmp_path / "four", SOURCE, monkeypatch, "mine").cache_hits
    assert sorted(path.name for path in (tmp_path / "cache").iterdir() if path.name != "simulator")
    assert len(list((tmp_path / "cache" / "simulator" / "evictions").iterdir())) == 2
