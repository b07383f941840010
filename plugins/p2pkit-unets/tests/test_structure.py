"""Which node receives which, as the papers' figures draw it."""

from __future__ import annotations

import pytest
import torch
from torch import nn


def trace(net, nodes, side=64):
    """Let each node give out a number of its own instead of its result; return what each node then receives.

    Args:
        net: A network whose layers between the nodes only pool, interpolate and join.
        nodes: The nodes by name.
        side: Side of the source.

    Returns:
        For each node that received something from nodes, the names, each with its number of channels, in order.
    """
    numbers = dict(enumerate(nodes, 1))
    received = {}

    def watch(number, node):
        def before(module, inputs):
            tensors = [t for each in inputs for t in (each if isinstance(each, list) else [each])]
            values = torch.cat([t[0, :, 0, 0] for t in tensors]).tolist()
            if all(value in numbers for value in values):
                names = [numbers[value] for value in values]
                received[numbers[number]] = [(n, names.count(n)) for n in dict.fromkeys(names)]

        def after(module, inputs, output):
            return torch.full_like(output, number)

        node.register_forward_pre_hook(before)
        node.register_forward_hook(after)

    for number, node in enumerate(nodes.values(), 1):
        watch(number, node)
    with torch.no_grad():
        net.eval()(torch.rand(1, 3, side, side) / 2)  # never one of the numbers
    return received


def names(received):
    return {node: [name for name, _ in inputs] for node, inputs in received.items()}


def test_attention_unet_gates_all_skips_but_the_first(build):
    net = build("attention_unet", 64, width=2)
    nodes = {f"e{k}": node for k, node in enumerate(net.encoder.nodes)}
    nodes |= {f"g{3 - k}": gate for k, gate in enumerate(net.gates)}
    nodes |= {f"d{3 - k}": node for k, node in enumerate(net.decoder)}
    assert trace(net, {**nodes, "fake": net.last}) == {
        "e1": [("e0", 2)],
        "e2": [("e1", 4)],
        "e3": [("e2", 8)],
        "e4": [("e3", 16)],
        "g3": [("e3", 16), ("e4", 32)],
        "d3": [("g3", 16), ("e4", 32)],
        "g2": [("e2", 8), ("d3", 16)],
        "d2": [("g2", 8), ("d3", 16)],
        "g1": [("e1", 4), ("d2", 8)],
        "d1": [("g1", 4), ("d2", 8)],
        "d0": [("e0", 2), ("d1", 4)],
        "fake": [("d0", 2)],
    }


def test_a_gate_computes_the_papers_equations(build):
    gate = build("attention_unet", width=3, depth=2, init_std=0.5).gates[0]
    skip, below = torch.randn(2, 6, 8, 8), torch.randn(2, 12, 4, 4)
    of_skip = torch.einsum("bchw,fc->bfhw", skip[..., ::2, ::2], gate.of_skip.weight[..., 0, 0])
    of_below = torch.einsum("bchw,fc->bfhw", below, gate.of_below.weight[..., 0, 0])
    hidden = (of_skip + of_below + gate.of_below.bias[:, None, None]).relu()
    psi = gate.weigh[1]
    scores = torch.einsum("bfhw,of->bohw", hidden, psi.weight[..., 0, 0]) + psi.bias
    weights = nn.functional.interpolate(scores.sigmoid(), scale_factor=2, mode="bilinear")
    torch.testing.assert_close(gate(skip, below), weights * skip)
    assert weights.std() > 0.01


def test_a_gate_can_let_all_or_nothing_pass(build):
    gate = build("attention_unet", width=3, depth=2).gates[0]
    skip, below = torch.randn(1, 6, 8, 8), torch.randn(1, 12, 4, 4)
    for bias, share in ((100.0, 1.0), (-100.0, 0.0)):
        nn.init.constant_(gate.weigh[1].bias, bias)
        torch.testing.assert_close(gate(skip, below), share * skip)


def test_residual_unet_is_the_papers_figure(build):
    net = build("residual_unet", 64, width=2)
    nodes = {f"e{k}": unit for k, unit in enumerate(net.encoder)}
    nodes |= {f"d{2 - k}": unit for k, unit in enumerate(net.decoder)}
    assert trace(net, {**nodes, "fake": net.last}) == {
        "e1": [("e0", 2)],
        "e2": [("e1", 4)],
        "e3": [("e2", 8)],
        "d2": [("e2", 8), ("e3", 16)],
        "d1": [("e1", 4), ("d2", 8)],
        "d0": [("e0", 2), ("d1", 4)],
        "fake": [("d0", 2)],
    }
    strides = [[layer.stride[0] for layer in unit.change if isinstance(layer, nn.Conv2d)] for unit in net.encoder]
    assert strides == [[1, 1], [2, 1], [2, 1], [2, 1]]
    assert not any(isinstance(module, nn.MaxPool2d) for module in net.modules())


def test_residual_units_normalise_before_they_convolve_but_the_first(build):
    net = build("residual_unet", 64, width=2)
    first, *others = [[type(layer).__name__ for layer in unit.change] for unit in (*net.encoder, *net.decoder)]
    assert first == ["Conv2d", "BatchNorm2d", "ReLU", "Conv2d"]
    assert others == [["BatchNorm2d", "ReLU", "Conv2d"] * 2] * 6


def test_a_residual_unit_that_changes_nothing_is_its_shortcut():
    from p2pkit_unets.residual import ResidualUnit

    same, wider = ResidualUnit(4, 4, "batch"), ResidualUnit(4, 6, "batch", stride=2)
    image = torch.randn(2, 4, 8, 8)
    for unit in (same, wider):
        nn.init.zeros_(unit.change[-1].weight)
    torch.testing.assert_close(same(image), image)
    expected = torch.einsum("bchw,fc->bfhw", image[..., ::2, ::2], wider.shortcut.weight[..., 0, 0])
    torch.testing.assert_close(wider(image), expected)


def test_unet_plus_plus_is_the_papers_triangle(build):
    net = build("unet_plus_plus", 64, width=2, upsampling="nearest")
    nodes = {f"{k}_0": node for k, node in enumerate(net.encoder.nodes)} | dict(net.nodes.items())
    assert len(nodes) == 15
    received = names(trace(net, {**nodes, "fake": net.last}))
    assert received == {
        "1_0": ["0_0"],
        "2_0": ["1_0"],
        "3_0": ["2_0"],
        "4_0": ["3_0"],
        "0_1": ["0_0", "1_0"],
        "1_1": ["1_0", "2_0"],
        "2_1": ["2_0", "3_0"],
        "3_1": ["3_0", "4_0"],
        "0_2": ["0_0", "0_1", "1_1"],
        "1_2": ["1_0", "1_1", "2_1"],
        "2_2": ["2_0", "2_1", "3_1"],
        "0_3": ["0_0", "0_1", "0_2", "1_2"],
        "1_3": ["1_0", "1_1", "1_2", "2_2"],
        "0_4": ["0_0", "0_1", "0_2", "0_3", "1_3"],
        "fake": ["0_4"],
    }


@pytest.mark.parametrize("upsampling", ["nearest", "bilinear"])
def test_unet_3_plus_nodes_see_every_level(build, upsampling):
    net = build("unet_3_plus", 64, width=2, upsampling=upsampling)
    nodes = {f"e{k}": node for k, node in enumerate(net.encoder.nodes)}
    nodes |= {f"d{3 - k}": node for k, node in enumerate(net.decoder)}
    assert trace(net, {**nodes, "fake": net.last}) == {
        "e1": [("e0", 2)],
        "e2": [("e1", 4)],
        "e3": [("e2", 8)],
        "e4": [("e3", 16)],
        "d3": [("e0", 2), ("e1", 4), ("e2", 8), ("e3", 16), ("e4", 32)],
        "d2": [("e0", 2), ("e1", 4), ("e2", 8), ("d3", 10), ("e4", 32)],
        "d1": [("e0", 2), ("e1", 4), ("d2", 10), ("d3", 10), ("e4", 32)],
        "d0": [("e0", 2), ("d1", 10), ("d2", 10), ("d3", 10), ("e4", 32)],
        "fake": [("d0", 10)],
    }


def test_unet_3_plus_brings_every_level_to_the_nodes_size_by_equal_shares(build):
    node = build("unet_3_plus", 64, width=2).decoder[1]  # level 2
    resizes = [branch[0] if len(branch) == 4 else None for branch in node.branches]
    assert [type(resize).__name__ for resize in resizes] == ["MaxPool2d"] * 2 + ["NoneType"] + ["Upsample"] * 2
    assert [getattr(resize, "kernel_size", None) for resize in resizes] == [4, 2, None, None, None]
    assert [getattr(resize, "scale_factor", None) for resize in resizes] == [None, None, None, 2.0, 4.0]
    nodes = {str(k): branch for k, branch in enumerate(node.branches)}
    levels = [torch.rand(1, channels, 64 >> k, 64 >> k) for k, channels in enumerate((2, 4, 8, 10, 32))]
    assert trace(_Listed(node, levels), {**nodes, "join": node.join})["join"] == [(str(k), 2) for k in range(5)]


class _Listed(nn.Module):
    """Call a node with given levels, whatever the source."""

    def __init__(self, node, levels):
        super().__init__()
        self.node, self.levels = node, levels

    def forward(self, source):
        return self.node(self.levels)
