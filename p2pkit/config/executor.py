"""The section of a config that says where work runs."""

from __future__ import annotations

from pydantic import Field

from p2pkit.config.sections import ComponentConfig
from p2pkit.untyped import Json, Plain

EXECUTOR = "executor"
"""The section's key."""


def split_overrides(overrides: Plain) -> tuple[dict[str, Json], dict[str, Json]]:
    """Return the keys to change that say where work runs, and the others, which say what is done."""
    own = {key: value for key, value in overrides.items() if key.partition(".")[0] == EXECUTOR}
    return own, {key: value for key, value in overrides.items() if key not in own}


class ExecutorConfig(ComponentConfig):
    """Where work runs, and what each piece of it needs: a worker of a sweep, or a portion of the files to translate."""

    use: str = Field("local", description="The executor: a name, an alias, or `plugin:name`.")
    cpus: float = Field(1.0, gt=0, le=4096, description="Processor cores.")
    gpus: float | None = Field(
        None,
        ge=0,
        le=64,
        description="GPUs, or a share of one; null for one where there are any and `engine.device` wants one.",
    )
    memory: float | None = Field(None, gt=0, le=2**16, description="Main memory in GiB; null where it is not known.")
    retries: int = Field(2, ge=0, le=1000, description="How often a piece is given anew whose worker was lost.")
