"""The one exception that is meant to be read by the user."""


class UserError(Exception):
    """Bad input: the message names the file, key or value and says what to do.

    The command line prints it without a traceback; anything else is a bug and keeps its own.
    """
