"""What is passed around, and what factories make: with `p2pkit.hookspecs` the whole plugin API.

`images`, `view`, `runs` and `work` hold the nouns, `protocols` what the factories of each kind make, `optional` every
attribute that these may have beside.
"""

from p2pkit.types.images import (
    Edges,
    ExtraSpec,
    ImageFile,
    ImageSpec,
    Kind,
    Pair,
    PairSpec,
    ReaderChoice,
    Reading,
    Slices,
    VectorSpec,
    is_drawn,
    times,
)
from p2pkit.types.pairs import LazyPairs, split_of
from p2pkit.types.protocols import (
    DiscriminatorLoss,
    DiscriminatorNetwork,
    FileReader,
    FileRows,
    GeneratorLoss,
    GeneratorNetwork,
    PairAugmentation,
    PairDataset,
    PairMetric,
    PairStream,
    ParameterOptimizer,
    RateSchedule,
    RunTracker,
    WorkExecutor,
)
from p2pkit.types.runs import DatasetFacts, Notice, ParameterCount, Report, Run, RunLength, Samples, short_id
from p2pkit.types.view import Discriminate, Generate, Made, Verdict, View
from p2pkit.types.work import Resources, Tell, Work

__all__ = [
    "DatasetFacts",
    "Discriminate",
    "DiscriminatorLoss",
    "DiscriminatorNetwork",
    "Edges",
    "ExtraSpec",
    "FileReader",
    "FileRows",
    "Generate",
    "GeneratorLoss",
    "GeneratorNetwork",
    "ImageFile",
    "ImageSpec",
    "Kind",
    "LazyPairs",
    "Made",
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
    "ReaderChoice",
    "Reading",
    "Report",
    "Resources",
    "Run",
    "RunLength",
    "RunTracker",
    "Samples",
    "Slices",
    "Tell",
    "VectorSpec",
    "Verdict",
    "View",
    "Work",
    "WorkExecutor",
    "is_drawn",
    "short_id",
    "split_of",
    "times",
]
