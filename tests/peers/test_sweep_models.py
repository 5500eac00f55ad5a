"""Other people's models through ``sweep``: factorised where they may be, collapsed, scored on rows that they know."""

import pytest
from agreements import PeerAbsent
from sweep_models import MODELS, sweep_model
from toys import SIZES

from mlet_bench.own_model import grid
from mlet_bench.runs import METRICS, RunFolder


@pytest.mark.parametrize("name", MODELS)
def test_another_model_is_swept(tmp_path, monkeypatch, splits, name):
    monkeypatch.setattr(grid, "_report", lambda results, failures, asked: failures)
    settings = {"dims": [4], "inner_dims": [8], "seeds": [0], "arms": ["single", "mlet"], "out": tmp_path}
    try:
        if name == "deepfm":
            from deepctr import DEEPCTR

            DEEPCTR.path()
    except PeerAbsent as absent:
        pytest.skip(str(absent))
    assert sweep_model(name, splits, SIZES, **settings) == {}
    cells = tmp_path / "runs/own-data" / name
    single, mlet = (
        RunFolder(cells / cell / "seed0").document(METRICS)["bytes"] for cell in ("single-d4", "mlet-d4-k8")
    )
    assert single["deployed"] == mlet["deployed"]
    linear = sum(SIZES) * 4 if name == "deepfm" else 0  # its tables of width 1 stay as they are
    assert mlet["training_tables"] - linear == 4 * (sum(SIZES) * 8 + len(SIZES) * 8 * 4)
