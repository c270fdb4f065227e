"""The scalars of YAML texts: kept apart from the parser, which only those import who read one."""


class Scalar(str):
    """A scalar that YAML 1.1 reads as a number or a truth value: its text as written, with the reading as `value`.

    It is a text so that, at any depth, a version 0.10 is not read as the number 0.1 where a text is expected.
    """

    value: bool | int | float

    def __new__(cls, text: str, value: bool | int | float) -> "Scalar":
        """A text that YAML 1.1 reads as `value`."""
        scalar = super().__new__(cls, text)
        scalar.value = value
        return scalar
