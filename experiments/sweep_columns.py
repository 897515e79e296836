"""The columns that a sweep adds to tables: of the variant, and of arms that it made of one, by their dotted keys."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from experiments.differences.settings import ABSENT, number_of, quantity_unit, value_text
from experiments.sweeping.axes import amount_of

Row = dict[str, Any]


def settings_of_arms(about: Mapping[str, Any]) -> dict[str, Row]:
    """Of each arm that a sweep made, what its settings are under the keys that were swept, as a manifest has them.

    Raises:
        ValueError: the manifest says nothing that can be read.
    """
    said = about.get("swept", {})
    if not isinstance(said, dict) or not all(isinstance(keys, dict) for keys in said.values()):
        raise ValueError(f"swept: {said!r}")
    of_name = {arm["name"]: arm for arm in about["config"]["arms"]}
    return {
        arm: {key: _setting(of_name[arm], arm, key, value) for key, value in keys.items()}
        for arm, keys in said.items()
        if arm in of_name
    }


def _setting(settings: Row, arm: str, key: str, said: Any) -> Any:
    """What a config has under a key, in its smallest unit; what the sweep says where the config has no such place."""
    parts = key.split(".")
    # arms.NAME.KEY: names may have dots, and the arm that was made of NAME begins with it.
    for start in range(2, len(parts)):
        if arm.startswith(".".join(parts[1:start])):
            found = _at(settings, parts[start:])
            if found is not ABSENT:
                said = found
                break
    # What an arm sets keeps the unit in which it was said.
    amount, unit = amount_of(said)
    return f"{amount} {unit}" if unit else said


def _at(value: Any, parts: Sequence[str]) -> Any:
    if not parts:
        return value
    if isinstance(value, list):
        named = {str(item["name"]): item for item in value if isinstance(item, dict) and "name" in item}
        value = named or {str(i): item for i, item in enumerate(value)}
    if isinstance(value, dict):
        # What an arm sets has whole paths as its keys.
        for n in range(len(parts), 0, -1):
            if (name := ".".join(parts[:n])) in value:
                return _at(value[name], parts[n:])
    return ABSENT


def base_of_arm(arm: str, keys: Iterable[str]) -> str:
    """The arm that a sweep made one of, by its keys; the arm itself where it made none."""
    names = {".".join(key.split(".")[1:end]) for key in keys for end in range(2, key.count(".") + 1)}
    return max((name for name in names if arm.startswith(f"{name}-")), key=len, default=arm)


def of_one_type(values: Sequence[Any]) -> list[Any]:
    """Settings as a column: numbers of bytes, ns and bytes/s; text where they are of several types; else null."""
    numbers = [number_of(value) for value in values]
    types = {type(value) for value in numbers if value is not None}
    if types <= {int, float} or len(types) <= 1:
        return numbers
    return [None if value is ABSENT or value is None else value_text(value) for value in values]


class SweepColumns:
    """Columns of swept keys: what each variant, and each arm of it, has there; of one result there is one variant."""

    def __init__(self, of_variants: Mapping[str, Sequence[Any]], of_arms: Sequence[Mapping[str, Row]]) -> None:
        """What keys are in each variant, and in each what they are by arm; both in the order of the variants."""
        import pyarrow as pa

        self._raw: dict[str, Sequence[Any]] = dict(of_variants)
        self.of_variants = {key: of_one_type(values) for key, values in of_variants.items()}
        keys = dict.fromkeys(key for arms in of_arms for row in arms.values() for key in row)
        # What is not swept in one is what makes the type no other one.
        self.arm_keys = [key for key in keys if key not in self.of_variants]
        self._places: dict[tuple[int, str], int] = {}
        said: dict[str, list[Any]] = {key: [ABSENT] for key in self.arm_keys}
        for place, arms in enumerate(of_arms):
            for arm, row in arms.items():
                self._places[place, arm] = len(self._places) + 1
                for key, values in said.items():
                    values.append(row.get(key, ABSENT))
        self._said = said
        self._raw |= said
        self._of_arms = {key: pa.array(of_one_type(values)) for key, values in said.items()}
        self.types = {key: pa.array(values).type for key, values in self.of_variants.items()} | {
            key: values.type for key, values in self._of_arms.items()
        }
        self._scalars: dict[tuple[str, int], Any] = {}

    @property
    def keys(self) -> list[str]:
        """All of them: first those of variants."""
        return [*self.of_variants, *self.arm_keys]

    def unit_of(self, key: str) -> str:
        """What the values of a key are of: B, ns, B/s, or "" if they are no quantities, or several."""
        units = {quantity_unit(value) for value in self._raw[key] if value is not ABSENT}
        return units.pop() if len(units) == 1 else ""

    def of(self, place: int, arm: str) -> Row:
        """The values of a row of a variant, by its place, and an arm."""
        at = self._places.get((place, arm), 0)
        return {key: values[place] for key, values in self.of_variants.items()} | {
            key: values[at].as_py() for key, values in self._of_arms.items()
        }

    def texts_of_arm(self, place: int, arm: str) -> dict[str, str]:
        """What an arm has of the keys of arms, as somebody would write it."""
        at = self._places.get((place, arm), 0)
        return {key: value_text(values[at]) for key, values in self._said.items()}

    def arrays(self, places: Any, arms: Any | None) -> dict[str, Any]:
        """Columns for rows: the place of the variant of each as an array, and its arm, where the table has them."""
        import pyarrow as pa

        found = {
            key: pa.array(values, self.types[key]).take(pa.array(places)) for key, values in self.of_variants.items()
        }
        if self.arm_keys and arms is not None:
            coded = arms.combine_chunks().dictionary_encode()
            names = coded.dictionary.to_pylist()
            pairs = np.asarray(places, np.int64) * len(names) + coded.indices.to_numpy(zero_copy_only=False)
            each, back = np.unique(pairs, return_inverse=True)
            at = [self._places.get((int(pair) // len(names), names[int(pair) % len(names)]), 0) for pair in each]
            rows = pa.array(np.array(at, np.int64)[back.ravel()])
            found |= {key: values.take(rows) for key, values in self._of_arms.items()}
        return found


def in_front(table: Any, columns: Mapping[str, Any]) -> Any:
    """A table with columns before its own; what it has itself, such as ``start``, stays its own."""
    import pyarrow as pa

    own = table.schema.names
    front = {name: column for name, column in columns.items() if name not in own}
    return pa.table(front | dict(zip(own, table.columns, strict=True)))
