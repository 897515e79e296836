"""Every shipped config loads, says what each of its fields is, and names every field of the system somewhere."""

from pathlib import Path

import pytest

from experiments.loading import load

CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_it_loads_and_every_line_has_a_comment(path: Path) -> None:
    assert load(path)
    for number, line in enumerate(path.read_text().splitlines(), 1):
        key, colon, rest = line.partition(":")
        holds_value = colon and rest.split("#")[0].strip() and not key.lstrip().startswith("#")
        # Arms under the throttle are alike: the arm above has the comment.
        assert not holds_value or "#" in line or "kind: fdp" in line or line.strip().startswith("policy: &"), (
            f"{path}:{number}: {line}"
        )


def test_variants_are_experiments_of_their_own() -> None:
    shootout = load(next(path for path in CONFIGS if path.stem == "shootout"))
    assert set(shootout) == {"cloudphysics", "mooncake", "lirs", "orm", "gcc"}
    assert len({experiment.folder_hash() for experiment in shootout.values()}) == 5
    assert shootout["lirs"].name == "shootout-lirs"
    by_name = {name: {arm.name: arm for arm in experiment.arms} for name, experiment in shootout.items()}
    # What an anchor repeats follows: the throttled arm has the variant's stride as well.
    assert by_name["orm"]["next_n"].policy.stride == by_name["orm"]["next_n_fdp"].policy.policy.stride == 512  # type: ignore[union-attr]
    assert by_name["cloudphysics"]["next_n"].policy.stride == 128  # type: ignore[union-attr]
