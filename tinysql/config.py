"""The base of every configuration record: frozen, closed to unknown keys, documented per field."""

from pydantic import BaseModel, ConfigDict


class Config(BaseModel):
    """Science settings of one step; every field of a subclass enters the step's identity."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
