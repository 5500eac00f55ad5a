"""The metrics that facebookresearch/dlrm's own `inference` function computes, on given predictions."""

import contextlib
import io
from types import SimpleNamespace

import numpy as np
import torch
from checkouts import DLRM
from formula import wave

BATCH = 1000


def predictions(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels and probabilities, (rows,) float32 each: in steps of 1/256, so that many are tied and none is rounded."""
    score = wave(rows, start=0, scale=1.0)
    label = (score + wave(rows, start=31, scale=1.5) > 0.9).float()
    odd = 2 * torch.round((score + 1) * 60) + 1  # never 128, which would be 1/2 (see test_half_is_a_click_for_us_alone)
    return label.numpy(), (odd / 256).float().numpy()


def peer_metrics(label: np.ndarray, probability: np.ndarray) -> dict[str, float]:
    """Its recall, precision, f1, ap, roc_auc, accuracy (through scikit-learn), `batch_accuracy`, and `bce`, its loss.

    Label, probability: (N,) float32. Its model is replaced by one that returns its dense input, which is `probability`.
    """
    script, written = DLRM.script, {}
    model = _Echo()
    args = SimpleNamespace(mlperf_logging=True, data_generation="dataset", nepochs=1, print_freq=1)
    script.args, script.dlrm, script.ndevices, script.nbatches, script.nbatches_test = args, model, -1, 0, 0
    script.writer = SimpleNamespace(
        add_scalar=lambda name, value, _: written.update({name.split("/")[-1]: float(value)})
    )
    script.ext_dist.my_size = 1
    column = [torch.from_numpy(values).view(-1, 1) for values in (probability, label)]
    loader = [(p, None, None, t) for p, t in zip(*(values.split(BATCH) for values in column))]
    with contextlib.redirect_stdout(io.StringIO()):
        script.inference(args, model, 0, 0, loader, torch.device("cpu"), False)
        metrics = dict(written)
        args.mlperf_logging = False
        script.inference(args, model, 0, 0, loader, torch.device("cpu"), False)
    args.loss_function = "bce"
    loss = script.loss_fn_wrap(column[0].double(), column[1].double(), False, torch.device("cpu"))
    return metrics | {"batch_accuracy": written["Acc"], "bce": loss.item()}


class _Echo:
    loss_fn = torch.nn.BCELoss(reduction="mean")

    def __call__(self, dense, _offsets, _ids):
        return dense

    def state_dict(self) -> dict:
        return {}
