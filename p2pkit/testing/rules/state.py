"""Rules on what a component keeps to itself: nothing that a checkpoint does not hold, and no dice but torch's."""

from __future__ import annotations

import random

import numpy as np
import torch
from torch import nn

from p2pkit.testing.rule import Skip, require, rule
from p2pkit.testing.rules.loss import call as ask
from p2pkit.testing.rules.networks import answer, network
from p2pkit.testing.subject import Subject
from p2pkit.untyped import Json, Made

_PLAIN = (bool, int, float, str)


def _called(subject: Subject, *, training: bool = True) -> tuple[dict[str, Json], dict[str, Json]]:
    """Call a component in training or eval mode, and return its plain attributes before and after."""
    made = subject.build() if subject.kind == "loss" else network(subject)
    if isinstance(made, nn.Module):
        made.train(training)
    before = _attributes(made)
    if subject.kind == "loss":
        ask(subject, made)
    else:
        with torch.no_grad():
            answer(subject, made, subject.batch())
    return before, _attributes(made)


def _attributes(made: Made) -> dict[str, Json]:
    """Return all numbers and texts that a component, or a module of it, has as attributes."""
    modules = dict(made.named_modules()) if isinstance(made, nn.Module) else {"": made}
    found = {name: vars(module) if hasattr(module, "__dict__") else {} for name, module in modules.items()}
    return {
        f"{name}.{key}".lstrip("."): value
        for name, attributes in found.items()
        for key, value in attributes.items()
        if isinstance(value, _PLAIN)
    }


@rule("generator", "discriminator", "loss")
def keeps_mode(subject: Subject) -> None:
    """It leaves modules in the mode that they are in, training or eval."""
    for training in (True, False):
        before, after = _called(subject, training=training)
        changed = [name for name in before if name.rpartition(".")[2] == "training" and before[name] != after[name]]
        require(not changed, f"Called, it changes {', '.join(changed[:3])}: don't call train() or eval() on the way.")


@rule("generator", "discriminator", "loss")
def no_hidden_state(subject: Subject) -> None:
    """It keeps no numbers between calls that a checkpoint does not hold."""
    before, after = _called(subject)
    changed = [name for name in after if name.rpartition(".")[2] != "training" and before.get(name) != after[name]]
    remedy = "keep what has to last in buffers (`self.register_buffer`), which are saved and come back"
    require(not changed, f"Called, it changes {', '.join(changed[:3])}, which a resumed run would not know: {remedy}.")


@rule("loss")
def resumes(subject: Subject) -> None:
    """What it has come to know lies in its `state_dict`: a resumed run goes on with the same values."""
    used, fresh = subject.build(), subject.build()
    before = _attributes(used)
    for _ in range(3):
        ask(subject, used)
    if before != _attributes(used):
        raise Skip("it keeps numbers, see the rule `no_hidden_state`")
    if isinstance(used, nn.Module):
        fresh.load_state_dict(used.state_dict())
    remedy = "be a torch.nn.Module and keep what has to last in buffers (`self.register_buffer`), which are saved"
    same = [torch.equal(one, other) for one, other in zip(ask(subject, used), ask(subject, fresh), strict=True)]
    require(all(same), f"Called again, it gives another value than one that is built anew in a resumed run: {remedy}.")


@rule("generator", "discriminator", "loss")
def torchs_dice(subject: Subject) -> None:
    """It draws from torch's generator, and not from Python's or NumPy's."""
    python, numpy = random.getstate(), _numpy_state()
    _called(subject)
    moved = {"random": python != random.getstate(), "NumPy": numpy != _numpy_state()}
    drawn = [name for name, has_moved in moved.items() if has_moved]
    require(not drawn, f"It draws from {' and '.join(drawn)}: draw from torch, by which runs are seeded.")


def _numpy_state() -> str:
    state = np.random.get_state(legacy=False)  # noqa: NPY002  the global one is what is asked for
    return repr([state["state"]["key"].tobytes(), state["state"]["pos"]]) if isinstance(state, dict) else ""
