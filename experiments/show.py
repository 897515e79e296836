"""``tierfetch show RESULT``: the closing table of ``tierfetch run`` once more, from what the folder keeps."""

from pathlib import Path
from typing import Annotated

import typer

from experiments.exits import exit_codes

Full = Annotated[bool, typer.Option("--full", help="Every metric in the closing table, not only what decides.")]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    result: Annotated[Path, typer.Argument(help="A folder of results, as list names them.")],
    full: Full = False,
) -> None:
    """Print the closing table of a finished experiment again, without a run; of several variants, an arm a row.

    Of slices of a trace it also says what they come to together.
    The notes that run prints below it are not kept; the same run again, which makes nothing, has them. Exit codes: 0
    done, 2 there are no results, or not all of them.
    """
    with exit_codes("nothing was to be written"):
        from experiments.closing import print_report
        from experiments.pooled import are_slices, print_pooled
        from experiments.progress import make_console
        from experiments.ranking import ranking
        from experiments.stores.chosen import here
        from experiments.variant_tables import print_variants
        from experiments.variants import KeptVariants, opened

        kept = opened(here(result))
        if isinstance(kept, KeptVariants):
            print_variants(make_console(), kept)
            if are_slices(kept):
                print_pooled(make_console(), kept)
            return
        kept.check_whole()
        compared = kept.compared()
        ranked = ranking(kept.rows, compared, kept.baseline, kept.folder)
        print_report(make_console(), kept, kept.rows, compared, ranked, full=full)


if __name__ == "__main__":
    app()
