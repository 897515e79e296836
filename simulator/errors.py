"""The one exception that means the user's input is wrong, not the program."""


class InputError(ValueError):
    """Bad input: the message names the file, line or key, the value, and what was expected.

    The command line turns it into exit code 2 without a traceback. Several problems are several arguments: a line each.
    """

    def __str__(self) -> str:
        return "\n".join(map(str, self.args))
