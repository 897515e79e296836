"""What has been reported of caches like these comes out with its sign and its order of magnitude."""

import pytest

from benchmarks.findings import FINDINGS, FOLDER, means_of, text

EXPECTED = {
    "queue_time": [(-60, -10), (0, 0)],
    "occupancy": [(0.2, 0.9), (1, 1)],
    "promotion": [(-15, -1), (-95, -20)],
    "expert_slots": [(3, 40), (12, 100)],
}
"""For each config the least and the most of its findings, in their order."""


def test_each_config_is_of_a_finding() -> None:
    assert {finding.config for finding in FINDINGS} == set(EXPECTED) == {path.stem for path in FOLDER.glob("*.yaml")}


@pytest.mark.parametrize("config", EXPECTED)
def test_findings(config: str) -> None:
    means = means_of(config, seeds=[0])
    found = [finding.found(means) for finding in FINDINGS if finding.config == config]
    for value, (least, most) in zip(found, EXPECTED[config], strict=True):
        assert least <= value <= most
    if config == "expert_slots":
        assert found[0] < found[1]


def test_figures_have_their_units() -> None:
    shares, others = ([one for one in FINDINGS if bool(one.unit) is has] for has in (True, False))
    assert {text(one, -28.4) for one in shares} == {"-28 %"}
    assert {text(one, 0.474) for one in others} == {"0.47"}
