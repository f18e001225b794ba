"""The exceptions of `cluster` that somebody catches.

Each takes one message string, so that it survives pickling across Ray. user_error marks those that
only a person can do something about and whose message is one line for that person.
"""


class UserError(Exception):
    """The user's mistake, in one line: what, got, expected, what to do. Exit code 2."""

    user_error = True


class StoreRefused(PermissionError):
    """The store does not accept our credentials, or not any more."""

    user_error = True


class StoreUnreachable(ConnectionError):
    """The store did not answer, however often it was asked."""

    user_error = True


class LeaseLost(RuntimeError):
    """Another process owns the step now, or the store was out of reach too long."""


class IntegrityError(RuntimeError):
    """Stored bytes are not the bytes that a manifest, a receipt or a reference names."""

    user_error = True
