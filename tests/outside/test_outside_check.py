"""The contract of policies, workloads and evictions of one's own: each rule is broken once, and told in words."""

import re
import tempfile
import textwrap
import unittest
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from typer.testing import CliRunner

from experiments import check
from experiments.contract.naming import contract_of
from experiments.contract.rules import Verdict, judge, judge_all
from simulator.policy import Outcome
from tierfetch.testing import PolicyContract, WorkloadContract

GOOD = """
    class NextKey:
        needs = ("op", "layer")

        def __init__(self, n: int = 2):
            self.n = n

        def decide(self, run):
            last = int(run.key[-1])
            if run.columns["op"][-1] or run["layer"][-1] > 7:
                return []
            return [(last + i, 0.5) for i in range(1, self.n + 1) if last + i < 2**64]
    """
ENGINES = "both engines agree"

# Each breaks the rules that are named: the body of a class, and what is said of the first.
BAD: dict[str, tuple[str, list[str], str]] = {
    "fails when made": (
        "def __init__(self): 1 / 0",
        ["can be made"], "policy .*bad.py:Bad: ZeroDivisionError: division by zero.* in __init__",
    ),
    "trigger": (
        "trigger = 'sometimes'", ["can be made"],
        "trigger is 'sometimes'; expected one of never, miss, tagged",
    ),
    "needs": ("needs = 'op'", ["can be made"], "needs is 'op'; expected names of columns"),
    "footprint": (
        "footprint_bytes = 2**50", ["says what it is"],
        r"footprint_bytes is 1,125,899,906,842,624; expected bytes of GPU memory",
    ),
    "column": (
        "def decide(self, run): return [(5, 0.5)] if run.columns['pc'][-1] else []",
        ["needs what it reads"], r"asks run.columns for 'pc' but its needs are \(\); expected needs = \('pc',\)",
    ),
    "column by get": (
        "needs = ('op',)\n    def decide(self, run): return [(5, 0.5)] if run.columns.get('pc') else []",
        ["needs what it reads"],
        r"asks run.columns for 'pc' but its needs are \('op',\); expected needs = \('op', 'pc'\)",
    ),
    "attribute": (
        "def decide(self, run): return [(5, 0.5)] if run.op[-1] else []",
        ["needs what it reads"], r"asks for run.op; expected run.columns\['op'\], with needs = \('op',\)",
    ),
    "writes": (
        "def decide(self, run):\n        run.key[:] += 1\n        return []",
        ["leaves arrays alone"],
        r"writes into the arrays of the run.*expected a copy.* shown key 3 .*run.key\[:\] \+= 1",
    ),
    "global random state": (
        "def decide(self, run):\n        random.random()\n        return []",
        ["leaves the process alone"], "changes the random state of random; expected numpy.random.default_rng",
    ),
    "numpy's random state, in its constructor": (
        "def __init__(self): np.random.seed(0)",
        ["leaves the process alone"], "changes the random state of numpy.random",
    ),
    "prints": (
        "def decide(self, run):\n        print('key', run.key[-1])\n        return []",
        ["leaves the process alone"], "prints: 'key 3'.*expected no output",
    ),
    "folder": ("def __init__(self): os.chdir('/')", ["leaves the process alone"], "changes the working folder"),
    "environment": (
        "def decide(self, run):\n        os.environ['MY_FLAG'] = '1'\n        return []",
        ["leaves the process alone"], "changes the environment",
    ),
    "thread": (
        "def __init__(self):\n        threading.Thread(target=time.sleep, args=(3,), daemon=True, name='mine').start()",
        ["leaves the process alone"], r"starts threads that go on \(mine\)",
    ),
    "fork": (
        "def decide(self, run):\n        if os.fork() == 0: os._exit(0)\n        return []",
        ["leaves the process alone"], "forked a process; expected none",
    ),
    "None": (
        "def decide(self, run): pass",
        ["starts empty"], "decide returned None; expected a list of .* shown key 7",
    ),
    "NaN": (
        "def decide(self, run): return [(1, float('nan'))] if len(run) > 1 else []",
        ["any order of accesses"], r"decide returned confidence nan for key 1; expected 0 to 1 shown keys 102, 103",
    ),
    "no pair": ("def decide(self, run): return [7]", ["starts empty"], "decide returned 7; expected a pair"),
    "confidence": (
        "def decide(self, run): return [(1, 50)]", ["starts empty"], "decide returned confidence 50.0 for key 1",
    ),
    "a million keys": (
        "def decide(self, run): return [(i, 1) for i in range(10**6)] if run.key[-1] == 2**64 - 1 else []",
        ["keys at both ends"], "decide returned 1000000 blocks; expected at most 65536 shown key 18446744073709551615",
    ),
    "beyond the last key": (
        "def decide(self, run): return [(int(run.key[-1]) + 1, 1)]",
        ["keys at both ends"], r"decide returned key 18446744073709551616; .* shown key 18446744073709551615",
    ),
    "below the first key": (
        "def decide(self, run): return [(int(run.key[-1]) - 3, 1)]",
        ["keys at both ends"], r"decide returned key -3; .* shown key 0$",
    ),
    "the third time of one key": (
        "def __init__(self): self.seen = collections.Counter()\n"
        "    def decide(self, run):\n"
        "        self.seen.update(run.key.tolist())\n"
        "        if self.seen[5] == 3: raise RuntimeError('again')\n        return []",
        ["one key again and again"],
        r"RuntimeError: again shown keys 5 \| 5 \| 5, asked 3 times .*bad.py:\d+ in decide",
    ),
    "streams": (
        "def decide(self, run): return [(1, 1 / int(run.stream[-1] < 8))]",
        ["many streams"], "ZeroDivisionError.* shown key",
    ),
    "long runs": (
        "def decide(self, run): return [] if len(run) < 1000 else None",
        ["runs of one and of many"], "decide returned None; .* shown keys .*",
    ),
    "fates": (
        "def decide(self, run): return [(3, 1)]\n    def told(self, told):\n"
        "        if Fate.CANCELLED in told.fates: raise KeyError(told.keys[0])",
        ["hears of every fate"], r"KeyError: 3 shown keys .*\(told cancelled\)",
    ),
    "time": (
        "def decide(self, run): return [(time.perf_counter_ns() % 2**40, 1)]",
        ["deterministic"], "made again with the same seed: question 1 is answered .*; expected .*, as before shown key",
    ),
    "shared table": (
        "table = {}\n    def decide(self, run):\n        key = int(run.key[-1])\n"
        "        guess, self.table[0] = self.table.get(0), key\n"
        "        return [] if guess is None else [(guess, 1)]",
        ["shares nothing"], "beside another instance.*question 1 is answered .*shown key .*they share Bad.table",
    ),
    "a global of the module": (
        "def decide(self, run):\n        SEEN.append(int(run.key[-1]))\n        return [(len(SEEN), 1)]",
        ["shares nothing"], "they share SEEN",
    ),
    "grows": (
        "def __init__(self): self.seen = []\n"
        "    def decide(self, run):\n        self.seen += run.key.tolist()\n        return []",
        ["memory is bounded"], "holds [0-9,]+ bytes after [0-9,]+ accesses, and held .*; expected a bound",
    ),
    "sleeps": (
        "def decide(self, run): time.sleep(0.002 if run.key[-1] == 142 else 0); return []",
        ["time for a question"], "took 0.0 s for one call; expected at most 0.001 s",
    ),
    "train": (
        "def train(self, sequences): self.first = sequences[9]\n    def decide(self, run): return []",
        ["can be made"], "IndexError: list index out of range .*in train",
    ),
}  # fmt: skip
HEAD = """
    import collections, os, random, threading, time
    import numpy as np
    from simulator.policy import Fate
    SEEN = []
    class Bad:
        def decide(self, run):
            return []
    """
_SLOW = {"sleeps": "1 ms"}


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(textwrap.dedent(text))
    return path


def verdicts(reference: str, *, without: tuple[str, ...] = (), time_limit: str | None = None) -> dict[str, Verdict]:
    rules, it = contract_of(reference, {}, time_limit=time_limit)
    found: dict[str, Verdict] = {}
    for rule in rules:
        if rule.name not in without:
            found[rule.name] = judge(rule, it)
            if found[rule.name].state == "broken" and rule is rules[0]:
                break
    return found


def said(verdict: Verdict) -> str:
    return " ".join(verdict.lines)


@pytest.mark.parametrize("name", BAD)
def test_what_is_broken_is_told_in_words(name: str, tmp_path: Path) -> None:
    body, expected, words = BAD[name]
    write(tmp_path, "bad.py", textwrap.dedent(HEAD) + f"    {body}\n")
    without = () if ENGINES in expected else (ENGINES,)
    if expected != ["memory is bounded"]:
        without += ("memory is bounded",)
    if expected != ["time for a question"]:
        without += ("time for a question",)
    found = verdicts(f"{tmp_path}/bad.py:Bad", without=without, time_limit=_SLOW.get(name))
    broken = [rule for rule, verdict in found.items() if verdict.state == "broken"]
    assert expected[0] in broken, {rule: verdict.lines for rule, verdict in found.items()}
    assert re.search(words, said(found[expected[0]])), found[expected[0]].lines


def test_what_keeps_the_contract_is_said_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One command on a file: a good one, a bad one, none; settings, columns."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "good.py", GOOD)
    run = CliRunner().invoke
    good = run(check.app, ["good.py", "--set", "n=3", "--time-limit", "2 s"])
    assert good.exit_code == 0, good.output
    assert re.search(r"policy good.py:NextKey: 17 kept, 4 not applicable", good.output)
    assert "asked at: access; needs op, layer" in good.output
    assert re.search(r"median [0-9.]+ us, p99 [0-9.,]+ us, of which the asking itself takes [0-9.]+ us", good.output)
    assert re.search(r"800 accesses, [0-9]+ prefetches issued, [1-9][0-9]* of use", good.output)

    write(tmp_path, "arrival.py", GOOD.replace("    needs =", '    trigger = "arrival"\n        needs ='))
    good = run(check.app, ["arrival.py"])
    assert good.exit_code == 0, good.output
    assert "asked at: arrival; needs op, layer" in good.output
    assert re.search(r"800 accesses, [1-9][0-9]* prefetches issued, [1-9][0-9]* of use", good.output)

    write(tmp_path, "bad.py", GOOD.replace(" if last + i < 2**64", ""))
    bad = run(check.app, ["bad.py:NextKey", "--quiet"])
    assert bad.exit_code == 4
    lines = bad.output.splitlines()
    assert lines[0].startswith("broken         It answers at both ends of the key space")
    wrong = "policy bad.py:NextKey: decide returned key 18446744073709551616; expected 0 or more, and less than 2**64"
    assert lines[1].strip() == wrong
    assert lines[2].strip() == "shown key 18446744073709551614"

    write(tmp_path, "two.py", GOOD + GOOD.replace("NextKey", "Other"))
    for said_, expected in (
        (["gone.py"], "there is no file"),
        (["two.py"], "two.py: has NextKey, Other; expected two.py:NAME, of one of its classes"),
        (["good.py:Gone"], "good.py:Gone: there is no Gone in good.py; expected one of NextKey"),
        (["good.py", "--set", "m=3"], "settings.m: NextKey has no such setting; expected one of n"),
        (["good.py", "--set", "n"], "--set n: expected NAME=VALUE"),
        (["no_such"], "no_such: there is no such kind; expected FILE.py:CLASS"),
        (["next_n", "--set", "n=0"], "next_n: n: Input should be greater than or equal to 1"),
    ):
        refused = run(check.app, said_)
        assert refused.exit_code == 2, refused.output
        assert expected in refused.stderr, refused.stderr
        assert len(refused.stderr.splitlines()) == 1
    oracle = run(check.app, ["oracle"])
    assert oracle.exit_code == 4
    first, why, last = oracle.output.splitlines()
    assert first.startswith("broken         It can be made")
    assert why.strip().startswith("policy oracle: knows the future of its run")
    assert last == "policy oracle: 1 broken, 20 not tried"


def test_a_trace_is_tried_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text("key,op\n" + "5,read\n" * 40 + "77777,read\n7,read\n")
    write(tmp_path, "good.py", "class P:\n    def decide(self, run): return [(1, 1)] if 77_777 in run.key else []\n")
    write(tmp_path, "bad.py", "class P:\n    def decide(self, run): return None if 77_777 in run.key else []\n")
    rules, it = contract_of("good.py", {}, Path("t.csv"))
    found = {rule.name: judge(rule, it) for rule in rules}
    assert {verdict.state for verdict in found.values()} == {"kept", "not applicable"}
    assert said(found[ENGINES]) == "42 accesses, 1 prefetches issued, 0 of use"
    rules, it = contract_of("bad.py", {}, Path("t.csv"))
    (wrong,) = (judge(rule, it) for rule in rules if rule.name == "any order of accesses")
    assert re.search(r"decide returned None; .* shown keys? .*77777", said(wrong))


BAD_WORKLOADS: dict[str, tuple[str, str, str]] = {
    "fails when made": ("def __init__(self): 1 / 0", "can be made", "ZeroDivisionError"),
    "a key below 0": ("def batches(self): yield [1, -5]", "yields accesses", "access 1: key is -5; expected 0 to"),
    "nothing": ("def batches(self): yield []", "yields accesses", "yields no accesses; expected some"),
    "other features": (
        "def batches(self):\n        yield {'key': [1], 'pc': 1}\n        yield [2]",
        "yields accesses", r"has the features \[\] behind 1 accesses; expected \['pc'\]",
    ),
    "goes on where it was": (
        "def __init__(self): self.rng = np.random.default_rng(0)\n"
        "    def batches(self): yield self.rng.integers(0, 1000, 50)",
        "yields the same again", "asked again: access 0 has key [0-9]+; expected 850, as before",
    ),
    "fewer the second time": (
        "def __init__(self): self.keys = iter(range(9))\n    def batches(self): yield list(self.keys) or [1]",
        "yields the same again", "asked again: 1 accesses; expected 9, as before",
    ),
    "no seed": (
        "def batches(self): yield np.random.default_rng().integers(0, 2**40, 50)",
        "goes by its seed", "made again with the same seed: access 0 has key",
    ),
    "a seed of no use": (
        "def __init__(self, seed): pass\n    def batches(self): yield [1, 2]",
        "goes by its seed", "takes a seed, and seeds 1 and 2 give the same accesses",
    ),
    "one place for two walks": (
        "def batches(self):\n        self.at = 0\n        while self.at < 5:\n"
        "            yield [self.at]\n            self.at += 1",
        "two walks at once", "beside another walk through it: ",
    ),
    "times": (
        "has_times = True\n    def batches(self): yield {'key': [1, 2], 'time_ns': [7, 5]}",
        "times rise", "access 1 arrives at 5 ns; expected 7 or later",
    ),
    "the global state": (
        "def batches(self):\n        np.random.seed(3)\n        yield np.random.randint(0, 9, 9)",
        "leaves the process alone", "changes the random state of numpy.random",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_WORKLOADS)
def test_what_a_workload_breaks_is_told_in_words(name: str, tmp_path: Path) -> None:
    body, expected, words = BAD_WORKLOADS[name]
    write(tmp_path, "bad.py", f"import numpy as np\nclass Bad:\n    def batches(self): yield [1]\n    {body}\n")
    found = verdicts(f"{tmp_path}/bad.py", without=(ENGINES,))
    assert found[expected].state == "broken"
    assert re.search(words, said(found[expected])), said(found[expected])


BAD_EVICTIONS: dict[str, tuple[str, str, str]] = {
    "fails when made": ("def __init__(self): 1 / 0", "can be made", "ZeroDivisionError"),
    "a stranger": (
        "def victim(self): return -1",
        "names blocks that it holds", "victim returned -1; expected the key of one of the 64 blocks .* used: .* [0-9]+",
    ),
    "what was taken out": (
        "def remove(self, key): pass\n    def victim(self): return self.order.pop(0)",
        "forgets what was taken out", "victim returned [0-9]+; expected .* after [0-9]+ uses, and a block taken out",
    ),
    "the global state": (
        "def victim(self): return random.choice(self.order)",
        "deterministic", "made again, block [0-9]+ goes behind [0-9]+ others; expected [0-9]+, as before",
    ),
    "and changes it": (
        "def victim(self): return random.choice(self.order)",
        "leaves the process alone", "changes the random state of random",
    ),
    "shared": (
        "def __init__(self): self.order = ORDER",
        "shares nothing", "beside another instance, with other blocks, others go; they share ORDER",
    ),
    "grows": (
        "def hit(self, key): self.hits = (*getattr(self, 'hits', ()), key)",
        "memory is bounded", "holds [0-9,]+ bytes, and held [0-9,]+ a quarter of the uses ago; expected a bound",
    ),
}  # fmt: skip
EVICTION = """
    import random
    ORDER = []
    class Bad:
        def __init__(self): self.order = []
        def insert(self, key, size): self.order.append(key)
        def hit(self, key): pass
        def victim(self): return self.order[0]
        def remove(self, key): self.order.remove(key)
    """


@pytest.mark.parametrize("name", [*BAD_EVICTIONS, None])
def test_what_an_eviction_breaks_is_told_in_words(name: str | None, tmp_path: Path) -> None:
    body, expected, words = BAD_EVICTIONS[name] if name else ("", "", "")
    write(tmp_path, "bad.py", textwrap.dedent(EVICTION) + f"    {body}\n")
    without = ("runs", "memory is bounded") if name else ()
    found = verdicts(f"{tmp_path}/bad.py", without=tuple(rule for rule in without if rule != expected))
    if name is None:
        assert {verdict.state for verdict in found.values()} == {"kept"}
        return
    assert found[expected].state == "broken", {rule: verdict.lines for rule, verdict in found.items()}
    assert re.search(words, said(found[expected])), said(found[expected])


def test_kinds_are_tried_by_their_names() -> None:
    """As those of installed packages are: a workload, and an eviction that is compiled."""
    for name, settings in (("zipf", {"n_keys": 50, "accesses": 500}), ("sieve", {})):
        rules, it = contract_of(name, settings)
        states = [judge(rule, it).state for rule in rules if rule.name not in (ENGINES, "runs")]
        assert set(states) <= {"kept", "not applicable"}
        assert states.count("kept") >= 6


class Walk:
    def __init__(self, path: Path, seed: int = 0) -> None:
        self.path, self.seed = path, seed

    def batches(self) -> Any:
        rng = np.random.default_rng(self.seed)
        for line in self.path.read_text().splitlines():
            yield {"key": int(line) + np.cumsum(rng.integers(0, 3, 200)), "layer": 3}


class TestMyFormat(WorkloadContract):
    workload = Walk

    @classmethod
    def setup_class(cls) -> None:
        cls.folder = tempfile.TemporaryDirectory()
        cls.path = Path(cls.folder.name) / "t.walk"
        cls.path.write_text("100\n7000\n")

    @classmethod
    def teardown_class(cls) -> None:
        cls.folder.cleanup()


COMPILED = """
    import numpy as np
    from policies.base import CompiledPolicy
    from simulator.policy import Answer, Decision

    def learn(state, key, stream, outcome):
        pass

    def want(state, key, stream, keys, confidences):
        for i in range(3 + (key == 15)):
            keys[i], confidences[i] = key + 1 + i, 1.0
        return 3

    class Overruns(CompiledPolicy):
        def __init__(self, most_wanted: int = 3):
            super().__init__("access", np.zeros(1, np.int64), learn, want, most_wanted=most_wanted)

    class OtherThanDecide(Overruns):
        def __init__(self):
            super().__init__(4)

        def decide(self, runs):
            return Decision([Answer([5], [1.0], 5, 1.0) for _ in runs])
    """


def test_compiled_functions_that_break_their_bounds_or_differ(tmp_path: Path) -> None:
    """Behind most_wanted lies the engine's memory; a run asks the functions, and decide is for who wraps it."""
    write(tmp_path, "compiled.py", COMPILED)
    rules, it = contract_of(f"{tmp_path}/compiled.py:Overruns", {})
    of = {rule.name: rule for rule in rules}
    wrong = judge(of["compiled as decide"], it)
    assert re.search(
        r"want writes 4 blocks; expected 0 to 3, its most_wanted: .* shown keys .*2:15, asked 24 times", said(wrong)
    )
    first, second, *others = judge_all(rules, it)
    assert [first.state, second.state] == ["kept", "broken"]
    assert {verdict.state for verdict in others} == {"not tried"}
    rules, it = contract_of(f"{tmp_path}/compiled.py:Overruns", {"most_wanted": 4})
    assert judge(of["compiled as decide"], it).lines == ("at most 4 blocks an answer",)
    rules, it = contract_of(f"{tmp_path}/compiled.py:OtherThanDecide", {})
    wrong = judge(of["compiled as decide"], it)
    assert re.search(r"answer \[\(1, 1.0\), .*expected \[\(5, 1.0\)\], as decide does shown key 0$", said(wrong))
    wrong = judge(of[ENGINES], it)
    assert re.search(
        r"over 800 accesses, .* is .* with the compiled engine and .* with simpy; expected the same", said(wrong)
    )


class FromATest:
    def __init__(self, n: int = 1, bad: bool = False) -> None:
        self.n, self.bad = n, bad

    def decide(self, run: Any) -> Any:
        return [] if not self.bad else None


class TestMine(PolicyContract):
    policy = FromATest
    settings: ClassVar[dict[str, Any]] = {"n": 3}


class AtArrivals:
    """What a request reads and tier 0 lacks, asked for when it arrives."""

    trigger, needs = "arrival", ("place",)

    def decide(self, run: Any) -> Any:
        assert len(run["place"]) == len(run)
        return [(int(key), 1.0) for key, outcome in zip(run.key, run.outcome, strict=True) if outcome == Outcome.MISS]


class TestAtArrivals(PolicyContract):
    """It goes through both engines, where requests have a life."""

    policy = AtArrivals


class TestByKind(PolicyContract):
    policy = "next_n"
    settings: ClassVar[dict[str, Any]] = {"n": 3}


def test_the_suite_of_a_bad_one_fails_in_words() -> None:
    class Bad(PolicyContract):
        policy = FromATest
        settings: ClassVar[dict[str, Any]] = {"bad": True}

    names = [name for name in dir(Bad) if name.startswith("test_")]
    assert len(names) == 21
    with pytest.raises(AssertionError, match=r"(?s)first access, it answers.*decide returned None.*shown key 7"):
        Bad().test_starts_empty()
    with pytest.raises(unittest.SkipTest, match="it has no told"):
        Bad().test_hears_of_every_fate()
    with pytest.raises(unittest.SkipTest, match=r"a subclass says policy = \.\.\."):
        PolicyContract().test_starts_empty()
