"""The exceptions of `cluster` that somebody catches.

Each takes one message string, so that it survives pickling across Ray.
"""


class UserError(Exception):
    """The user's mistake, in one line: what, got, expected, what to do. Exit code 2."""

    user_error = True


class LeaseLost(RuntimeError):
    """Another process owns the step now, or the store was out of reach too long."""


class IntegrityError(RuntimeError):
    """Stored bytes are not the bytes that a manifest, a receipt or a reference names."""
