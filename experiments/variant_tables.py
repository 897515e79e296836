"""Several variants in one table: for the terminal, and to be exported."""

from rich.console import Console
from rich.table import Table

from experiments.report import COUNT, RATIO, ROWS, SUMMARY, number_text, titles_of
from experiments.results import Row
from experiments.variants import VARIANT, KeptVariants, short
from experiments.written import Written

_SHOWN = {
    name: SUMMARY[name]
    for name in ("arm", "hit_ratio", "mean_latency_ns", "relative_difference_ratio", "verdict", "p99_latency_ns")
}
_NARROW, _MOST_KEYS = 10, 3
_KINDS = {metric: kind for _, metric, kind in ROWS}


def print_variants(console: Console, found: KeptVariants) -> None:
    """A row for each variant and arm. What tells the variants apart is in columns where it is short."""
    rows, titles = found.summary(), short(list(found.keys))
    texts = {variant: found.settings_text(variant) for variant in found.of}
    in_columns = [key for key in titles if all(len(said[key]) <= _NARROW for said in texts.values())][:_MOST_KEYS]
    n = len(found.of)
    console.print(f"{found.name}: {n} variant{'s' * (n != 1)}", highlight=False, markup=False)
    if len(in_columns) < len(titles):
        for variant, said in texts.items():
            parts = [f"{titles[key]} {text}" for key, text in said.items() if key not in in_columns]
            console.print(f"  {variant}: {'; '.join(parts)}", highlight=False, markup=False, soft_wrap=True)
    table = Table()
    of_arms = short(found.swept.arm_keys[:_MOST_KEYS])
    for title in [VARIANT, *(titles[key] for key in in_columns), *of_arms.values(), *_SHOWN.values()]:
        table.add_column(title, justify="left" if title in (VARIANT, "arm", "verdict") else "right", overflow="fold")
    for i, row in enumerate(rows):
        variant = row[VARIANT]
        is_first = i == 0 or rows[i - 1][VARIANT] != variant
        # Said once for all arms of a variant.
        of_variant = [variant, *(texts[variant][key] for key in in_columns)]
        cells = of_variant if is_first else [""] * len(of_variant)
        if is_first and i:
            table.add_section()
        said = found.texts_of_arm(variant, row["arm"])
        of_arm = ["" if said[key] == "-" else said[key] for key in of_arms]
        table.add_row(*cells, *of_arm, *(_cell(name, row, found.baseline_of(variant)) for name in _SHOWN))
    console.print(table)
    of_one = found.folder / next(iter(found.of))
    console.print(f"More of one of them: tierfetch show {of_one}", highlight=False, markup=False, soft_wrap=True)


def _cell(name: str, row: Row, baseline: str) -> str:
    value = row[name]
    if name == "arm":
        return str(value)
    if name == "relative_difference_ratio":
        return "" if value is None else f"{value:+.1%}"
    if name == "verdict":
        return value or ("baseline" if row["arm"] == baseline else "")
    return number_text(value, _KINDS.get(name, COUNT if name.startswith("n_") else RATIO))


def table_of_variants(found: KeptVariants, table: str, *, is_shown: bool) -> Written:
    """A table of all variants; where it is shown, settings are as somebody would write them."""
    if table == "summary":
        rows = found.summary()
        titles = {name: name for name in [VARIANT, *found.swept.keys]} | (
            titles_of(rows) if is_shown else {name: name for name in titles_of(rows)}
        )
        if is_shown:
            rows = [
                row | {"arm": row["arm"] + " (baseline)" * (row["arm"] == found.baseline_of(row[VARIANT]))}
                for row in rows
            ]
    else:
        whole = found.table(table)
        rows, titles = whole.to_pylist(), {name: name for name in whole.schema.names}
    if is_shown:
        texts = {variant: found.settings_text(variant) for variant in found.of}
        rows = [row | texts[row[VARIANT]] | found.texts_of_arm(row[VARIANT], _arm(row)) for row in rows]
    return Written(titles, rows)


def _arm(row: Row) -> str:
    """Of a row that may be shown as the baseline's."""
    return str(row.get("arm", "")).removesuffix(" (baseline)")
