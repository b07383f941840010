"""What a new plugin of each kind begins with."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass


@dataclass(frozen=True)
class Starter:
    """The component that a new plugin of one kind begins with.

    Args:
        component: Its name.
        what: What it is, in words.
        usage: How a config uses it; `{name}` is the component's full name.
        rest: Keys that, together with `usage`, make a short run.
        tried: Parameters that conformance tries it with, several in turn; its defaults where there are none.
    """

    component: str
    what: str
    usage: str
    rest: str
    tried: str = ""

    def config(self, plugin: str) -> str:
        """Return the keys of a short run that uses it."""
        return "\n".join([*self.rest.strip().splitlines(), self.used(plugin)])

    def used(self, plugin: str) -> str:
        """Return the keys that use it."""
        return self.usage.format(name=f"{plugin}:{self.component}")


def _rest(**changed: str) -> str:
    """Write a short run on drawn shapes; a key set to nothing is left to the starter."""
    keys = {
        "dataset": "{use: shapes, params: {size: 32, count: 64}}",
        "generator": "unet_tiny",
        "discriminator": "patch_16",
        "losses": "{gan: 1, l1: 100}",
        "schedule": "{epochs: 2}",
        "engine": "{batch: 8}",
        **changed,
    }
    return "\n".join(f"{key}: {value}" for key, value in keys.items() if value)


STARTERS = {
    "generator": Starter(
        "small_unet",
        "a small U-Net",
        "generator: {{use: '{name}', params: {{width: 16}}}}",
        _rest(generator=""),
        tried='[{}, {"condition": "z"}]',
    ),
    "discriminator": Starter(
        "small_patch",
        "a small PatchGAN",
        "discriminator: {{use: '{name}', params: {{width: 16}}}}",
        _rest(discriminator=""),
    ),
    "loss": Starter(
        "gradient_difference",
        "the difference of gradients",
        textwrap.dedent("""\
            losses:
              gan: 1
              l1: 100
              edges: {{use: '{name}', weight: 50}}"""),
        _rest(losses=""),
    ),
    "dataset": Starter(
        "gradients",
        "drawn gradients, noisy and clean",
        "dataset: {{use: '{name}', params: {{size: 32, count: 64}}}}",
        _rest(dataset=""),
    ),
    "augmentation": Starter("vertical_flip", "top and bottom exchanged", "augment: [flip, '{name}']", _rest()),
    "metric": Starter(
        "windowed_rmse",
        "the root mean squared error in windows",
        "evaluate: {{metrics: [l1, {{use: '{name}', alias: rmse}}]}}",
        _rest(),
    ),
    "optimizer": Starter("lion", "Lion", "optimizers: {{generator: {{use: '{name}', lr: 1.0e-4}}}}", _rest()),
    "schedule": Starter(
        "inverse_root",
        "a learning rate that falls by the root of the step",
        "schedule: {{epochs: 2, shape: '{name}'}}",
        _rest(schedule=""),
    ),
    "tracker": Starter(
        "lines", "a line of JSON for each event", "tracking: {{trackers: {{lines: {{use: '{name}'}}}}}}", _rest()
    ),
    "reader": Starter("grid", "a format of image files", "# {name} reads files whose names end with .grid", _rest()),
    "executor": Starter(
        "threads", "threads of this process", "# p2pkit sweep example.yaml losses.l1.weight=1,100 --on {name}", _rest()
    ),
}
