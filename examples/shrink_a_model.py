"""Train a model with multi-layer embeddings, collapse it, and deploy plain tables: python examples/shrink_a_model.py"""

import torch
from torch import nn

import mlet_bench

torch.manual_seed(0)
users, items = torch.randint(0, 5000, (20_000,)), torch.randint(0, 2000, (20_000,))
clicks = ((users % 7) * (items % 5) % 3 == 0).float()


class TwoTables(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.user, self.item = nn.Embedding(5000, dim, sparse=True), nn.Embedding(2000, dim, sparse=True)
        self.head = nn.Sequential(nn.Linear(2 * dim, 64), nn.ReLU(), nn.Linear(64, 1))

    def forward(self, user, item):
        return self.head(torch.cat([self.user(user), self.item(item)], dim=1)).squeeze(1)


model = mlet_bench.factorize(TwoTables(dim=4), inner_dim=64)
optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
for batch in torch.randperm(20_000).split(128):
    optimizer.zero_grad()
    nn.functional.binary_cross_entropy_with_logits(model(users[batch], items[batch]), clicks[batch]).backward()
    optimizer.step()
trained, before = sum(p.numel() for p in model.parameters()), model(users, items)
small = mlet_bench.collapse(model)
TwoTables(dim=4).load_state_dict(small.state_dict(), strict=True)  # the original architecture
print(f"parameters: {trained:,} while training, {sum(p.numel() for p in small.parameters()):,} deployed")
print(f"largest difference in logit: {(small(users, items) - before).abs().max():.1e}")
