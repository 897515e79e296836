"""Vega, Vega-Lite and Vega-Embed as one script, made by vl-convert once a version and kept beside compiled code."""

import re
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from experiments.aside import written_aside


def library() -> str:
    """The script; ``window.vegaEmbed`` is what it leaves."""
    path = _place()
    if path.is_file():
        return path.read_text()
    import vl_convert

    made = str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))
    # Within a page such an end would be the script's.
    made = re.sub(r"</(script)", r"<\\/\1", made, flags=re.IGNORECASE).replace("<!--", "<\\!--")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_aside(path) as aside:
            aside.write_text(made)
    return made


def _place() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("tierfetch") / f"vega-{metadata.version('vl-convert-python')}.js"
