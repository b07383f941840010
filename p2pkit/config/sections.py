"""What every section of a config is, and the kinds of value that several of them have."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from p2pkit.untyped import Json


def _word(value: object) -> object:
    """Undo what YAML makes of the words on and off."""
    return {True: "on", False: "off"}.get(value, value) if isinstance(value, bool) else value


Choice = Annotated[
    Literal["auto", "off", "on"],
    BeforeValidator(_word),
    WithJsonSchema({"enum": ["auto", "off", "on", False, True]}),
]
Switch = Annotated[Literal["off", "on"], BeforeValidator(_word), WithJsonSchema({"enum": ["off", "on", False, True]})]
Cache = Annotated[
    Literal["auto", "device", "memory", "disk", "off"],
    BeforeValidator(_word),
    WithJsonSchema({"enum": ["auto", "device", "memory", "disk", "off", False]}),
]


Name = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,100}$")]
"""What tables, plots and records can show: up to 100 letters, none of them a line break or the like."""
Argument = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
"""A name that an argument can have."""
Share = Annotated[float, Field(ge=0, lt=1)]
Many = 10**9
"""More of anything than a run can have, and little enough to be reckoned with."""


class Section(BaseModel):
    """A part of the config; unknown keys are errors, and so are numbers that are not finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)


class ComponentConfig(Section):
    """Which component, with which parameters."""

    use: str = Field(description="The component: a name, an alias, or `plugin:name`.")
    params: dict[str, Json] = Field(default_factory=dict, description="The component's parameters.")
    alias: Name | None = Field(None, description="The alias that was written; filled in when a config is resolved.")
