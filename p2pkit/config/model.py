"""The structure of a run's config; what components accept is theirs to say."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from p2pkit.config.executor import ExecutorConfig
from p2pkit.config.phase_sections import FrozenConfig, PhaseConfig, Unit, UpdatesConfig
from p2pkit.config.sections import Argument, Cache, Choice, ComponentConfig, Many, Name, Section, Share, Switch
from p2pkit.config.tracking import TrackingConfig
from p2pkit.types import RunLength
from p2pkit.untyped import Json


class DatasetConfig(ComponentConfig):
    """The data."""

    unreadable: Literal["stop", "skip"] = Field(
        "stop", description="Whether a file that can't be read stops the run before training, or is left out."
    )


class LossConfig(ComponentConfig):
    """One weighted loss; the key it stands under is its name in MLflow."""

    weight: float = Field(1.0, ge=0, description="Factor of this term; 0 leaves the term out.")
    every: int = Field(1, ge=1, le=Many, description="Apply the term every N steps only, N times as strong.")


class GroupConfig(Section):
    """Parameters of a network that are updated otherwise than the rest."""

    match: str = Field(
        min_length=1,
        description="Which: a pattern of their names, `encoder.*`; `norms` for those of normalisation layers, `biases` "
        "for biases. Of several groups the first that matches has a parameter.",
    )
    lr_factor: float = Field(1.0, ge=0, description="Factor of the optimiser's learning rate.")
    weight_decay: float | None = Field(None, ge=0, description="Weight decay; null for the optimiser's own.")


class OptimizerConfig(ComponentConfig):
    """What updates a network; `params` is for parameters that have no key here."""

    use: str = Field("adam", description="The optimiser: a name, an alias, or `plugin:name`.")
    lr: float = Field(2e-4, gt=0, description="Learning rate.")
    betas: tuple[Share, Share] | None = Field(
        None, description="Decay of the two moments; null for the optimiser's own, [0.5, 0.999] of adam and adamw."
    )
    eps: float | None = Field(
        None, gt=0, description="Added to the denominator; null for the optimiser's own, 1e-8 of adam and adamw."
    )
    weight_decay: float | None = Field(
        None, ge=0, description="Weight decay; null for the optimiser's own, 0 of the built-in ones."
    )
    groups: list[GroupConfig] = Field(default_factory=list, description="Parameters that are updated otherwise.")


class OptimizersConfig(Section):
    """Optimisers, one for each network, and one for each loss that learns."""

    generator: OptimizerConfig = Field(default_factory=OptimizerConfig, description="The generator's.")
    discriminator: OptimizerConfig = Field(default_factory=OptimizerConfig, description="The discriminator's.")
    losses: OptimizerConfig | None = Field(
        None,
        description="That of losses with parameters of their own; null for one like the generator's, in one group.",
    )


class ScheduleConfig(Section):
    """How long to train, and how the learning rate falls."""

    epochs: int | None = Field(
        None, ge=1, le=Many, description="Passes over the training pairs; 200 if steps are not given."
    )
    steps: int | None = Field(None, ge=1, le=Many, description="Updates of the generator, instead of epochs.")
    shape: str = Field(
        "linear",
        description="What the learning rate does: `linear` and `cosine` fall to 0 after `decay_after`, `constant` "
        "never falls; or a plugin's schedule.",
    )
    params: dict[str, Json] = Field(default_factory=dict, description="The shape's parameters, where it has some.")
    decay_after: int | None = Field(
        None, ge=0, le=Many, description="Epochs (or steps) before the learning rate falls; by default half of them."
    )
    warm_up: int | None = Field(
        None,
        ge=1,
        le=Many,
        description="Updates of the generator in which the learning rate rises to its full height; null for none.",
    )

    patience: int | None = Field(
        None,
        ge=1,
        le=Many,
        description="Evaluations without a better `checkpoint.best` after which training ends; null: never.",
    )
    min_delta: float = Field(0.0, ge=0, description="By how much a value must be better to count for `patience`.")

    @model_validator(mode="after")
    def _one_unit(self) -> ScheduleConfig:
        if self.epochs is not None and self.steps is not None:
            raise ValueError("give epochs or steps, not both")
        if self.decay_after is not None and self.decay_after > self.length:
            raise ValueError(f"decay_after is {self.decay_after}, after the end at {self.length}")
        return self

    @property
    def unit(self) -> Unit:
        """What the schedule counts in."""
        return "epochs" if self.steps is None else "steps"

    @property
    def length(self) -> int:
        """The number of epochs or steps, whichever the schedule counts in."""
        return self.steps if self.steps is not None else self.epochs or 200

    def run_length(self, steps_per_epoch: int) -> RunLength:
        """Return how long the run is, for epochs of so many updates."""
        unit = 1 if self.unit == "steps" else steps_per_epoch
        start = self.length // 2 if self.decay_after is None else self.decay_after
        return RunLength(self.length * unit, unit, start * unit)


class EngineConfig(Section):
    """How a step is computed."""

    batch: int = Field(
        1,
        ge=1,
        le=2**16,
        description="Pairs of one forward pass of one process; an update takes batch x accumulate x processes.",
    )
    accumulate: int = Field(1, ge=1, le=2**16, description="Forward passes whose gradients make up one update.")
    global_batch: int | None = Field(
        None,
        ge=1,
        le=Many,
        description="Pairs of one update of all processes, which then settle `accumulate`: on fewer processes a run "
        "sees the same batches. Null for batch x accumulate x processes.",
    )
    device: str = Field("auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$", description="Where: auto, cpu, cuda, mps.")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto",
        description="Arithmetic of the networks; auto is bf16 on a GPU that has it, else fp16, "
        "and what is faster on a CPU.",
    )
    memory_format: Literal["auto", "channels_last", "contiguous"] = Field(
        "auto", description="Layout of images in memory; auto is what is faster."
    )
    convolutions: Literal["auto", "direct", "products"] = Field(
        "auto",
        description="How a CPU convolves in fp32: by torch's own kernels, or as matrix products where these take fewer "
        "multiplications; auto is what is faster.",
    )
    compile: Choice = Field(
        "auto", description="Whether to compile both networks; auto tries it on a GPU for runs of over an hour."
    )
    cuda_graph: Choice = Field(
        "auto",
        description="Whether the step is one CUDA graph; auto where it can be, on where it must be.",
    )
    sync_batch_norm: bool = Field(
        False,
        description="Whether batch norm in training looks at the pairs of all GPUs' processes, not of each alone.",
    )
    seed: int = Field(0, ge=0, lt=2**32, description="Seed of weights, order, augmentation and dropout.")
    deterministic: bool = Field(False, description="Whether to allow deterministic algorithms only.")
    init: str | None = Field(
        None, description="A run or checkpoint whose weights training begins with; null for random ones."
    )
    order: Literal["discriminator_first", "generator_first"] = Field(
        "discriminator_first", description="Whose update comes first in a step."
    )
    discriminator_factor: float = Field(
        0.5, gt=0, description="Factor of the discriminator's total; 0.5 in the paper and the reference."
    )
    clip: float | None = Field(None, gt=0, description="Largest norm of each network's gradient; null for no limit.")
    ema: float | None = Field(
        None, gt=0, lt=1, description="Decay of the generator's moving average, which is then what is evaluated."
    )
    cache: Cache = Field(
        "auto",
        description=(
            "Where decoded images are kept; auto is memory while they fit into a quarter of it, and a GPU's memory too "
            "while training images fit into a quarter of that."
        ),
    )
    workers: int = Field(2, ge=0, le=256, description="Processes that decode when the cache is off.")
    worker_timeout: float | None = Field(
        300,
        gt=0,
        le=Many,
        description="Seconds that one of these may take for a batch: then it counts as frozen, is told with the pair "
        "it was at, and replaced once, as one that was killed is; null for no limit.",
    )
    on_nan: Literal["stop", "rollback"] = Field(
        "stop",
        description="After a number that is not finite: end the run, or go on from the last checkpoint with half the "
        "learning rate, three times at most.",
    )
    log_every: int = Field(50, ge=1, le=Many, description="Steps between two reads of the losses.")


class EvaluateConfig(Section):
    """What is measured during training and at its end."""

    split: str = Field("auto", description="Part of the data; auto is val, else test, else train.")
    every: int = Field(
        10, ge=0, le=Many, description="Epochs between evaluations, one before training; 0 for the end only."
    )
    metrics: list[ComponentConfig] = Field(
        default_factory=lambda: [ComponentConfig(use=name) for name in ("l1", "psnr", "ssim")],
        description="The metrics.",
    )
    samples: int = Field(8, ge=1, le=1000, description="Fixed pairs that are shown in every evaluation.")
    fakes: int = Field(
        3,
        ge=1,
        le=32,
        description="Fakes that are shown of each of them, where a generator takes noise: by other noise.",
    )
    batch: int = Field(16, ge=1, le=2**16, description="Pairs of one forward pass.")
    batch_norm: Literal["running", "batch", "recalibrated"] = Field(
        "running",
        description=(
            "Statistics of batch norm: those gathered in training; each image's own, as in the paper; or gathered anew "
            "over training pairs."
        ),
    )
    dropout: Switch = Field("off", description="Whether dropout stays active, as in the paper.")
    baselines: bool = Field(True, description="Whether to score the source itself and the mean target too.")


class HealthConfig(Section):
    """What is watched while a GAN trains."""

    gradient_shares: int = Field(
        1,
        ge=0,
        le=Many,
        description="Evaluations between two measurements of each term's share of the gradient; 0 for never.",
    )
    accuracy: float | None = Field(
        0.97, gt=0.5, lt=1, description="The discriminator wins if it is right more often than this; null: no alarm."
    )
    variety: float | None = Field(
        0.25,
        gt=0,
        lt=1,
        description="Fakes have collapsed if they vary less than this share of what targets do; null: no alarm.",
    )


class CheckpointConfig(Section):
    """What is kept of a run."""

    every: int = Field(10, ge=0, le=Many, description="Epochs between checkpoints; 0 for the end only.")
    keep: int = Field(2, ge=1, le=Many, description="How many of the latest checkpoints are kept.")
    best: str | None = Field(None, description="Metric by which the best checkpoint is kept too; null for none.")
    mirror: str | None = Field(
        None,
        min_length=1,
        description="Address of a folder of runs to which checkpoints are sent in the background, such as "
        "`s3://bucket/runs`; null for none.",
    )
    on_error: Literal["continue", "stop"] = Field(
        "continue",
        description="Where a checkpoint or samples can't be written: train on, say so and try again after the epoch, "
        "or end the run. The last checkpoint must be written either way.",
    )
    better: Literal["auto", "higher", "lower"] = Field(
        "auto", description="Which values of that metric are better; auto is what the metric itself says."
    )


class PublishedConfig(Section):
    """Figures that others published for the same comparison."""

    source: str = Field("", description="Whose figures, and on which data.")
    metrics: dict[str, str] = Field(
        default_factory=dict, description="For each metric of these runs what the publication calls it."
    )
    points: dict[str, list[float]] = Field(
        default_factory=dict, description="For each point, and for `ground truth`, the figures in the metrics' order."
    )

    @model_validator(mode="after")
    def _complete(self) -> PublishedConfig:
        short = [name for name, figures in self.points.items() if len(figures) != len(self.metrics)]
        if short:
            raise ValueError(f"{short[0]} has {len(self.points[short[0]])} figures for {len(self.metrics)} metrics")
        return self


class SweepConfig(Section):
    """What differs between the runs of a sweep; a config that says nothing here is a single run."""

    points: dict[str, dict[str, Json]] = Field(
        default_factory=dict, description="For each named point the keys it changes, nested or with dots."
    )
    axes: dict[str, list[Json] | str] = Field(
        default_factory=dict, description="For each key a list of values, or a range to draw from: `1e-5..1e-3:log`."
    )
    seeds: int = Field(1, ge=1, le=10_000, description="Runs of each combination, with seeds 0, 1, ...")
    search: Literal["grid", "random", "optuna", "tpe", "gp", "cmaes", "nsga2"] = Field(
        "grid",
        description="Which combinations: every one, some drawn by chance, or those that a sampler of Optuna's expects "
        "most of; `optuna` is its usual one, `tpe`.",
    )
    trials: int | None = Field(None, ge=1, le=10_000, description="How many combinations are drawn or chosen.")
    draw: int = Field(0, ge=0, lt=2**32, description="Seed of that choice.")
    by: str | list[str] | None = Field(
        None,
        description="Metric that says which combination is best, by default the first one of `evaluate.metrics`; "
        "of one that has several values, `METRIC/VALUE` or else the first. Two of them are weighed against each other; "
        "`parameters` and `images/s` are what a run costs.",
    )
    prune: Literal["none", "median", "hyperband", "wilcoxon"] = Field(
        "none", description="Which pruner of Optuna's ends runs early whose evaluations are clearly worse than others'."
    )
    storage: str | None = Field(
        None,
        pattern=r"^((postgresql|mysql)(\+\w+)?|grpc)://",
        description="Server that machines without a common folder share the sweep by: `postgresql://...`, "
        "`mysql://...` or `grpc://HOST:PORT`; by default it is a file in the sweep's folder.",
    )
    published: PublishedConfig = Field(
        default_factory=PublishedConfig, description="Figures of others, which are shown beside the sweep's own."
    )

    @property
    def wanted(self) -> bool:
        """Whether this is more than one run."""
        return bool(self.points or self.axes) or self.seeds > 1

    @property
    def goals(self) -> list[str]:
        """What says which point is best; empty where the config leaves that open."""
        return self.by.split(",") if isinstance(self.by, str) else self.by or []

    @property
    def searches(self) -> bool:
        """Whether points are chosen one after another, by what the earlier ones gave."""
        return self.search not in ("grid", "random")


class RunConfig(Section):
    """A whole run."""

    summary: str = Field("", description="What the recipe is, in one line.")
    origin: str = Field("", description="Where the recipe's settings come from.")
    dataset: DatasetConfig = Field(description="The data.")
    noise: dict[Argument, Annotated[int, Field(ge=1, le=65536)]] = Field(
        default_factory=dict,
        description="Normal numbers that are drawn for each pair: how many, by the name by which networks take them.",
    )
    augment: list[ComponentConfig] = Field(default_factory=list, description="Changes of training pairs, in order.")
    generator: ComponentConfig = Field(ComponentConfig(use="unet_256"), description="Makes the fakes.")
    discriminator: ComponentConfig = Field(ComponentConfig(use="patch_70"), description="Judges pairs.")
    losses: dict[Name, LossConfig] = Field(
        default_factory=lambda: {"gan": LossConfig(use="gan"), "l1": LossConfig(use="l1", weight=100)},
        description="Terms by name; `use` defaults to the name, and a number is short for `weight`.",
    )
    optimizers: OptimizersConfig = Field(default_factory=OptimizersConfig, description="What updates the networks.")
    updates: UpdatesConfig | None = Field(None, description="The pace of the players; null for one update each.")
    frozen: FrozenConfig = Field(default_factory=FrozenConfig, description="Parameters that stay as they are.")
    schedule: ScheduleConfig = Field(default_factory=ScheduleConfig, description="Length and learning rate.")
    phases: list[PhaseConfig] = Field(
        default_factory=list,
        description="Stretches at the beginning of the run that differ from the rest of it, one after the other.",
    )
    engine: EngineConfig = Field(default_factory=EngineConfig, description="How a step is computed.")
    evaluate: EvaluateConfig = Field(default_factory=EvaluateConfig, description="What is measured.")
    health: HealthConfig = Field(default_factory=HealthConfig, description="What is watched while a GAN trains.")
    checkpoint: CheckpointConfig = Field(default_factory=CheckpointConfig, description="What is kept.")
    tracking: TrackingConfig = Field(default_factory=TrackingConfig, description="Where runs are recorded.")
    executor: ExecutorConfig | None = Field(
        None, description="Where the runs of a sweep are trained, and images translated; null for this process."
    )
    sweep: SweepConfig = Field(
        default_factory=SweepConfig, description="What differs between the runs of `p2pkit sweep`."
    )
