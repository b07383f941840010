"""A pretrained latent model in a folder, as diffusers' save_pretrained writes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from p2pkit import ComponentError, read_weights
from torch import nn

CLASSES = {"vae": "AutoencoderKL", "unet": "UNet2DConditionModel"}
FILES = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")


def build(folder: Path, part: str) -> nn.Module:
    """Make one of a model's networks by its config, with random weights.

    Args:
        folder: The model's folder.
        part: `vae` or `unet`.

    Raises:
        ComponentError: The folder lacks its config, or that is of something else.
    """
    config = read_config(folder, part, "config.json")
    if config.get("_class_name") != CLASSES[part]:
        cause = f"{folder / part} holds a {config.get('_class_name')}, where a {CLASSES[part]} is wanted"
        raise ComponentError(cause, remedy="take a model like Stable Diffusion 1, 2 or Turbo", parameter="model")
    network: nn.Module = getattr(import_module("diffusers"), CLASSES[part]).from_config(dict(config))
    return network


def read_config(folder: Path, part: str, name: str) -> Mapping[str, Any]:
    """Read a config of a model.

    Raises:
        ComponentError: It is not there, or no JSON.
    """
    file = folder / part / name
    try:
        config: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        remedy = "give the folder of a model, which diffusers' save_pretrained or `hf download` has written"
        raise ComponentError(f"{file} can't be read: {error}", remedy=remedy, parameter="model") from None
    return config


def fill(network: nn.Module, folder: Path, part: str) -> ComponentError | None:
    """Give a network its pretrained weights; where p2pkit checks shapes they are compared alone.

    Returns:
        Why it can't be done, for whoever uses the network without other weights.
    """
    file = next((folder / part / name for name in FILES if (folder / part / name).is_file()), None)
    if file is None:
        cause = f"there are no weights in {folder / part}: neither {' nor '.join(FILES)}"
        return ComponentError(cause, remedy="copy the whole folder", parameter="model")
    try:
        state = read_weights(file)
    except ComponentError as error:
        return ComponentError(error.cause, remedy=error.remedy, parameter="model")
    wanted = network.state_dict()
    wrong = [name for name, tensor in wanted.items() if getattr(state.get(name), "shape", None) != tensor.shape]
    if wrong:
        cause = f"{file} does not hold the weights that its config tells of: {wrong[0]} is missing or of another shape"
        return ComponentError(cause, remedy="copy the whole folder", parameter="model")
    if not torch.empty(0).is_meta:
        network.load_state_dict({name: state[name].to(tensor.dtype) for name, tensor in wanted.items()})
    return None


def signal_share(folder: Path) -> float:
    """Return the share of signal in what is all but noise, by the model's schedule: the product of 1 - beta.

    Raises:
        ComponentError: It is of another schedule, or predicts something else than noise.
    """
    config = read_config(folder, "scheduler", "scheduler_config.json")
    steps, start, end = (config[name] for name in ("num_train_timesteps", "beta_start", "beta_end"))
    known = config.get("beta_schedule") == "scaled_linear" and config.get("prediction_type", "epsilon") == "epsilon"
    if not known:
        cause = f"{folder / 'scheduler'} is of another schedule than Stable Diffusion's, or predicts something else"
        raise ComponentError(
            cause, remedy="take a model that predicts noise by a scaled linear schedule", parameter="model"
        )
    betas = torch.linspace(start**0.5, end**0.5, steps, dtype=torch.float64, device="cpu").square()
    return float((1 - betas).prod())
