"""The exceptions that mean "the user can fix this": their message is a single line."""


class InputError(ValueError):
    """A mistake in what the user gave; says what, got, expected and what to do."""

    user_error = True


class Diverged(InputError):
    """A training whose loss is no number any more, which a sweep takes for a bad trial."""
