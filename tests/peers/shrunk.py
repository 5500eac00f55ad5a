"""Somebody else's model, factorised by us, trained, collapsed: how much its predictions changed."""

from collections.abc import Callable

import torch
from agreements import Agreement, PeerAbsent
from planted_rows import genuine, planted, prepared
from torch import Tensor, nn

import mlet_bench
from mlet_bench.data.dataset import Rows
from mlet_bench.spec import DatasetSchema

DIM, INNER_DIM, STEPS, BATCH = 8, 64, 300, 32
Predict = Callable[[nn.Module, Rows], Tensor]  # a model and rows → click probabilities (N,)


def criteo_rows() -> tuple[DatasetSchema, dict[str, Rows], str]:
    """Genuine Criteo rows where they are at hand, else planted ones; the last says which."""
    try:
        return *prepared(genuine(), "criteo-kaggle"), "genuine"
    except PeerAbsent:
        return *prepared(planted("criteo-kaggle"), "criteo-kaggle"), "planted"


def take(rows: Rows, chosen) -> Rows:
    """Some rows."""
    return Rows(rows.label[chosen], rows.dense[chosen], rows.ids[chosen])


def shrink(peer: str, version: str, name: str, make: Callable[[DatasetSchema], nn.Module], predict: Predict, only):
    """Factorise, train 300 steps of 32 rows, collapse, load into a new model of the original architecture.

    Returns:
        one Agreement: the largest difference in logit on validation rows between the factorised model and
        the reloaded one. A state that does not load, or a training that learns nothing, raises.
    """
    schema, splits, kind = criteo_rows()
    torch.manual_seed(0)
    model = mlet_bench.factorize(make(schema), INNER_DIM, only=only)
    optimizer = torch.optim.Adagrad(model.parameters(), lr=0.02)
    losses = []
    for chosen in torch.randperm(len(splits["train"]), generator=torch.Generator().manual_seed(0)).split(BATCH)[:STEPS]:
        rows = take(splits["train"], chosen)
        optimizer.zero_grad()
        loss = nn.functional.binary_cross_entropy(predict(model, rows), rows.label)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-50:]) < sum(losses[:50]), "the training learned nothing"
    model.eval()
    rows = take(splits["val"], slice(1000))
    with torch.no_grad():
        before = predict(model, rows)
        fresh = make(schema).eval()
        fresh.load_state_dict(mlet_bench.collapse(model).state_dict(), strict=True)
        largest = (predict(fresh, rows).double().logit() - before.double().logit()).abs().max().item()
    shape = f"{kind} Criteo rows, {STEPS} steps of {BATCH}; d={DIM}, k={INNER_DIM}; collapsed, loaded strict=True"
    return Agreement(peer, version, f"{name} with factorised tables: logits after collapse", shape, largest, 1e-5)
