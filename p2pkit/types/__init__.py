"""What is passed around, and what factories make: with `p2pkit.hookspecs` the whole plugin API.

`images`, `view` and `runs` hold the nouns, `protocols` what the factories of each kind make, `optional` every attribute
that these may have beside.
"""

from p2pkit.types.images import Edges, ImageFile, ImageSpec, Kind, Pair, PairSpec, Reading
from p2pkit.types.protocols import (
    DiscriminatorLoss,
    DiscriminatorNetwork,
    FileReader,
    GeneratorLoss,
    GeneratorNetwork,
    PairAugmentation,
    PairDataset,
    PairMetric,
    PairStream,
    ParameterOptimizer,
    RateSchedule,
    RunTracker,
)
from p2pkit.types.runs import DatasetFacts, Notice, ParameterCount, Report, Run, RunLength, Samples, short_id
from p2pkit.types.view import Discriminate, Generate, Verdict, View

__all__ = [
    "DatasetFacts",
    "Discriminate",
    "DiscriminatorLoss",
    "DiscriminatorNetwork",
    "Edges",
    "FileReader",
    "Generate",
    "GeneratorLoss",
    "GeneratorNetwork",
    "ImageFile",
    "ImageSpec",
    "Kind",
    "Notice",
    "Pair",
    "PairAugmentation",
    "PairDataset",
    "PairMetric",
    "PairSpec",
    "PairStream",
    "ParameterCount",
    "ParameterOptimizer",
    "RateSchedule",
    "Reading",
    "Report",
    "Run",
    "RunLength",
    "RunTracker",
    "Samples",
    "Verdict",
    "View",
    "short_id",
]
