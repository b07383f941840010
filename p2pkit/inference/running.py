"""A generator run on what it can take, in the mode in which it translates."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from p2pkit.engine.device.placement import Placement
from p2pkit.engine.evaluation.inference_mode import InferenceMode, Statistics, run_in_mode
from p2pkit.inference.companions import Companions, Input, Vectors, stacked
from p2pkit.inference.noise import without_noise


@dataclass(frozen=True)
class Running:
    """How a generator is run; a fake does not depend on what stands beside it in the batch.

    Args:
        generator: The network, on its device.
        companions: What it takes beside a source.
        place: Where and how it computes.
        mode: Its mode.
        statistics: Those that were gathered anew, for the mode that wants them.
        seed: What noise is drawn by, for each image anew.
    """

    generator: nn.Module
    companions: Companions
    place: Placement
    mode: InferenceMode
    statistics: Statistics | None
    seed: int

    def __call__(self, planes: Tensor, vectors: Vectors) -> Tensor:
        """Make fakes.

        Shape: planes (B, C, H, W), vectors (B, size), or (1, size) for all -> (B, C_target, H, W), in [-1, 1].
        """
        planes, vectors = self._here(planes, vectors)
        with self._in_mode(), self.place.precision.autocast():
            alone = self.mode.batch_norm == "batch" or self.mode.dropout == "on" or len(planes) == 1
            made = None if alone else without_noise(lambda: self._ask(planes, vectors), self.place.device)
            if made is None:  # each image by itself, and by the same noise
                parts = []
                for index in range(len(planes)):
                    torch.manual_seed(self.seed)
                    own = {name: vector[index : index + 1] for name, vector in vectors.items()}
                    parts.append(self._ask(planes[index : index + 1], own))
                made = torch.cat(parts)
        return made.float().cpu()

    def draws(self, blank: Input) -> bool:
        """Say whether fakes of one source differ by noise.

        Args:
            blank: A source to try it on.
        """
        if self.companions.drawn:
            return True
        planes, vectors = self._here(*stacked([blank]))
        with self._in_mode():
            return without_noise(lambda: self._ask(planes, vectors), self.place.device) is None

    def _in_mode(self) -> AbstractContextManager[None]:
        return run_in_mode(self.generator, self.mode, self.statistics)

    def _ask(self, planes: Tensor, vectors: Vectors) -> Tensor:
        return self.companions.ask(self.generator, planes, vectors)

    def _here(self, planes: Tensor, vectors: Vectors) -> tuple[Tensor, Vectors]:
        """Bring a batch to where the generator is, a vector for each image."""
        device, count = self.place.device, len(planes)
        moved = {name: vector.expand(count, -1).to(device) for name, vector in vectors.items()}
        return self.place.lay(planes.to(device)), moved
