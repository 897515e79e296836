"""``python -m tierfetch``: the command ``tierfetch``, where the environment's scripts are on no path."""

from experiments.command import main

main()
