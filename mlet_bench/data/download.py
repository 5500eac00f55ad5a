"""Fetching the real raw files. Nothing else in the package uses the network."""

import logging
import os
import shutil
from pathlib import Path

from filelock import FileLock

from mlet_bench.data.remote import RemoteFile
from mlet_bench.data.transfer import PATIENCE, MirrorError, Patience, discard, transfer
from mlet_bench.errors import BenchError
from mlet_bench.files import atomic

logger = logging.getLogger(__name__)

_HUGGING_FACE = "https://huggingface.co/datasets"
FILES = {
    remote.source: remote
    for remote in (
        RemoteFile(
            "criteo-kaggle",
            "dac.tar.gz",
            (
                f"{_HUGGING_FACE}/Recommenders/criteo/resolve/main/dac.tar.gz",
                "https://go.criteo.net/criteo-research-kaggle-display-advertising-challenge-dataset.tar.gz",
                "https://ndownloader.figshare.com/files/10082655",
            ),
            size=4_576_820_670,
            md5="df9b1b3766d9ff91d5ca3eb3d23bed27",
        ),
        RemoteFile(
            "criteo-kaggle-sample",
            "dac_sample.tar.gz",
            (f"{_HUGGING_FACE}/Recommenders/criteo/resolve/main/dac_sample.tar.gz",),
        ),
        RemoteFile("avazu-kaggle", "train.gz", (), unpacked=(("", "f5d49ff28f41dc993b9ecb2372abb033"),)),
        RemoteFile(
            "avazu-mirror",
            "Avazu_x4.zip",
            (f"{_HUGGING_FACE}/reczoo/Avazu_x4/resolve/main/Avazu_x4.zip",),
            unpacked=(
                ("train.csv", "de3a27264cdabf66adf09df82328ccaa"),
                ("valid.csv", "33232931d84d6452d3f956e936cab2c9"),
                ("test.csv", "3ebb774a9ca74d05919b84a3d402986d"),
            ),
            order="shuffled",
        ),
    )
}
SOURCES = ("avazu", *FILES)

COMPETITION = "avazu-ctr-prediction"
TOKEN_HELP = (
    f"accept the rules at kaggle.com/competitions/{COMPETITION}/rules, make a token at kaggle.com/settings, and put it "
    "into the variable KAGGLE_API_TOKEN or the file ~/.kaggle/access_token (an older ~/.kaggle/kaggle.json, or "
    "KAGGLE_USERNAME with KAGGLE_KEY, works too)"
)
OTHER_WAYS = (
    "fetch train.gz in a browser and give its path in the configuration (source: file), or use source 'avazu-mirror', "
    "which needs no account but has its rows shuffled"
)


def download(source: str, folder: Path) -> Path:
    """Fetch a raw file into ``folder``, unless it is there, and return its path.

    ``avazu`` is Kaggle's own train.gz if that is there or Kaggle credentials are found, otherwise the mirror's
    Avazu_x4.zip with the same rows in shuffled order; the path tells which, and so does a warning. Beside the file
    stands ``<file>.verified.json``: source, url, order of the rows, md5, size and time stamp.

    Args:
        source: one of ``SOURCES``.

    Raises:
        BenchError: an unknown source, missing credentials, every mirror failed, a wrong file, or no room for it.
    """
    folder = Path(folder)
    if source not in SOURCES:
        raise BenchError(f"no source is called {source!r}: there are {', '.join(SOURCES)}")
    if source == "avazu":
        source = _choose_avazu(folder)
    if source == "avazu-kaggle":
        return _fetch_kaggle(FILES[source], folder)
    return fetch(FILES[source], folder)


def fetch(remote: RemoteFile, folder: Path, patience: Patience = PATIENCE) -> Path:
    """Use the file in ``folder``, or fetch it from the first mirror that gives it whole and right.

    It grows as ``<file>.part``, with which a later call goes on, and is renamed once it has been checked.

    Raises:
        BenchError: as ``download``; where all mirrors failed, with the reason of each.
    """
    path = _path(remote, folder)
    part = path.with_name(path.name + ".part")
    with FileLock(f"{path}.lock"):
        if path.exists():
            return remote.use(path)
        reasons = []
        for url in remote.urls:
            try:
                transfer(url, part, remote, patience)
            except MirrorError as error:
                reasons.append(f"{url}: {error}")
                continue
            md5, problem = remote.check(part)
            if problem is None:
                os.replace(part, path)
                discard(part)
                remote.record(path, md5, url)
                return path
            discard(part)
            reasons.append(f"{url}: {problem}")
    by_hand = f"Fetch it by other means and put it at {path}, or give its path in the configuration (source: file)"
    if remote.source == "avazu-mirror":
        by_hand += f"; or, for Kaggle's own file, {TOKEN_HELP}"
    raise BenchError("\n  ".join([f"{remote.file} could not be fetched:", *reasons]) + f"\n{by_hand}")


def _choose_avazu(folder: Path) -> str:
    for source in ("avazu-kaggle", "avazu-mirror"):
        if (folder / FILES[source].file).exists():
            return source
    if _has_credentials():
        return "avazu-kaggle"
    logger.warning(
        "No Kaggle credentials, so the mirror %s is fetched: the same rows in shuffled order, fit for the random split "
        "only. For Kaggle's own file, %s.",
        FILES["avazu-mirror"].file,
        TOKEN_HELP,
    )
    return "avazu-mirror"


def _has_credentials() -> bool:
    from kagglehub.config import get_kaggle_credentials

    try:
        return get_kaggle_credentials() is not None
    except (ValueError, OSError) as error:
        raise BenchError(f"the Kaggle credentials cannot be used ({error}): {TOKEN_HELP}") from None


def _fetch_kaggle(remote: RemoteFile, folder: Path) -> Path:
    path = _path(remote, folder)
    with FileLock(f"{path}.lock"):
        if path.exists():
            return remote.use(path)
        if not _has_credentials():
            raise BenchError(
                f"{remote.file} of Avazu needs a Kaggle token, and there is none: {TOKEN_HELP}. Or {OTHER_WAYS}"
            )
        import kagglehub

        try:
            fetched = Path(kagglehub.competition_download(COMPETITION, path=remote.file))  # resumes in its own cache
        except Exception as error:  # its errors have no base class in common
            reason = f"{type(error).__name__}: {error}"
            raise BenchError(f"Kaggle did not give {remote.file} ({reason}): {TOKEN_HELP}. Or {OTHER_WAYS}") from error
        md5, problem = remote.check(fetched)
        if problem is not None:
            raise BenchError(f"{fetched}, fetched from Kaggle, is not Avazu's: {problem}. Delete it and try again")
        with atomic(path) as partial:
            try:
                os.link(fetched, partial)  # no second copy where the cache is on the same file system
            except OSError:
                shutil.copyfile(fetched, partial)
        remote.record(path, md5, f"https://www.kaggle.com/competitions/{COMPETITION}")
    return path


def _path(remote: RemoteFile, folder: Path) -> Path:
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BenchError(f"the data folder {folder} cannot be made ({error}): give another one") from None
    return folder / remote.file
