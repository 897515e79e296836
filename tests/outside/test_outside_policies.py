"""Policies from outside: in a few lines, with settings, trained, compiled, from a file; and all that can go wrong."""

import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from policies.given import Given
from policies.registry import POLICIES
from simulator.errors import InputError
from simulator.outside import find
from simulator.places import beside
from simulator.policy import AccessRun
from tests.outside.running import arm, config, ran, rows, write

TEN_LINES = """
    class Next:
        def __init__(self, degree: int = 2):
            self.degree = degree

        def decide(self, run):
            last = int(run.key[-1])
            return [(last + i, 1.0) for i in range(1, self.degree + 1)]
    """
WITH_ALL = """
    from pydantic import BaseModel, Field
    from simulator.policy import Ahead

    class Careful:
        class Settings(BaseModel):
            degree: int = Field(1, ge=1, le=8)

        trigger = "tagged"
        needs = ("op", "size_bytes", "position", "access")
        footprint_bytes = 4096
        ahead = Ahead(1, of_stream=False)

        def __init__(self, settings, seed):
            self.settings, self.seed, self.fates, self.learned = settings, seed, [], 0

        def train(self, sequences):
            self.learned = sum(len(sequence.keys) for sequence in sequences)
            assert set(sequences[0].columns) == set(self.needs)

        def told(self, told):
            self.fates += told.fates

        def decide(self, run):
            assert self.learned == 300
            assert list(run.columns) == list(self.needs)
            assert (run["size_bytes"] == 65536).all() and (run["position"] == 0).all()
            assert run["access"][-1] >= 300
            # As many as came true of late.
            return ((int(run["key"][-1]) + 1 + i, 0.5) for i in range(self.settings.degree))
    """
COMPILED = """
    import numpy as np
    from policies.base import CompiledPolicy
    from simulator.answers import walk

    def learn(state, key, stream, outcome):
        pass

    def want(state, key, stream, keys, confidences):
        return walk(keys, confidences, 0, key, 1, state[0], 1.0)

    class Walk(CompiledPolicy):
        def __init__(self, n: int = 2):
            super().__init__("tagged", np.array([n]), learn, want, most_wanted=n)
    """


def test_a_policy_of_ten_lines_is_as_good_as_the_one_it_copies(tmp_path: Path) -> None:
    write(tmp_path, "mine.py", TEN_LINES)
    write(tmp_path, "walk.py", COMPILED)
    described = config(
        {"name": "ours", "policy": {"kind": "next_n", "n": 2, "trigger": "access"}},
        arm("./mine.py:Next", settings={"degree": 2}),
        arm("./walk.py:Walk", "compiled"),
        arm("./mine.py:Next", "measured", charge={"kind": "measured"}),
    )
    result = ran(tmp_path, described)
    assert result.exit_code == 0, result.output
    found = rows(tmp_path)
    same = ["n_issued", "mean_latency_ns", "hit_ratio", "accuracy_ratio", "coverage_ratio"]
    assert found.loc["mine", same].tolist() == found.loc["ours", same].tolist()
    # Compiled from outside, it is asked without Python, as ours is.
    assert found.loc["compiled", same].tolist() == found.loc["next_n", same].tolist()
    assert found.loc["compiled", "p50_inference_host_ns"] == found.loc["next_n", "p50_inference_host_ns"] == 0
    assert found.loc["measured", "latencies"] == "measured"
    assert found.loc["measured", ["device", "backend"]].tolist() == ["cpu", "python"]
    assert found.loc["measured", "p50_inference_charged_ns"] > 0
    assert found.loc["mine", "source_sha256"] == find(f"{tmp_path}/mine.py:Next").sha256


def test_settings_training_columns_and_fates(tmp_path: Path) -> None:
    write(tmp_path, "careful.py", WITH_ALL)
    described = config(arm("./careful.py:Careful", settings={"degree": 3}, charge={"kind": "free"}))
    described["workload"]["train_ratio"] = 0.5
    result = ran(tmp_path, described)
    assert result.exit_code == 0, result.output
    found = rows(tmp_path).loc["mine"]
    assert found["footprint_bytes"] == 4096
    assert found["n_issued"] > 50
    # What learns is measured where nobody says otherwise, and cannot learn from nothing.
    del described["arms"][-1]["charge"]
    described["workload"]["train_ratio"] = 0
    result = ran(tmp_path, described)
    assert result.exit_code == 2
    assert "workload.train_ratio: is 0, but arm 'mine' learns" in result.stderr


def test_edited_it_runs_again_and_nothing_else_does(tmp_path: Path) -> None:
    late = "            import late\n            last"
    lines = TEN_LINES.replace("            last", late) + "\n    from helper import FEW\n"
    source = write(tmp_path, "mine.py", lines)
    write(tmp_path, "late.py", "import later\n")
    later = write(tmp_path, "later.py", "X = 1\n")
    helper = write(tmp_path, "helper.py", "FEW = 1\n")
    described = config(arm("./mine.py:Next"))
    first = ran(tmp_path, described)
    assert first.exit_code == 0, first.output
    issued = rows(tmp_path).loc["mine", "n_issued"]
    assert "3 of 3 runs are finished already" in ran(tmp_path, described).output
    source.write_text(source.read_text().replace("last + i", "last + 2 * i"))
    again = ran(tmp_path, described)
    assert "2 of 3 runs are finished already" in again.output
    assert rows(tmp_path).loc["mine", "n_issued"] != issued
    # What it imports from beside it is part of it, also in a function; what lies there besides is not.
    write(tmp_path, "other.py", "X = 1\n")
    assert "3 of 3 runs are finished already" in ran(tmp_path, described).output
    for file in (helper, later):
        file.write_text("FEW = 2\n")
        assert "2 of 3 runs are finished already" in ran(tmp_path, described).output


def test_where_a_policy_lies_torch_may_be_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has modules that call themselves files of the folder in which one works."""
    write(tmp_path, "mine.py", "    import torch\n    import torch._classes\n" + TEN_LINES)
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert find("./mine.py:Next").sha256
        (tmp_path / "mine.py").write_text((tmp_path / "mine.py").read_text() + "# edited\n")


BAD = {
    "crashes": ("return [(1 // (300 - int(run['access'][-1])), 1.0)]", "access 300: .*ZeroDivisionError: .* by zero"),
    "nan": ("return [(1, float('nan'))]", "access 0: .*decide returned confidence nan for key 1; expected 0 to 1"),
    "sure": ("return [(1, 1.5)]", "confidence 1.5 for key 1; expected 0 to 1"),
    "negative": (
        "return [(int(run.key[-1]) - 1000, 1.0)]",
        "decide returned key -[0-9]+; expected 0 or more",
    ),
    "large": ("return [(2**64, 1.0)]", "decide returned key 18446744073709551616; expected 0 or more"),
    "fraction": ("return [(1.5, 1.0)]", r"decide returned \(1.5, 1.0\); expected a pair: a key \(a whole number\)"),
    "no_pair": ("return [3]", "decide returned 3; expected a pair"),
    "vast": ("return [(1, 10**400)]", r"decide returned \(1, 1000.*expected a pair"),
    "nameless": (
        "return [type('X', (), {'__repr__': lambda self: 1 // 0})()]",
        "decide returned a X whose repr raises ZeroDivisionError; expected a pair",
    ),
    "mute": ("raise type('X', (Exception,), {'__str__': lambda self: 1 // 0})", "a X whose str raises ZeroDivision"),
    "gives_up": ("raise GeneratorExit", "gives_up: GeneratorExit$"),
    "nothing": ("pass", r"decide returned None; expected a list of \(key, confidence\), \[\] if it wants none"),
    "million": ("return [(i, 1.0) for i in range(10**6)]", "decide returned 1000000 blocks; expected at most 65536"),
    "endless": (
        "return ((i, 1.0) for i in __import__('itertools').count())",
        "too many blocks; expected at most 65536",
    ),
    "sleeps": (
        "__import__('time').sleep(10**6); return []",
        "took 0.1 s for one call; expected at most 0.05 s",
    ),
    "exits": ("__import__('sys').exit(3)", "SystemExit: 3"),
    "asks": ("return [(int(run['pc'][-1]), 1.0)]", "KeyError: 'pc'"),
    "forks": (
        "import os\n        if not (child := os.fork()): os._exit(0)\n        os.waitpid(child, 0)\n        return []",
        "forked a process; expected none",
    ),
    "goes_on": ("__import__('os').fork(); return []", "forked a process; expected none"),
}


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_what_it_does_wrong_ends_its_run_alone_with_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("experiments.exits._MOST_LINES", 100)
    classes = "".join(
        f"class {name}:\n    needs = ('access',)\n\n    def decide(self, run):\n        {body}\n\n"
        for name, (body, _) in BAD.items()
    )
    (tmp_path / "bad.py").write_text(classes)
    arms = [arm(f"./bad.py:{name}", name, time_limit="50 ms" if name == "sleeps" else "10 s") for name in BAD]
    result = ran(tmp_path, config(*arms), "--quiet")
    assert result.exit_code == 4, result.output
    lines = result.stderr.splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    for (name, (_, expected)), line in zip(BAD.items(), errors, strict=True):
        assert re.search(f"^error: arm {name}, seed 0, access [0-9]+: policy ./bad.py:{name}: ", line), line
        assert re.search(expected, line), (name, line)
    frames = [line for line in lines if line not in errors]
    assert re.search(r"^  .*/bad\.py:5 in decide: return \[\(1 // ", frames[0])
    # Of an exception of theirs, where; of an answer that is none, nothing more is to be said.
    assert len(frames) == 6
    # The others are there, and stay.
    assert list(rows(tmp_path).index) == ["none", "next_n"]


def test_a_process_that_has_watched_calls_ends_by_itself() -> None:
    """Python lets go of its signal handlers as it ends: a timer that went on ringing would kill it then."""
    code = """
        from simulator.watched import Watched
        watched = Watched("it", 10**7, print)
        assert watched.call(sum, [1, 2])[0] == 3
        import atexit, time
        class Late:
            def __del__(self): time.sleep(0.1)
        late = Late()
        """
    root = Path(__file__).parents[2]
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False, cwd=root)
    assert ended.returncode == 0


def test_what_it_prints_is_told_once(tmp_path: Path) -> None:
    write(
        tmp_path,
        "loud.py",
        """
        class Loud:
            def decide(self, run):
                print("thinking about", run.key[-1])
                return []
        """,
    )
    result = ran(tmp_path, config(arm("./loud.py:Loud")))
    assert result.exit_code == 0
    assert result.output.count("thinking") == 1
    assert "policy ./loud.py:Loud prints: 'thinking about" in result.output
    assert "thinking" not in ran(tmp_path, config(arm("./loud.py:Loud")), "--quiet", "--force").output


SEEN_BEFORE = {
    "./none.py:Mine": "there is no file .*none.py",
    "./mine.py:Other": "there is no Other in ./mine.py; expected one of Plain, Three",
    "./mine.py": "expected package.module:Name or ./file.py:Name",
    "no_such_package.module:Mine": "there is no module 'no_such_package' here",
    "./mine.py:Plain": r"has no decide; expected decide\(self, run\)",
    "./mine.py:Three": r"decide takes \(self, run, clock\); expected decide\(self, run\)",
    "./mine.py:FUNCTION": "expected a class, a policy with decide",
    "./broken.py:Mine": "cannot be imported: SyntaxError: .*; .*broken.py:3",
    "./fails.py:Mine": r"cannot be imported: RuntimeError: no luck; .*fails.py:2 in <module>: raise",
    "./exits.py:Mine": "cannot be imported: .*SystemExit",
}


@pytest.mark.parametrize("reference", SEEN_BEFORE)
def test_what_is_wrong_before_any_run_is_bad_input(tmp_path: Path, reference: str) -> None:
    write(
        tmp_path,
        "mine.py",
        """
        class Plain:
            pass

        class Three:
            def decide(self, run, clock):
                return []

        FUNCTION = print
        """,
    )
    write(tmp_path, "broken.py", "\nclass Mine:\n    def (self):\n")
    write(tmp_path, "fails.py", "\nraise RuntimeError('no luck')\n")
    write(tmp_path, "exits.py", "import sys\nsys.exit()\n")
    result = ran(tmp_path, config(arm(reference)))
    assert result.exit_code == 2
    assert re.search(f"config.yaml: arms.2.policy.python: .*{SEEN_BEFORE[reference]}", result.stderr), result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"colour": 1}, "settings.colour: Next has no such setting; expected one of degree"),
        ({"degree": "many"}, "settings.degree: Input should be a valid integer.*; got 'many'"),
        ({"seed": 3}, "settings.seed: Next has no such setting"),
    ],
)
def test_settings_are_checked(tmp_path: Path, settings: dict[str, Any], expected: str) -> None:
    write(tmp_path, "mine.py", TEN_LINES)
    result = ran(tmp_path, config(arm("./mine.py:Next", settings=settings)))
    assert result.exit_code == 2
    assert re.search(f"arms.2.policy.python: {expected}", result.stderr), result.stderr


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("trigger = 'always'", "trigger is 'always'; expected one of never, miss, tagged, access"),
        ("needs = 'pc'", r"needs is 'pc'; expected names of columns such as \(\"op\", \"pc\"\)"),
        ("footprint_bytes = -1", "footprint_bytes is -1; expected 0 or more"),
        ("ahead = 3", "ahead is 3; expected an Ahead"),
        ("needs = ('layer',)", "arm 'mine': policy python asks for the feature 'layer', which the trace does not have"),
    ],
)
def test_what_it_says_of_itself_is_checked(tmp_path: Path, body: str, expected: str) -> None:
    write(tmp_path, "odd.py", f"class Odd:\n    {body}\n    def decide(self, run):\n        return []\n")
    result = ran(tmp_path, config(arm("./odd.py:Odd")))
    assert result.exit_code == 2, result.output
    assert re.search(expected, result.stderr), result.stderr


def test_a_constructor_that_fails_is_its_own_error(tmp_path: Path) -> None:
    write(
        tmp_path,
        "odd.py",
        """
        class Odd:
            def __init__(self):
                open("/no/such/file")

            def decide(self, run):
                return []
        """,
    )
    result = ran(tmp_path, config(arm("./odd.py:Odd")))
    assert result.exit_code == 4
    assert "policy ./odd.py:Odd: FileNotFoundError" in result.stderr
    assert re.search(r"odd.py:4 in __init__: open", result.stderr)


def answers(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def test_answers_from_a_file_are_charged_what_they_took(tmp_path: Path) -> None:
    keys = 5 + np.arange(200)
    described = config(
        {"name": "file", "policy": {"kind": "file", "path": "answers.parquet"}, "charge": {"kind": "replay"}},
        {"name": "free", "policy": {"kind": "file", "path": "answers.parquet"}},
    )
    described["workload"] = {"source": {"kind": "sequential", "accesses": 200, "first_key": 5}}
    described["system"]["inference"] = {"mode": "sync"}
    every = np.arange(0, 200, 2)
    answers(
        tmp_path / "answers.parquet", access=np.repeat(every, 2),
        key=np.stack([keys[every] + 100, keys[every] + 200], 1).ravel(),
        confidence=np.tile([0.9, 0.4], 100), latency_ns=np.repeat(1000 + every, 2),
    )  # fmt: skip
    result = ran(tmp_path, described)
    assert result.exit_code == 0, result.output
    found = rows(tmp_path)
    asked = pq.read_table(tmp_path / "out" / "inferences" / "file-0.parquet").to_pandas().set_index("access")
    assert asked["charged_ns"].to_dict() == {i: 1000 + i if i % 2 == 0 else 0 for i in range(200)}
    assert asked.loc[2, ["predicted_key", "confidence", "n_proposed"]].tolist() == [107, np.float32(0.9), 2]
    assert asked.loc[3, "n_proposed"] == 0
    assert found.loc["file", ["latencies", "device", "backend"]].tolist() == ["replay", "recorded", "file"]
    assert found.loc[["file", "free"], "mean_inference_charged_ns"].tolist() == [549.5, 0]
    # Other answers, another run.
    answers(tmp_path / "answers.parquet", access=every, key=keys[every] + 1, latency_ns=every)
    assert "2 of 4 runs are finished" in ran(tmp_path, described).output
    assert rows(tmp_path).loc["free", "n_issued"] < found.loc["free", "n_issued"]


GOOD = {"access": [0, 0, 4], "key": [1, 2, 3]}


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (None, "no such file"),
        (
            {"access": [0]},
            "has no column key; expected access, key, and perhaps confidence, latency_ns; it",
        ),
        ({**GOOD, "key": [1, -2, 3]}, "row 1: key is -2; expected a key, 0 or more"),
        ({**GOOD, "access": [0, None, 4]}, "row 1: access is missing"),
        ({**GOOD, "key": ["a", "b", "c"]}, "column key is of type string; expected a key"),
        ({**GOOD, "confidence": [0.5, 0.5, float("nan")]}, "row 2: confidence is nan; expected 0 to 1"),
        ({**GOOD, "latency_ns": [5, 6, 7]}, "access 0 has latency_ns 5 and 6; expected one for all rows"),
        ({**GOOD, "latency_ns": [5.5, 5.5, 7.5]}, "column latency_ns is of type double; expected whole nanoseconds"),
        ({"access": [3] * 65537, "key": list(range(65537))}, "access 3 has 65537 rows; expected at most 65536"),
    ],
)
def test_a_file_of_answers_is_checked_before_any_run(tmp_path: Path, columns: Any, expected: str) -> None:
    if columns is not None:
        answers(tmp_path / "a.parquet", **columns)
    result = ran(tmp_path, config({"name": "file", "policy": {"kind": "file", "path": "a.parquet"}}))
    assert result.exit_code == 2, result.output
    assert expected in result.stderr
    assert not (tmp_path / "out").exists()


def test_what_a_file_cannot_be_charged(tmp_path: Path) -> None:
    answers(tmp_path / "a.parquet", **GOOD)
    for charge, expected in (("replay", "charge.source: is missing"), ("measured", "computed elsewhere")):
        file = {"name": "file", "policy": {"kind": "file", "path": "a.parquet"}, "charge": {"kind": charge}}
        result = ran(tmp_path, config(file))
        assert result.exit_code == 2
        assert expected in result.stderr


def test_asked_outside_of_an_experiment_it_is_the_same_object(tmp_path: Path) -> None:
    write(tmp_path, "mine.py", TEN_LINES)
    with beside(tmp_path):
        settings = POLICIES.parse("python(class='./mine.py:Next')")
    policy = settings.build(Given(lambda per_stream, needs=(): [], seed=0)).policy
    run = AccessRun(np.array([7], np.uint64), np.zeros(1, np.uint32), np.zeros(1, np.uint8))
    decision = policy.decide([run, run])
    assert [list(answer.keys) for answer in decision.answers] == [[8, 9], [8, 9]]
    assert decision.host_ns > 0
    with pytest.raises(InputError, match="there is no file"):
        POLICIES.parse("python(class='./mine.py:Next')").check()


def test_beside_one_whose_process_dies_all_others_are_run_and_told(tmp_path: Path) -> None:
    write(
        tmp_path,
        "mine.py",
        """
        class Dies:
            def decide(self, run):
                __import__("os")._exit(7)

        class Fails:
            def decide(self, run):
                raise ValueError("no idea")

        class Good:
            def decide(self, run):
                return []
        """,
    )
    arms = [arm(f"./mine.py:{name}", name.lower()) for name in ("Dies", "Fails")]
    measured = arm("./mine.py:Good", "measured", charge={"kind": "measured"})
    result = ran(tmp_path, config(*arms, measured), "--quiet", "--jobs", "2")
    assert result.exit_code == 3, result.output
    assert "error: arm dies, seed 0 (exit code 7): the process died 2 times" in result.stderr
    assert "error: arm fails, seed 0, access 0: policy ./mine.py:Fails: ValueError: no idea" in result.stderr
    # What is measured comes after all others, and comes all the same.
    assert list(rows(tmp_path).index) == ["none", "next_n", "measured"]


def test_what_a_table_in_python_wants_is_checked(tmp_path: Path) -> None:
    wanted = {
        "nan": "(1, float('nan'))",
        "half": "(1.5, 1.0)",
        "text": "(1, 'x')",
        "many": "*((i, 1.0) for i in range(10**5))",
    }
    write(tmp_path, "mine.py", "from policies.base import TablePolicy\n")
    with (tmp_path / "mine.py").open("a") as file:
        for name, pairs in wanted.items():
            file.write(
                f"class {name}(TablePolicy):\n    def __init__(self):\n        super().__init__('access')\n"
                f"    def learn(self, key, stream, outcome):\n        pass\n"
                f"    def want(self, key, stream):\n        return [{pairs}]\n"
            )
    result = ran(tmp_path, config(*(arm(f"./mine.py:{name}", name) for name in wanted)), "--quiet")
    assert result.exit_code == 4, result.output
    got = (
        "confidence nan for key 1",
        "(1.5, 1.0); expected a pair",
        "(1, 'x'); expected a pair",
        "99999 blocks; expected at",
    )
    for line, expected in zip(result.stderr.splitlines(), got, strict=True):
        assert "access 0: policy ./mine.py:" in line
        assert expected in line


def test_a_gate_by_cost_wants_a_training_part(tmp_path: Path) -> None:
    write(tmp_path, "mine.py", TEN_LINES)
    gate = {"kind": "gate", "policy": {"kind": "python", "class": "./mine.py:Next"}}
    result = ran(tmp_path, config({"name": "gate", "policy": gate}), "--quiet")
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("error: workload.train_ratio: is 0, but an arm weighs what a prefetch costs")
    result = ran(tmp_path, config({"name": "gate", "policy": gate | {"rule": "threshold"}}), "--quiet", "--force")
    assert result.exit_code == 0, result.output
