"""Batch norm over several processes: torch's own, which evaluations keep to themselves."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
import torch.distributed as dist
from torch import nn

from p2pkit.engine.distributed.sync_batch_norm import convert_sync_batch_norm, local_batch_norm
from p2pkit.engine.evaluation.inference_mode import InferenceMode, run_in_mode


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Sequential(nn.BatchNorm2d(4, affine=False)))


@pytest.fixture
def group():
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def test_alone_nothing_changes():
    plain = network()
    assert convert_sync_batch_norm(plain) is plain
    assert not any(isinstance(module, nn.SyncBatchNorm) for module in plain.modules())


def test_weights_and_statistics_are_those_of_the_network(group):
    plain = network()
    before = plain.state_dict()
    shared = convert_sync_batch_norm(plain)
    assert [type(module) for module in (shared[1], shared[2][0])] == [nn.SyncBatchNorm] * 2
    assert shared.state_dict().keys() == before.keys()
    assert all(value.data_ptr() == before[name].data_ptr() for name, value in shared.state_dict().items())


def test_an_evaluation_is_of_no_group(group):
    shared = convert_sync_batch_norm(network())
    with local_batch_norm(shared):
        assert dist.get_world_size(shared[1].process_group) == -1
    assert dist.get_world_size(shared[1].process_group) == 1
    with run_in_mode(shared, InferenceMode("batch")):
        assert shared[2][0].training
        assert dist.get_world_size(shared[2][0].process_group) == -1
    assert shared[2][0].process_group is None


TWO = """
import sys
import torch
import torch.distributed as dist
from torch import nn
from p2pkit.engine.distributed.sync_batch_norm import convert_sync_batch_norm, local_batch_norm

rank = int(sys.argv[1])
dist.init_process_group("gloo", init_method=f"file://{sys.argv[2]}", rank=rank, world_size=2)
torch.manual_seed(0)
images, wanted = torch.randn(4, 3, 5, 5, device="cuda"), torch.randn(4, 3, 5, 5, device="cuda")
own = slice(2 * rank, 2 * rank + 2)
whole, alone = nn.BatchNorm2d(3).cuda(), nn.BatchNorm2d(3).cuda()
shared = convert_sync_batch_norm(nn.BatchNorm2d(3).cuda())
both, mine = images.clone().requires_grad_(), images[own].clone().requires_grad_()
(whole(both) * wanted).sum().backward()
(shared(mine) * wanted[own]).sum().backward()
torch.testing.assert_close(mine.grad, both.grad[own], rtol=1e-4, atol=1e-5)
torch.testing.assert_close(shared.running_var, whole.running_var)
with local_batch_norm(shared), torch.no_grad():
    torch.testing.assert_close(shared(images[own]), alone(images[own]))
    if rank == 0:
        shared(images[:1])  # unequal numbers
dist.barrier()
dist.destroy_process_group()
"""


@pytest.mark.gpu
@pytest.mark.numbers
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_two_processes_normalise_as_one_does_with_the_whole_batch(tmp_path):
    command = [sys.executable, "-c", TWO]
    running = [subprocess.Popen([*command, str(rank), str(tmp_path / "met")]) for rank in (0, 1)]
    assert [process.wait(100) for process in running] == [0, 0]
