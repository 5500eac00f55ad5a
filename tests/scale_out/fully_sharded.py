"""What the test of FSDP2 runs in each of two processes."""

import copy

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

import mlet_bench


class TwoTables(nn.Module):
    def __init__(self):
        super().__init__()
        self.user, self.item, self.over = nn.Embedding(50, 8), nn.Embedding(31, 8), nn.Linear(16, 1)

    def forward(self, user, item):
        return self.over(torch.cat([self.user(user), self.item(item)], dim=1)).squeeze(1)


def train_both():
    """Five steps of a factorised model, sharded and whole: the largest differences in logit, trained and collapsed."""
    torch.manual_seed(0)
    model = mlet_bench.factorize(TwoTables(), inner_dim=16)
    whole = copy.deepcopy(model)
    fully_shard(model, mesh=init_device_mesh("cpu", (2,)))
    steps = [torch.optim.SGD(one.parameters(), lr=0.5) for one in (model, whole)]
    rank, generator, trained = dist.get_rank(), torch.Generator().manual_seed(1), 0.0
    for _ in range(5):
        user, item = (torch.randint(0, n, (12,), generator=generator) for n in (50, 31))
        labels = torch.randint(0, 2, (12,), generator=generator).float()
        mine = slice(rank * 6, rank * 6 + 6)
        found, expected = model(user[mine], item[mine]), whole(user, item)
        trained = max(trained, (found - expected[mine]).abs().max().item())
        for logits, wanted, step in ((found, labels[mine], steps[0]), (expected, labels, steps[1])):
            step.zero_grad()
            nn.functional.binary_cross_entropy_with_logits(logits, wanted).backward()
            step.step()
    state = get_model_state_dict(model, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
    if rank:
        return trained, 0.0
    served = mlet_bench.factorize(TwoTables(), inner_dim=16)
    served.load_state_dict(state)
    difference = mlet_bench.collapse(served)(user, item) - mlet_bench.collapse(whole)(user, item)
    return trained, difference.abs().max().item()
