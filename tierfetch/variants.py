"""The results of several variants as one: the same tables, with a column for each key that they set differently."""

from collections.abc import Iterator, Mapping
from html import escape
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from experiments.results import named
from experiments.variants import VARIANT, KeptVariants
from simulator.errors import InputError
from tierfetch.arrow import ArrowTables
from tierfetch.results import Best, Results

if TYPE_CHECKING:
    import pandas as pd


class _Each(Mapping[str, Results]):
    """The variants by their names, each read when it is asked for."""

    def __init__(self, of: KeptVariants) -> None:
        self._of = of.of

    def __getitem__(self, name: str) -> Results:
        return Results(self._of[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._of)

    def __len__(self) -> int:
        return len(self._of)


class VariantResults(Results):
    """What a folder with several variants of an experiment keeps.

    Tables have the columns ``variant`` and, by their dotted keys, whatever the variants set differently: quantities in
    bytes, ns and bytes/s. ``variants`` has each by itself.
    """

    def __init__(self, of: KeptVariants) -> None:
        """``Results.open`` makes them."""
        self._of = of
        self.folder = of.folder
        self.arrow = ArrowTables(of)
        self.variants = _Each(of)

    @property
    def name(self) -> str:
        """What the experiment is called whose variants these are."""
        return self._of.name

    @property
    def arms(self) -> list[str]:
        """The arms that any variant has with a finished run."""
        return list(dict.fromkeys(arm for one in self._of.variants for arm in one.arms))

    @property
    def seeds(self) -> list[int]:
        """The seeds that any variant has with a finished run."""
        return sorted({seed for one in self._of.variants for _, seed, _ in one.files})

    @property
    def baseline(self) -> str:
        """The arm that the others are compared with. Raises InputError if that is not one for all variants."""
        names = dict.fromkeys(str(one.config["baseline"]) for one in self._of.variants)
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
        write_page([one.folder for one in self._of.variants], path)
        return path

    def pooled(self) -> "pd.DataFrame":
        """Slices of a trace (``tierfetch run --slices``) as one: a row for each arm.

        ``hit_ratio`` and ``mean_latency_ns`` are weighted by judged accesses, ``relative_difference_ratio`` is to the
        baseline's mean, ``low`` and ``high`` its 95 % interval with slices as batches, quantiles (ns) are those of all
        rows of accesses.

        Raises:
            InputError: the variants are no slices, or they overlap.
        """
        import pandas as pd

        from experiments.pooled import pooled

        return pd.DataFrame(pooled(self._of))

    def __repr__(self) -> str:
        keys = ", ".join(self._of.keys) or "nothing"
        return (
            f"<Results {self.name}: variants {named(list(self.variants), 8)}; set differently {keys}; in {self.folder}>"
        )

    def _repr_html_(self) -> str:
        frame: str = self.settings.to_html(escape=True, max_rows=60)
        return f"<p>{escape(f'{self.name}: {len(self.variants)} variants in {self.folder}')}</p>{frame}"


def _refuse(of: KeptVariants, what: str) -> NoReturn:
    some = next(iter(of.of))
    raise InputError(f"{of.folder}: has several variants; expected one of them, such as variants[{some!r}], for {what}")
