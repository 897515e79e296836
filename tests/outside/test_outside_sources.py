"""The sources of what is from outside: all that is run is in the hash, and what was edited is never run as it was."""

import subprocess
import sys
from pathlib import Path

import pytest

from simulator.outside import find
from tests.outside.running import write

ONE = "from {} import V\n\n\nclass One:\n    value = V\n"
HOOKS = """
    from {0}deep import step

    def learn(state, key, stream, outcome):
        pass

    def want(state, key, stream, keys, confidences):
        keys[0], confidences[0] = key + step(), 1.0
        return 1
    """
POLICY = """
    import numpy as np
    from policies.base import CompiledPolicy
    from {0}hooks import learn, want

    class Far(CompiledPolicy):
        def __init__(self):
            super().__init__("access", np.array([1]), learn, want, most_wanted=1)
    """
DEEP = "from simulator.compiled import compiled\n\n@compiled\ndef step():\n    return {}\n"
ASK = """
    import sys
    from pathlib import Path
    import numpy as np
    from simulator.outside import find
    from simulator.policy import AccessRun

    run = AccessRun(np.array([10], np.uint64), np.zeros(1, np.uint32), np.zeros(1, np.uint8), {})
    sys.path.append(sys.argv[2])
    print(find(sys.argv[1], Path(sys.argv[2])).object().decide([run]).answers[0].keys)
    """


def test_helpers_in_a_folder_without_init_are_read_anew(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    helper = write(tmp_path / "rules", "one.py", "V = 1\n")
    for name in ("a", "b"):
        write(tmp_path, f"{name}.py", "from rules import one\n\nclass One:\n    value = one.V\n")
    first = [find(f"./{name}.py:One", tmp_path) for name in ("a", "b")]
    helper.write_text("V = 22\n")
    then = [find(f"./{name}.py:One", tmp_path) for name in ("a", "b")]
    assert [found.object.value for found in (*first, *then)] == [1, 1, 22, 22]
    assert len({found.sha256 for found in (*first, *then)}) == 4


def test_a_helper_that_is_a_link_is_a_source(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "mine", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    helper = write(elsewhere, "linked_helper.py", "V = 1\n")
    (folder / "linked_helper.py").symlink_to(helper)
    write(folder, "mine.py", ONE.format("linked_helper"))
    first = find("./mine.py:One", folder)
    helper.write_text("V = 22\n")
    then = find("./mine.py:One", folder)
    assert (first.object.value, then.object.value) == (1, 22)
    assert first.sha256 != then.sha256


def test_what_the_session_has_imported_before_is_a_source_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper = write(tmp_path, "helper_of_session.py", "V = 1\n")
    write(tmp_path, "mine.py", ONE.format("helper_of_session"))
    alone = find("./mine.py:One", tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    import helper_of_session  # type: ignore[import-not-found]

    write(tmp_path, "other.py", ONE.format("helper_of_session"))
    helper.write_text("V = 22\n")
    assert find("./other.py:One", tmp_path).object.value == 22
    assert find("./mine.py:One", tmp_path).sha256 != alone.sha256
    # The session keeps its own.
    assert sys.modules["helper_of_session"] is helper_of_session
    assert helper_of_session.V == 1
    del sys.modules["helper_of_session"]


def test_a_package_without_init_has_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bare_package").mkdir()
    write(tmp_path / "bare_package", "mine.py", "class One:\n    value = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    first = find("bare_package.mine:One").sha256
    # Of another size: byte code of the same second and size is taken for that of this text.
    write(tmp_path / "bare_package", "mine.py", "class One:\n    value = 22\n")
    for name in [name for name in sys.modules if name.startswith("bare_package")]:
        del sys.modules[name]
    then = find("bare_package.mine:One")
    assert then.object.value == 22
    assert then.sha256 != first


@pytest.mark.parametrize(("prefix", "reference"), [("", "./mine.py:Far"), ("deep_package.", "deep_package.mine:Far")])
def test_machine_code_of_several_files_is_never_stale(tmp_path: Path, prefix: str, reference: str) -> None:
    folder = tmp_path / prefix.rstrip(".")
    folder.mkdir(exist_ok=True)
    write(tmp_path, "ask.py", ASK)
    write(folder, "__init__.py", "")
    write(folder, "hooks.py", HOOKS.format(prefix))
    write(folder, "mine.py", POLICY.format(prefix))
    said = []
    for step in (1, 1, 5):
        write(folder, "deep.py", DEEP.format(step))
        command = [sys.executable, str(tmp_path / "ask.py"), reference, str(tmp_path)]
        environment = {"PATH": "", "HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0, done.stderr
        said.append(done.stdout.strip())
    assert said == ["[11]", "[11]", "[15]"]
