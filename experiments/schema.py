"""``tierfetch schema``: the JSON schema of a config."""

import typer

from experiments.exits import exit_codes

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main() -> None:
    """Print the JSON schema of a config, with a description of every key: tierfetch schema > schema.json.

    A config whose first line is "# yaml-language-server: $schema=schema.json" is then checked as it is written. Exit
    codes: 0 done, 1 a bug.
    """
    with exit_codes("nothing was to be written"):
        from experiments.config_schema import as_text, schema

        typer.echo(as_text(schema()))


if __name__ == "__main__":
    app()
