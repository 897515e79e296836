"""The results of several variants as one: the same tables, with a column for each key that they set differently."""

from collections.abc import Sequence
from html import escape
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from experiments.variants import VARIANT, KeptVariants
from simulator.errors import InputError
from tierfetch.arrow import ArrowTables, Names, Numbers
from tierfetch.results import Best, Results

if TYPE_CHECKING:
    import pandas as pd


class VariantTables(ArrowTables):
    """The small tables of all variants; what grows with the trace is a variant's own."""

    def __init__(self, of: KeptVariants) -> None:
        self._of = of

    def whole(self, table: str) -> Any:
        """A table over all runs of all variants. Raises InputError if one is not there, or damaged."""
        return self._of.table(table)

    def of_runs(self, table: str, arm: Names, seed: Numbers, repeat: Numbers) -> Any:
        """Raises InputError: that is read of one variant at a time."""
        _refuse(self._of, table)


class VariantResults(Results):
    """What a folder with several variants of an experiment keeps.

    Tables have the columns ``variant`` and, by their dotted keys, whatever the variants set differently: quantities in
    bytes, ns and bytes/s. ``variants`` has each by itself.
    """

    def __init__(self, of: KeptVariants) -> None:
        """``Results.open`` makes them."""
        self._of = of
        self.folder = of.folder
        self.arrow = VariantTables(of)
        self.variants = {name: Results(kept) for name, kept in of.of.items()}

    @property
    def name(self) -> str:
        """What the experiment is called whose variants these are."""
        return self._of.name

    @property
    def arms(self) -> list[str]:
        """The arms that any variant has with a finished run."""
        return list(dict.fromkeys(arm for one in self.variants.values() for arm in one.arms))

    @property
    def seeds(self) -> list[int]:
        """The seeds that any variant has with a finished run."""
        return sorted({seed for one in self.variants.values() for seed in one.seeds})

    @property
    def baseline(self) -> str:
        """The arm that the others are compared with. Raises InputError if that is not one for all variants."""
        names = dict.fromkeys(one.baseline for one in self.variants.values())
        if len(names) > 1:
            raise InputError(f"{self.folder}: its variants have several baselines, {', '.join(names)}")
        return next(iter(names))

    @property
    def settings(self) -> "pd.DataFrame":
        """What tells the variants apart: a row for each, a column for each key that they set differently."""
        import pandas as pd

        return pd.DataFrame(self._of.columns(), index=pd.Index(list(self.variants), name=VARIANT))

    def best(self) -> Best:
        """Raises InputError: there is one in each variant."""
        _refuse(self._of, "best()")

    def report(self, out: "str | PathLike[str] | None" = None) -> Path:
        """Write a page of all variants, by default beside the folder, called like it; otherwise as ``Results``."""
        from experiments.make_report import write_page

        path = self.folder.with_name(f"{self.folder.resolve().name}.html") if out is None else Path(out)
        write_page([one.folder for one in self.variants.values()], path)
        return path

    def _of_runs(
        self, table: str, arm: Names, seed: Numbers, repeat: Numbers, columns: Sequence[str] | None
    ) -> "pd.DataFrame":
        _refuse(self._of, table)

    def __repr__(self) -> str:
        keys = ", ".join(self._of.keys) or "nothing"
        return f"<Results {self.name}: variants {', '.join(self.variants)}; set differently {keys}; in {self.folder}>"

    def _repr_html_(self) -> str:
        frame: str = self.settings.to_html(escape=True)
        return f"<p>{escape(f'{self.name}: {len(self.variants)} variants in {self.folder}')}</p>{frame}"


def _refuse(of: KeptVariants, what: str) -> NoReturn:
    some = next(iter(of.of))
    raise InputError(f"{of.folder}: has several variants; expected one of them, such as variants[{some!r}], for {what}")
