"""MLET on sharded tables: train W1 W2 in TorchRec, collapse where the shards lie, serve plain tables.

torchrun --nproc_per_node 2 examples/torchrec_mlet.py        # how to install TorchRec: docs/scale-out.md
"""

import tempfile

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as checkpoint
from torch import nn
from torchrec import EmbeddingBagCollection, EmbeddingBagConfig, KeyedJaggedTensor
from torchrec.distributed.model_parallel import DistributedModelParallel
from torchrec.optim.apply_optimizer_in_backward import apply_optimizer_in_backward

from mlet_bench.torchrec import check_collapsed, collapse, dense_parameters, factorize, reset_parameters, sharders

SIZES, DIM, INNER_DIM, BATCH = (200_000, 50_000, 1_000), 16, 64, 512
TABLES = [
    EmbeddingBagConfig(name=f"table{i}", embedding_dim=DIM, num_embeddings=n, feature_names=[f"field{i}"])
    for i, n in enumerate(SIZES)
]


class Clicks(nn.Module):
    def __init__(self, tables):
        super().__init__()
        self.tables = tables
        self.head = nn.Sequential(nn.Linear(len(SIZES) * DIM, 64), nn.ReLU(), nn.Linear(64, 1))

    def forward(self, features):
        vectors = self.tables(features).to_dict()
        return self.head(torch.cat([vectors[f"field{i}"] for i in range(len(SIZES))], dim=1)).squeeze(1)


def batches(count, generator):
    """Few categories occur often, and each has a say in the click."""
    for _ in range(count):
        ids = [(torch.rand(BATCH, generator=generator) ** 8 * n).long() for n in SIZES]
        clicks = (sum(field % 11 for field in ids) > 15).float()
        lengths = torch.ones(len(SIZES) * BATCH, dtype=torch.int64)
        yield KeyedJaggedTensor([f"field{i}" for i in range(len(SIZES))], torch.cat(ids), lengths=lengths), clicks


dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
rank = dist.get_rank()
device = torch.device(f"cuda:{rank}" if torch.cuda.is_available() else "cpu")
model = Clicks(factorize(TABLES, INNER_DIM, device=torch.device("meta")))
apply_optimizer_in_backward(torch.optim.SGD, model.tables.rows(), {"lr": 4.0})
sharded = DistributedModelParallel(model, sharders=sharders(), device=device)
reset_parameters(sharded, seed=0)
optimizer = torch.optim.SGD(dense_parameters(sharded).values(), lr=0.2)

generator = torch.Generator().manual_seed(rank)
for step, (features, clicks) in enumerate(batches(400, generator)):
    loss = nn.functional.binary_cross_entropy_with_logits(sharded(features.to(device)), clicks.to(device))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if rank == 0 and step % 100 == 0:
        print(f"step {step}: loss {loss.item():.4f}")

folder = [tempfile.mkdtemp()]
dist.broadcast_object_list(folder)
small = collapse(sharded)
checkpoint.save(small, checkpoint_id=folder[0])
served = DistributedModelParallel(
    Clicks(EmbeddingBagCollection(TABLES, device=torch.device("meta"))), sharders=sharders(), device=device
)
state = {name: tensor for name, tensor in served.state_dict().items() if name in small}
checkpoint.load(state, checkpoint_id=folder[0])
served.load_state_dict(state, strict=False)
served.module.head.load_state_dict(sharded.module.head.state_dict())
difference = check_collapsed(sharded, served, [(features.to(device),) for features, _ in batches(4, generator)])
mine = sum(part.tensor.numel() for table in small.values() for part in table.local_shards())
print(f"rank {rank}: {4 * mine / 2**20:.1f} MiB of the {4 * sum(SIZES) * DIM / 2**20:.1f} MiB of n×d tables")
if rank == 0:
    print(f"largest difference in logit, trained against served: {difference:.1e}")
dist.destroy_process_group()
