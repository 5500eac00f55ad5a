"""Fetching the real raw files. Nothing else in the package uses the network."""

import logging
import os
from pathlib import Path

from filelock import FileLock
from tqdm import tqdm

from mlet_bench.data import DATASETS
from mlet_bench.data.piece import fetch_piece
from mlet_bench.data.remote import RemoteFile
from mlet_bench.errors import BenchError
from mlet_bench.files import check_room, link_or_copy, writing

logger = logging.getLogger(__name__)

PIECE = 1 << 25  # bytes of a request; what is lost of a piece when the process is killed


def downloads() -> dict[str, tuple[RemoteFile, ...]]:
    """What ``mlet-bench download`` takes, over all data sets → the files, of which the first that can be had counts."""
    return {name: files for data in DATASETS.values() for name, files in data.downloads.items()}


def download(source: str, folder: Path) -> Path:
    """Fetch a raw file into ``folder``, unless it is there, and return its path.

    Of several files that would do, it is the first that is there already, else the first that can be had: Kaggle's own
    needs credentials. A warning tells where that leaves a file of shuffled rows. Beside the file stands
    ``<file>.verified.json``: source, url, order of the rows, md5, size and time stamp.

    Args:
        source: a name of ``downloads()``.

    Raises:
        BenchError: an unknown source, missing credentials, a server that fails, a wrong file, or no room for it.
    """
    folder, sources = Path(folder), downloads()
    if source not in sources:
        hint = f": {source} has no file to fetch" if source in DATASETS else ""
        raise BenchError(f"no source is called {source!r}{hint}; there are {', '.join(sources)}")
    return fetch(_choose(sources[source], folder), folder)


def fetch(remote: RemoteFile, folder: Path) -> Path:
    """Use the file in ``folder``, or fetch it, check it and put it there.

    What a call that was cut off has fetched stays, and the next one goes on from there.

    Raises:
        BenchError: as ``download``.
    """
    path = Path(folder) / remote.file
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BenchError(f"the data folder {folder} cannot be made ({error}): give another one") from None
    with FileLock(f"{path}.lock"):
        if path.exists():
            return remote.use(path)
        try:
            fetched = _from_kaggle(remote) if remote.kaggle else _from_hub(remote, path)
        except BenchError:
            raise
        except Exception as error:  # neither library's errors have a base class of their own
            again = remote.token_help if remote.kaggle else "try again, it goes on where it broke off"
            reason = f"{type(error).__name__}: {error}"
            raise BenchError(f"{remote.file} could not be fetched ({reason}): {again}. Or {remote.by_hand}") from error
        md5, problem = remote.check(fetched)
        if problem is not None:
            fetched.unlink()
            raise BenchError(
                f"what {remote.page} gave is not the file of source {remote.source!r} ({problem}) and was removed: try "
                f"again. Or {remote.by_hand}"
            )
        if remote.kaggle:
            link_or_copy(fetched, path)  # it stays in the library's cache
        else:
            os.replace(fetched, path)
        remote.record(path, md5)
    return path


def _from_hub(remote: RemoteFile, path: Path) -> Path:
    """Fetch it as ``<path>.part``, a piece a request, going on behind the pieces that are there.

    The library's own download begins again in each process.
    """
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    from huggingface_hub import HfFileSystem

    part, name = Path(f"{path}.part"), f"datasets/{remote.hub}/{remote.file}"
    hub = HfFileSystem(skip_instance_cache=True)
    size, url = int(hub.size(name) or 0), hub.url(name)
    with (
        open(part, "ab") as file,
        tqdm(desc=remote.file, total=size, initial=file.tell(), unit="B", unit_scale=True, disable=None) as progress,
    ):
        check_room(part, size - file.tell())
        for start in range(file.tell(), size, PIECE):
            piece = fetch_piece(url, start, min(start + PIECE, size))
            with writing(part):
                file.write(piece)
                file.flush()
            progress.update(len(piece))
    return part


def _from_kaggle(remote: RemoteFile) -> Path:
    """Fetch it into the library's cache, where it goes on with a part of its own."""
    if not _has_credentials(remote):
        raise BenchError(
            f"{remote.file} of {remote.kaggle} needs a Kaggle token, and there is none: {remote.token_help}. "
            f"Or {remote.by_hand}"
        )
    import kagglehub

    return Path(kagglehub.competition_download(remote.kaggle, path=remote.file))


def _choose(files: tuple[RemoteFile, ...], folder: Path) -> RemoteFile:
    for remote in files:
        if len(files) == 1 or (folder / remote.file).exists():
            return remote
    remote = next((remote for remote in files if not remote.kaggle or _has_credentials(remote)), files[-1])
    if remote.order == "shuffled":
        logger.warning(
            "No Kaggle credentials, so the mirror %s is fetched: the same rows in shuffled order, fit for the random "
            "split only. Or, %s.",
            remote.file,
            remote.instead,
        )
    return remote


def _has_credentials(remote: RemoteFile) -> bool:
    from kagglehub.config import get_kaggle_credentials

    try:
        return get_kaggle_credentials() is not None
    except (ValueError, OSError) as error:
        raise BenchError(f"the Kaggle credentials cannot be used ({error}): {remote.token_help}") from None
