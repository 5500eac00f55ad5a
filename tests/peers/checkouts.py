"""Where the peers' checkouts are, and their scripts imported so that two of them do not collide."""

import contextlib
import importlib
import importlib.util
import io
import os
import subprocess
import sys
import types
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from agreements import PeerAbsent

PYTHON = "MLET_BENCH_DLRM_PYTHON"


@dataclass(frozen=True)
class Peer:
    """A repository; `commit` is the one that the comparison is about, None for whatever is checked out.

    `marker` is a file that it has.
    """

    name: str
    variable: str
    commit: str | None = None
    marker: str = "dlrm_s_pytorch.py"

    @property
    def path(self) -> Path:
        """The checkout; raises PeerAbsent."""
        clone = f"git clone https://github.com/{self.name}" + (f", git checkout {self.commit}" if self.commit else "")
        if not os.environ.get(self.variable):
            raise PeerAbsent(f"{self.variable} is not set: give it the path of a checkout ({clone})")
        path = Path(os.environ[self.variable]).resolve()
        if not (path / self.marker).is_file():
            raise PeerAbsent(f"{self.variable}={path} has no {self.marker}: it should be a checkout ({clone})")
        if self.commit and not commit_of(path).startswith(self.commit):
            raise PeerAbsent(f"{self.variable}={path} is at {commit_of(path)[:7]}: git checkout {self.commit}")
        return path

    @property
    def version(self) -> str:
        """The checkout's commit, shortened."""
        return commit_of(self.path)[:7]

    @property
    def script(self) -> types.ModuleType:
        """The peer's dlrm_s_pytorch, which defines DLRM_Net."""
        return _imported(self.path)


DLRM = Peer("facebookresearch/dlrm", "MLET_BENCH_DLRM")
FORK = Peer("benghaem/dlrm_mlet", "MLET_BENCH_DLRM_MLET", "8a3e30e")
CAFE = Peer("HugoZHL/CAFE", "MLET_BENCH_CAFE")
LEB = Peer("chenxing1999/recsys-benchmark", "MLET_BENCH_LEB", marker="src/models/embeddings/tensortrain_embeddings.py")
ROBE = Peer("apd10/universal_memory_allocation", "MLET_BENCH_ROBE", marker="hashedEmbeddingCPU.py")


@cache
def module_at(peer: Peer, file: str) -> types.ModuleType:
    """One file of a peer's checkout, imported under a name of its own."""
    name = f"{peer.variable}_{Path(file).stem}".lower()
    spec = importlib.util.spec_from_file_location(name, peer.path / file)
    if spec is None or spec.loader is None:
        raise PeerAbsent(f"{peer.path / file} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def old_numpy_python() -> Path:
    """An interpreter with numpy < 2 and torch, which the peers' preparation needs; raises PeerAbsent."""
    if not os.environ.get(PYTHON):
        raise PeerAbsent(f"{PYTHON} is not set: give it a python that has 'numpy<2', torch, scikit-learn and tqdm")
    return Path(os.environ[PYTHON])


def commit_of(path: Path) -> str:
    """The commit of a checkout; raises PeerAbsent."""
    done = subprocess.run(["git", "-C", path, "rev-parse", "HEAD"], capture_output=True, text=True)
    if done.returncode:
        raise PeerAbsent(f"{path} is no git checkout: {done.stderr.strip()}")
    return done.stdout.strip()


@cache
def _imported(path: Path) -> types.ModuleType:
    empty = {"onnx": types.ModuleType("onnx"), "torch.utils.tensorboard": empty_module(SummaryWriter=None)}
    with first_on_path(path, empty), contextlib.redirect_stdout(io.StringIO()):
        return importlib.import_module("dlrm_s_pytorch")


def empty_module(**names: object) -> types.ModuleType:
    """A module with these names alone."""
    module = types.ModuleType("empty")
    vars(module).update(names)
    return module


@contextlib.contextmanager
def first_on_path(path: Path, empty: dict[str, types.ModuleType]) -> Iterator[None]:
    """Import from a folder without warnings; then forget its modules.

    Code that was imported keeps its own globals, so it works on; the next folder finds the names free.

    Args:
        empty: modules in the place of what it imports and never calls here, by name, where they are not there.
    """
    known = set(sys.modules)
    sys.modules.update({name: module for name, module in empty.items() if name not in known})
    sys.path.insert(0, str(path))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        sys.path.remove(str(path))
        for name in set(sys.modules) - known:
            file = getattr(sys.modules[name], "__file__", None) or ""
            if name in empty or Path(file).is_relative_to(path):
                del sys.modules[name]
