"""p2pkit: paired image-to-image translation with conditional GANs, assembled from plugins."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from p2pkit.errors import (
    ComponentError,
    ConfigError,
    DataError,
    DeviceError,
    ModelError,
    P2pkitError,
    PluginError,
    Problem,
    RegistryError,
    StorageError,
    TrainingError,
    first_line,
)

if TYPE_CHECKING:
    from p2pkit.api import EvaluatedRun, TrainedRun, check, evaluate, resume, train
    from p2pkit.bridge import ExportedModel, ImportedModel, ImportedNetwork, export_checkpoint, import_checkpoint
    from p2pkit.components import (
        Augmentation,
        Component,
        Dataset,
        Discriminator,
        Executor,
        Generator,
        Loss,
        Metric,
        Optimizer,
        Reader,
        Schedule,
        Tracker,
    )
    from p2pkit.config import flat_config
    from p2pkit.engine.storage.layout import copy_for_inference, inference_files
    from p2pkit.executing import do_work
    from p2pkit.exporting import ExportedFolder, PortableGenerator, export, export_program, push, save_program
    from p2pkit.hookspecs import PLUGIN_API, hookimpl
    from p2pkit.images.convert import conform, resample, resize, stored_type, to_network, to_picture, to_stored
    from p2pkit.images.decode import CODECS
    from p2pkit.images.files import read_image, write_image
    from p2pkit.images.finding import files_below
    from p2pkit.images.formats import is_image, reader_choice
    from p2pkit.images.listing import IMAGE_SUFFIXES, hashed_share, is_image_name, suffix_of, without_suffix
    from p2pkit.images.manifest import manifest_rows
    from p2pkit.images.reading import choose_bands, cut_half, cut_slices, draw_edges, painted_colours, stretch
    from p2pkit.inference.translate import Translator
    from p2pkit.mlflow_store import tracking_uri
    from p2pkit.scoring import score
    from p2pkit.shards import Shard, ShardIndex
    from p2pkit.translation import load
    from p2pkit.types import (
        DatasetFacts,
        DiscriminatorLoss,
        DiscriminatorNetwork,
        Edges,
        FileReader,
        FileRows,
        GeneratorLoss,
        GeneratorNetwork,
        ImageFile,
        ImageSpec,
        LazyPairs,
        Made,
        Notice,
        Pair,
        PairAugmentation,
        PairDataset,
        PairMetric,
        PairSpec,
        PairStream,
        ParameterOptimizer,
        RateSchedule,
        ReaderChoice,
        Reading,
        Report,
        Resources,
        Run,
        RunLength,
        RunTracker,
        Samples,
        Slices,
        Tell,
        VectorSpec,
        Verdict,
        View,
        Work,
        WorkExecutor,
        split_of,
    )
    from p2pkit.untyped import Untyped
    from p2pkit.weights.files import Weights, WeightsFile, fill_weights, fingerprint, read_weights
    from p2pkit.weights.networks import classifier_features, lpips_network

__version__ = "0.1.0"

__all__ = [
    "CODECS",
    "IMAGE_SUFFIXES",
    "PLUGIN_API",
    "Augmentation",
    "Component",
    "ComponentError",
    "ConfigError",
    "DataError",
    "Dataset",
    "DatasetFacts",
    "DeviceError",
    "Discriminator",
    "DiscriminatorLoss",
    "DiscriminatorNetwork",
    "Edges",
    "EvaluatedRun",
    "Executor",
    "ExportedFolder",
    "ExportedModel",
    "FileReader",
    "FileRows",
    "Generator",
    "GeneratorLoss",
    "GeneratorNetwork",
    "ImageFile",
    "ImageSpec",
    "ImportedModel",
    "ImportedNetwork",
    "LazyPairs",
    "Loss",
    "Made",
    "Metric",
    "ModelError",
    "Notice",
    "Optimizer",
    "P2pkitError",
    "Pair",
    "PairAugmentation",
    "PairDataset",
    "PairMetric",
    "PairSpec",
    "PairStream",
    "ParameterOptimizer",
    "PluginError",
    "PortableGenerator",
    "Problem",
    "RateSchedule",
    "Reader",
    "ReaderChoice",
    "Reading",
    "RegistryError",
    "Report",
    "Resources",
    "Run",
    "RunLength",
    "RunTracker",
    "Samples",
    "Schedule",
    "Shard",
    "ShardIndex",
    "Slices",
    "StorageError",
    "Tell",
    "Tracker",
    "TrainedRun",
    "TrainingError",
    "Translator",
    "VectorSpec",
    "Verdict",
    "View",
    "Weights",
    "WeightsFile",
    "Work",
    "WorkExecutor",
    "__version__",
    "check",
    "choose_bands",
    "classifier_features",
    "conform",
    "copy_for_inference",
    "cut_half",
    "cut_slices",
    "do_work",
    "draw_edges",
    "evaluate",
    "export",
    "export_checkpoint",
    "export_program",
    "files_below",
    "fill_weights",
    "fingerprint",
    "first_line",
    "flat_config",
    "hashed_share",
    "hookimpl",
    "import_checkpoint",
    "inference_files",
    "is_image",
    "is_image_name",
    "load",
    "lpips_network",
    "manifest_rows",
    "painted_colours",
    "push",
    "read_image",
    "read_weights",
    "reader_choice",
    "resample",
    "resize",
    "resume",
    "save_program",
    "score",
    "split_of",
    "stored_type",
    "stretch",
    "suffix_of",
    "to_network",
    "to_picture",
    "to_stored",
    "tracking_uri",
    "train",
    "without_suffix",
    "write_image",
]

_API = ("EvaluatedRun", "TrainedRun", "check", "evaluate", "resume", "train")
_BRIDGE = ("ExportedModel", "ImportedModel", "ImportedNetwork", "export_checkpoint", "import_checkpoint")
_COMPONENTS = (
    *("Augmentation", "Component", "Dataset", "Discriminator", "Generator", "Loss", "Metric"),
    *("Optimizer", "Schedule", "Tracker", "Reader", "Executor"),
)
_EXPORTING = ("ExportedFolder", "PortableGenerator", "export", "export_program", "push", "save_program")
_CONVERT = ("conform", "resample", "resize", "stored_type", "to_network", "to_picture", "to_stored")
_NAMES = ("IMAGE_SUFFIXES", "hashed_share", "is_image_name", "suffix_of", "without_suffix")
_READING = ("choose_bands", "cut_half", "cut_slices", "draw_edges", "painted_colours", "stretch")
_TYPES = (
    *("DatasetFacts", "Edges", "ImageSpec", "Pair", "PairSpec", "PairStream", "Reading", "Slices"),
    *("LazyPairs", "split_of"),
    *("GeneratorNetwork", "DiscriminatorNetwork", "GeneratorLoss", "DiscriminatorLoss"),
    *("PairDataset", "PairAugmentation", "PairMetric", "ParameterOptimizer", "RateSchedule", "RunTracker"),
    *("FileReader", "FileRows", "ImageFile", "ReaderChoice"),
    *("Resources", "Tell", "Work", "WorkExecutor"),
    *("Notice", "Report", "Run", "RunLength", "Samples", "Made", "VectorSpec", "Verdict", "View"),
)
_WEIGHTS = ("Weights", "WeightsFile", "fill_weights", "fingerprint", "read_weights")
_LAZY = {
    **dict.fromkeys(_API, "p2pkit.api"),
    **dict.fromkeys(_BRIDGE, "p2pkit.bridge"),
    **dict.fromkeys(_COMPONENTS, "p2pkit.components"),
    **dict.fromkeys(("PLUGIN_API", "hookimpl"), "p2pkit.hookspecs"),
    **dict.fromkeys(_EXPORTING, "p2pkit.exporting"),
    **dict.fromkeys(_CONVERT, "p2pkit.images.convert"),
    "CODECS": "p2pkit.images.decode",
    **dict.fromkeys(("read_image", "write_image"), "p2pkit.images.files"),
    "files_below": "p2pkit.images.finding",
    **dict.fromkeys(("is_image", "reader_choice"), "p2pkit.images.formats"),
    **dict.fromkeys(_NAMES, "p2pkit.images.listing"),
    **dict.fromkeys(_READING, "p2pkit.images.reading"),
    "manifest_rows": "p2pkit.images.manifest",
    **dict.fromkeys(("Shard", "ShardIndex"), "p2pkit.shards"),
    **dict.fromkeys(_TYPES, "p2pkit.types"),
    "do_work": "p2pkit.executing",
    "flat_config": "p2pkit.config",
    **dict.fromkeys(("copy_for_inference", "inference_files"), "p2pkit.engine.storage.layout"),
    "load": "p2pkit.translation",
    "Translator": "p2pkit.inference.translate",
    **dict.fromkeys(("classifier_features", "lpips_network"), "p2pkit.weights.networks"),
    **dict.fromkeys(_WEIGHTS, "p2pkit.weights.files"),
    "score": "p2pkit.scoring",
    "tracking_uri": "p2pkit.mlflow_ui.server",
}


def __dir__() -> list[str]:
    """List what is public, though most of it is imported only when it is asked for."""
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Untyped:
    """Import what is asked for, and nothing else: a command line that answers at once starts here."""
    if name in _LAZY:
        found = globals()[name] = getattr(importlib.import_module(_LAZY[name]), name)
        return found
    raise AttributeError(f"module 'p2pkit' has no attribute {name!r}")
