"""The one exception that means "the user can fix this": its message is a single line."""


class InputError(ValueError):
    """A mistake in what the user gave; says what, got, expected and what to do."""

    user_error = True
