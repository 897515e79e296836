"""What each policy wants, access by access, on a short trace that shows what it is for: worked by hand."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from policies.given import Given
from policies.registry import POLICIES
from simulator.errors import InputError
from simulator.policy import AccessRun, Fate, Outcome, Told
from simulator.trace import READ, WRITE

MISS, HIT_PREFETCHED, HIT = Outcome.MISS, Outcome.HIT_PREFETCHED, Outcome.HIT


def make(kind: str, given: Given | None = None, **settings: Any) -> Any:
    return POLICIES.validate({"kind": kind, **settings}).build(given or Given(lambda p: [], 0)).policy


def ask(policy: Any, key: int, stream: int = 0, outcome: int = MISS, op: int = READ) -> list[int]:
    columns = np.array([key], np.uint64), np.array([stream], np.uint32), np.array([outcome], np.uint8)
    return list(policy.decide([AccessRun(*columns, {"op": np.array([op], np.uint8)})]).answers[0].keys)


def check(policy: Any, table: list[tuple[int, list[int]]]) -> None:
    """Every access is a miss."""
    for i, (key, wanted) in enumerate(table):
        assert ask(policy, key) == wanted, f"access {i}, key {key}"


def check_ideal(policy: Any, table: list[tuple[int, list[int]]]) -> None:
    """A cache of any size, into which what is wanted comes at once."""
    seen: set[int] = set()
    fetched: set[int] = set()
    for i, (key, wanted) in enumerate(table):
        found = ask(policy, key, outcome=HIT if key in seen else HIT_PREFETCHED if key in fetched else MISS)
        assert found == wanted, f"access {i}, key {key}"
        seen.add(key)
        fetched |= set(found)


def test_next_n() -> None:
    """Whatever is asked for, the two that follow."""
    check(make("next_n", n=2), [(10, [11, 12]), (11, [12, 13]), (50, [51, 52]), (9, [10, 11])])


def test_obl_waits_for_a_run() -> None:
    """One ahead after four steps of one; a jump begins anew, another stream does not matter, a repetition neither."""
    policy = make("obl")
    check(policy, [(5, []), (6, []), (7, []), (8, []), (9, [10]), (10, [11])])
    assert ask(policy, 700, stream=1) == []
    check(policy, [(11, [12]), (11, [12]), (20, []), (21, []), (22, []), (23, []), (24, [25]), (25, [26])])


@pytest.mark.parametrize("run", [1, 2, 4, 7])
def test_obl_counts_as_its_source_does(run: int) -> None:
    """The rule of libCacheSim: the ``k`` accesses before are the ``k`` blocks before this one, in order."""
    rng = np.random.default_rng(run)
    steps = rng.choice([1, 1, 1, 1, 1, 1, 1, 1, 2, -1], 3000)
    keys = (10**6 + np.cumsum(steps)).tolist()
    policy = make("obl", run=run)
    n = 0
    for at, key in enumerate(keys):
        leads_up = at >= run and keys[at - run : at] == list(range(key - run, key))
        assert ask(policy, key) == ([key + 1] if leads_up else []), at
        n += leads_up
    assert 0 < n < len(keys)


def test_stride_is_believed_when_it_comes_again() -> None:
    """The counter begins at 4 of 7 and is believed from 4 on.

    107: another stride, 3, so 7 takes its place. 114: 4. 121: 5. 130: one odd step, 4, the stride stays. 139: another,
    3, so 9 takes its place. 148: 4.
    """
    table = [
        (100, []),
        (107, []),
        (114, [121, 128]),
        (121, [128, 135]),
        (130, [137, 144]),
        (139, []),
        (148, [157, 166]),
    ]
    check(make("stride", degree=2), table)


def test_stride_keeps_streams_apart() -> None:
    """Two strides at once; with two entries, a third stream takes the place of the one used longest ago."""
    policy = make("stride", degree=1, entries=2)
    for a, b in ((0, 1000), (3, 990)):
        assert ask(policy, a, 0) == ask(policy, b, 1) == []
    assert (ask(policy, 6, 0), ask(policy, 980, 1)) == ([9], [970])
    assert ask(policy, 5, 2) == []
    assert ask(policy, 9, 0) == []


def test_stream_buffers() -> None:
    """Two buffers of three. 11 and 12 move the first on by one each; 40 takes the other.

    13 is the first's again, so 80 takes the place of 40's, and 41 that of the first. 83 is the last of 80's: three on.
    """
    check(
        make("stream_buffers", buffers=2, depth=3),
        [
            (10, [11, 12, 13]), (11, [14]), (12, [15]), (40, [41, 42, 43]), (13, [16]), (80, [81, 82, 83]),
            (41, [42, 43, 44]), (83, [84, 85, 86]), (14, [15, 16, 17]),
        ],
    )  # fmt: skip


def test_markov_by_recency() -> None:
    """Two successors: what followed last comes first, and the oldest (3) goes for 4."""
    check(
        make("markov", successors=2),
        [(1, []), (2, []), (1, [2]), (3, []), (1, [3, 2]), (2, [1]), (1, [2, 3]), (4, []), (1, [4, 2])],
    )


def test_markov_by_frequency() -> None:
    """2 followed 1 twice, 3 once: 2 comes first although 3 was the last; 3, the rarest, goes for 4."""
    check(
        make("markov", successors=2, order="frequency"),
        [(1, []), (2, []), (1, [2]), (2, [1]), (1, [2]), (3, []), (1, [2, 3]), (4, []), (1, [2, 4])],
    )


def test_ghb_replays_what_followed_two_steps() -> None:
    """Steps 1, 2, 3 in turn. At 9 the last two are 1, 2; the time before, 3, 1, 2 came next: 12, 13, 15."""
    table = [(0, []), (1, []), (3, []), (6, []), (7, []), (9, [12, 13, 15]), (12, [13, 15, 18])]
    check(make("ghb", degree=3), table)
    policy = make("ghb", degree=3)
    for key, wanted in table:
        assert ask(policy, key, stream=0) == wanted
        assert ask(policy, 10**6 - key * key * 17, stream=1) == []


def test_ghb_global_sees_one_history() -> None:
    """Two streams that take turns make one pattern of steps: +100, -99 again and again."""
    policy = make("ghb", index="global", degree=2)
    found = [ask(policy, key, stream) for i in range(4) for stream, key in ((0, i), (1, 100 + i))]
    assert found == [[], [], [], [], [102, 3], [3, 103], [103, 4], [4, 104]]


def test_dcpt_goes_on_behind_its_last_prefetch() -> None:
    """Steps 1, 2, 3. At 9: 12, 13, 15 are wanted. At 12 the same are found up to 15: only 18 is new; then 19."""
    check(make("dcpt"), [(0, []), (1, []), (3, []), (6, []), (7, []), (9, [12, 13, 15]), (12, [18]), (13, [19])])


def test_dcpt_constant_stride() -> None:
    """Three steps of 5 are needed to find a pair twice; then each access leads one block further ahead."""
    check(make("dcpt"), [(0, []), (5, []), (10, []), (15, [20]), (20, [25, 30]), (25, [35, 40])])


def test_sms_recalls_a_footprint() -> None:
    """Regions of 8. Region 0 is begun at offset 1 and uses 1, 3, 6. Region 10 begins alike and ends that generation.

    So region 20, begun at offset 1, wants 163 and 166; region 30, begun at 2, knows nothing.
    """
    policy = make("sms", region_blocks=8, accumulation_entries=1)
    check(policy, [(1, []), (3, []), (6, []), (81, []), (83, []), (161, [163, 166]), (163, []), (242, [])])


def test_sms_takes_a_second_miss_for_the_end() -> None:
    """Block 3 is used again while it is there, and the generation goes on; that 1 is missed again ends it.

    The next one begins with that miss, and a footprint begun at offset 1 is known by now. It ends at 6, which is then
    the first of a third generation; one begun at 6 is not known. Region 2, begun at 1, wants the latest: 1 and 6.
    """
    policy = make("sms", region_blocks=8)
    table = [(1, MISS, []), (3, MISS, []), (3, HIT, []), (6, MISS, []), (1, HIT, []), (1, MISS, [3, 6])]
    table += [(6, HIT_PREFETCHED, []), (6, MISS, []), (17, MISS, [22])]
    assert [ask(policy, key, outcome=outcome) for key, outcome, _ in table] == [wanted for _, _, wanted in table]


def test_isb_makes_a_line_of_scattered_blocks() -> None:
    """The second time round each block names the two that followed it the first time; 5 stays where it was."""
    lap = [5, 900, 33, 7000]
    check(make("isb", degree=2), [(key, []) for key in lap] + [(5, [900, 33]), (900, [33, 7000]), (33, [7000])])


def test_isb_keeps_streams_apart() -> None:
    """The two laps are taken in turns, each by a stream of its own."""
    policy = make("isb", degree=1)
    for a, b in ((5, 40), (900, 41), (33, 3)):
        assert ask(policy, a, 0) == ask(policy, b, 1) == []
    assert [ask(policy, key, stream) for key, stream in ((5, 0), (40, 1), (900, 0), (41, 1))] == [
        [900],
        [41],
        [33],
        [3],
    ]


def test_best_offset_learns_and_gives_up() -> None:
    """Offsets 1, 2, 3 are tested in turn; at a stride of 3 only the third scores, at 6 and 15: 2 points, more than 1.

    Then six accesses without any order are two rounds without a point: it wants nothing more.
    """
    policy = make("best_offset", max_offset=3, score_max=31, round_max=2, bad_score=1, delay=0)
    check(policy, [(0, [1]), (3, [4]), (6, [7]), (9, [10]), (12, [13]), (15, [18]), (18, [21])])
    check(policy, [(100, [103]), (250, [253]), (471, [474]), (800, [803]), (1203, []), (1999, [])])


def test_best_offset_waits_for_its_delay() -> None:
    """With a delay of one access an access is not yet in the table when the next one comes: at stride 1, 2 wins."""
    policy = make("best_offset", max_offset=2, round_max=3, bad_score=1, delay=1)
    check(policy, [(0, [1]), (1, [2]), (2, [3]), (3, [4]), (4, [5]), (5, [7])])


def test_spp_takes_its_path_to_a_new_page() -> None:
    """Steps of 2: signatures 0, 2, 18, 146, 1170, 1170. At 10 that of the last step is known and leads on.

    The next page begins with signature 0, which the first page taught: the path is known at once.
    """
    policy = make("spp", max_depth=3)
    check(policy, [(0, []), (2, []), (4, []), (6, []), (8, []), (10, [12, 14, 16]), (64, [66, 68, 70])])


def test_spp_shares_its_confidence() -> None:
    """From signature 0, +1 was seen three times and +5 once: 3/4 and 1/4; at a threshold of 0.3 only +1 is wanted."""
    for threshold, wanted in ((0.3, [257]), (0.25, [257, 261])):
        policy = make("spp", threshold=threshold, max_depth=1)
        for page, step in enumerate([1, 1, 1, 5]):
            ask(policy, page * 64)
            ask(policy, page * 64 + step)
        assert ask(policy, 256) == wanted


def test_mithril_mines_pairs() -> None:
    """All four were used twice, side by side: when the table of four is full, each is associated with the next."""
    policy = make("mithril", mining_entries=4, lookahead=5)
    check(policy, [(key, []) for key in (1, 2, 50, 51, 1, 2, 50, 51)])
    check(policy, [(1, [2]), (77, []), (2, [50]), (50, [51]), (51, [])])


def test_mithril_leaves_out_what_is_far_or_frequent() -> None:
    """9 is used a third time, more than the support of 2: it has no row. 3 lies 6 accesses behind 1: too far."""
    policy = make("mithril", mining_entries=2, lookahead=5, max_support=2)
    for key in (1, 9, 9, 9, 21, 22, 3, 1, 23, 24, 25, 26, 27, 3):
        assert ask(policy, key) == []
    check(policy, [(1, []), (9, [])])


def test_probability_graph_counts_what_came_soon() -> None:
    """A window of two. 1 was followed by 2 both times, by 3 and by 4 once each: at a third only 2 is likely enough."""
    policy = make("probability_graph", lookahead=2, min_probability=0.5)
    check(policy, [(1, []), (2, []), (3, []), (1, [2, 3]), (2, [3, 1]), (4, []), (1, [2])])


def test_probability_graph_finds_each_of_many_successors_again() -> None:
    """Twelve in turn, then each once more: those that came again lead, and there is no thirteenth."""
    policy = make("probability_graph", lookahead=1, min_probability=0.01, degree=12)
    for key in range(1, 13):
        ask(policy, 100)
        ask(policy, key)
    for key in range(1, 13):
        wanted = [*range(1, key), *range(key, 13)]
        assert ask(policy, 100) == wanted, f"before {key} comes again"
        ask(policy, key)


def test_amp_grows_with_each_batch() -> None:
    """One more block a batch. From five on it asks when two are left; late makes that three, unused ones fewer."""
    policy = make("amp")
    check_ideal(
        policy,
        [
            (10, []), (11, [12, 13]), (12, []), (13, [14, 15, 16]), (14, []), (15, []), (16, [17, 18, 19, 20]),
            (17, []), (18, []), (19, []), (20, [21, 22, 23, 24, 25]), (21, []), (22, []), (23, [26, 27, 28, 29, 30]),
            (24, []), (25, []), (26, []), (27, []), (28, [31, 32, 33, 34, 35, 36]),
        ],
    )  # fmt: skip
    policy.told(Told([31, 36], [Fate.LATE, Fate.EVICTED_UNUSED]))
    check_ideal(policy, [(29, []), (30, []), (31, []), (32, []), (33, [37, 38, 39, 40, 41, 42])])


def test_linux_readahead_doubles_at_its_marker() -> None:
    """4, 8, 16 and 32 blocks; the first window's marker is its second block, later ones' their first.

    A random read gets nothing and leaves the window alone; two reads in order begin a new one.
    """
    table = [(0, [1, 2, 3]), (1, list(range(4, 12))), (2, []), (3, []), (4, list(range(12, 28)))]
    table += [(key, []) for key in range(5, 12)] + [(12, list(range(28, 60))), (1000, []), (1001, [1002, 1003, 1004])]
    check_ideal(make("linux_readahead"), table)


def test_leap_follows_the_majority() -> None:
    """Steps of 3. One block at first, two once a prefetch was used. A jump is outvoted, and halves the window."""
    check_ideal(
        make("leap"),
        [(0, []), (3, [6]), (6, [9, 12]), (9, [12, 15]), (12, [15, 18]), (1000, [1003]), (15, [18, 21])],
    )


def test_pythia_goes_further_where_an_offset_came_again() -> None:
    """Nothing is known: the first offset. Chosen for the fourth time it goes two steps. No prefetch leaves a page."""
    check_ideal(make("pythia", epsilon=0), [(0, [1]), (1, [2]), (2, [3]), (3, [4, 5]), (4, [5, 6])])
    check(make("pythia", epsilon=0), [(62, [63]), (63, []), (64, [65])])


def test_pythia_learns_from_its_rewards() -> None:
    """Values begin at 1. Two actions wait; the first one is known to be wrong, -8, when the third comes."""
    policy = make("pythia", actions=[1, 2], planes=1, tiles=1, alpha=1.0, gamma=0, epsilon=0, queue=2, max_degree=1)
    table = [(0, [1]), (10, [11]), (20, [21]), (30, [32]), (40, [42]), (50, [52])]
    # Now that both are worth nothing: the first one.
    check(policy, [*table, (60, [61])])


def test_pythia_takes_what_was_right() -> None:
    """Two steps ahead are there in time, 20; one step ahead never comes."""
    policy = make("pythia", actions=[1, 2], planes=1, tiles=1, alpha=1.0, gamma=0, epsilon=0, queue=2, max_degree=1)
    check_ideal(policy, [(0, [1]), (2, [3]), (4, [5]), (6, [8]), (8, [10]), (10, [12]), (12, [14]), (14, [16])])


def test_pythia_is_wrong_about_what_is_written() -> None:
    """As above, but each block is there in time and written then: nothing was gained, and two steps are tried."""
    policy = make("pythia", actions=[1, 2], planes=1, tiles=1, alpha=1.0, gamma=0, epsilon=0, queue=2, max_degree=1)
    found = [ask(policy, key, outcome=HIT_PREFETCHED, op=WRITE) for key in (0, 1, 2, 3)]
    assert found == [[1], [2], [3], [5]]


_LATE = Outcome.LATE
_REWARDED: list[tuple[float, float, list[tuple[int, Outcome, int]]]] = [
    (20, 0.5, [(0, MISS, READ), (1, HIT_PREFETCHED, READ), (2, MISS, READ)]),
    (12, 0.5, [(0, MISS, READ), (1, _LATE, READ), (2, MISS, READ)]),
    (12, 0.5, [(0, MISS, READ), (1, MISS, READ), (2, MISS, READ)]),
    (-8, 0.5, [(0, MISS, READ), (1, HIT_PREFETCHED, WRITE), (2, MISS, READ)]),
    (-14, 0.01, [(0, MISS, READ), (1, _LATE, WRITE), (2, MISS, READ)]),
    (-8, 0.5, [(0, MISS, READ), (200, MISS, READ), (400, MISS, READ)]),
    # Late once, which is more than a hundredth: misses of blocks that nobody fetched take nothing off that.
    (-14, 0.01, [(0, MISS, READ), (1, _LATE, READ), *[(i, MISS, READ) for i in range(2, 60)],
                 (200, MISS, READ), (400, MISS, READ), (600, MISS, READ)]),
    # And those that are there in time do.
    (-8, 0.01, [(0, MISS, READ), (1, _LATE, READ), *[(i, HIT_PREFETCHED, READ) for i in range(2, 60)],
                (200, MISS, READ), (400, MISS, READ), (600, MISS, READ)]),
]  # fmt: skip


@pytest.mark.parametrize(("reward", "crowded", "shown"), _REWARDED)
def test_pythia_rewards_by_hand(reward: float, crowded: float, shown: list[tuple[int, Outcome, int]]) -> None:
    """With a learning rate of 1 the value of the only action is the reward of the last one that left the queue."""
    policy = make(
        "pythia", actions=[1], planes=1, tiles=1, alpha=1.0, gamma=0, epsilon=0, queue=2, max_degree=1, crowded=crowded
    )
    for key, outcome, op in shown:
        assert ask(policy, key, outcome=outcome, op=op) == [key + 1]
    assert policy._arrays["values"].tolist() == [reward, reward]


def test_selector_tries_all_and_keeps_to_what_was_useful() -> None:
    """Two accesses each: one step, ten steps, nothing. Then ten steps, whose block was there and was read."""
    experts = [{"kind": "next_n", "trigger": "access"}, {"kind": "next_n", "stride": 10, "trigger": "access"}]
    policy = make("selector", experts=experts, step=2, c=0)
    check(policy, [(0, [1]), (100, [110]), (200, [210])])
    policy.told(Told([1, 110], [Fate.EVICTED_UNUSED, Fate.TIMELY]))
    check(policy, [(110, []), (400, []), (500, [510]), (600, [610]), (700, [710])])
    columns = np.array([800], np.uint64), np.zeros(1, np.uint32), np.full(1, MISS, np.uint8)
    assert policy.decide([AccessRun(*columns)]).answers[0].experts == [1]
    # Ten are wrong, a tenth each, and what was right is longer ago: to fetch nothing is better.
    for key in range(900, 910):
        assert ask(policy, key) == [key + 10]
        policy.told(Told([key + 10], [Fate.EVICTED_UNUSED]))
    check(policy, [(2000, []), (2001, [])])


def test_selector_has_no_reward_for_what_is_written() -> None:
    """The first one's block was on its way, and was written: the second one, which did nothing wrong, is better."""
    experts = [{"kind": "next_n", "trigger": "access"}, {"kind": "next_n", "stride": 10, "trigger": "access"}]
    policy = make("selector", experts=experts, step=2, c=0)
    check(policy, [(0, [1])])
    policy.told(Told([1], [Fate.LATE]))
    assert ask(policy, 1, op=WRITE) == [11]
    check(policy, [(300, [310]), (400, []), (500, []), (600, [610])])


def test_selector_refuses_what_is_learned() -> None:
    from policies.selector import SelectorConfig, SelectorPolicy

    config = POLICIES.validate({"kind": "selector", "experts": [{"kind": "next_n"}]})
    assert isinstance(config, SelectorConfig)
    learned = make("next_n")
    learned.table = dataclasses.replace(learned.table, is_learned=True)
    with pytest.raises(InputError, match=r"experts\.0: 'next_n' is learned; expected policies of tables"):
        SelectorPolicy(config, [learned])


def test_fdp_changes_its_level() -> None:
    """Level 3: two new blocks of sixteen. Useless and polluting: level 2, one of eight. Late, but right: 3."""
    policy = make("fdp", policy={"kind": "next_n", "n": 20, "trigger": "access"}, interval=4)
    check(policy, [(0, [1, 2]), (1, [3, 4])])
    policy.told(Told([1, 2, 3, 4], [Fate.EVICTED_UNUSED] * 4, n_polluted=1))
    # 1 to 4 left the cache and may be asked for again.
    check(policy, [(0, [1]), (0, [2]), (0, [3])])
    assert policy.level == 2
    # 12 late ones: of the halved sums (4 + 12) / 2 were settled, 12 / 2 useful: 0.75.
    policy.told(Told(list(range(12)), [Fate.LATE] * 12))
    assert policy.level == 3


@pytest.mark.parametrize(("accuracy", "changes"), [(0.8, [1, 1, 0, -1]), (0.5, [1, -1, 0, -1]), (0.1, [-1, -1, 0, -1])])
def test_fdp_table(accuracy: float, changes: list[int]) -> None:
    """The paper's twelve cases: late and clean, late and polluting, in time and clean, in time and polluting."""
    from policies.fdp import FdpConfig, change

    config = POLICIES.validate({"kind": "fdp", "policy": {"kind": "none"}})
    assert isinstance(config, FdpConfig)
    cases = [(0.5, 0.0), (0.5, 0.1), (0.0, 0.0), (0.0, 0.1)]
    assert [change(config, accuracy, lateness, pollution) for lateness, pollution in cases] == changes


def test_gate_closes_and_opens() -> None:
    """Each guess counts for half, two are remembered. 11 and 51 never come: 0.5, then 0.25, which is below 0.3.

    131, held back, does come: 0.625, and the gate is open again.
    """
    policy = make(
        "gate", policy={"kind": "next_n", "trigger": "access"}, window=2, weight=0.5, rule="threshold", threshold=0.3
    )
    check(policy, [(10, [11]), (50, [51]), (90, [91]), (130, []), (131, [132])])
