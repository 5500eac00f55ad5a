"""The compiled library is loaded only as it was compiled, by this user; anything else is compiled again or kept out."""

import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mlet_bench.kernels import build
from mlet_bench.private import is_safe, private_folder

pytestmark = pytest.mark.skipif(build.library() is None, reason="needs a C++ compiler")
ASK = "import sys; from mlet_bench.kernels.build import library; print(library()._name if library() else None)"


def run(code=ASK, **environment):
    words = [sys.executable, "-c", code]
    return subprocess.run(words, env=os.environ | environment, capture_output=True, encoding="utf-8")


@pytest.fixture(scope="module")
def quick(tmp_path_factory) -> str:
    """A compiler in name that gives the library as this process has it, at once."""
    library = build.library()
    assert library is not None
    script = tmp_path_factory.mktemp("compiler") / "quick c++"
    shell = f"""#!/bin/sh
case "$*" in *--version*) echo quick; exit;; esac
for word; do [ "$last" = -o ] && out=$word; last=$word; done
case "$*" in *-shared*) cp {shlex.quote(library._name)} "$out";; *) touch "$out";; esac
"""
    script.write_text(shell, encoding="utf-8")
    script.chmod(0o755)
    return shlex.quote(str(script))


@pytest.fixture(scope="module")
def compiled(tmp_path_factory, quick) -> Path:
    """A cache with the library."""
    cache = tmp_path_factory.mktemp("compiled")
    assert run(XDG_CACHE_HOME=str(cache), CXX=quick).returncode == 0
    return cache / "mlet-bench"


@pytest.fixture(autouse=True)
def with_the_quick_one(monkeypatch, quick):
    monkeypatch.setenv("CXX", quick)


@pytest.fixture
def cache(compiled, tmp_path) -> Path:
    """A copy of it to spoil."""
    shutil.copytree(compiled, tmp_path / "cache/mlet-bench")
    return tmp_path / "cache/mlet-bench"


def loads(cache: Path, **environment):
    """Load from a cache; the library's path. A damaged one would end the process: SIGBUS, SIGSEGV, AttributeError."""
    place = {"XDG_CACHE_HOME": str(cache.parent), "TMPDIR": str(cache.parents[1])}
    done = run(ASK, **place | environment)
    assert done.returncode == 0, (done.returncode, done.stderr)
    return done.stdout.strip(), done.stderr


def cut_off(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path):
    path.write_bytes(b"")


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 4
    path.write_bytes(content)


def another(path):
    source = path.with_name("other.cpp")
    source.write_text('extern "C" int other() { return 1; }\n', encoding="utf-8")
    subprocess.run(["c++", "-shared", "-fPIC", source, "-o", path], check=True)


def without_sum(path):
    path.with_suffix(".sha256").unlink()


def open_to_all(path):
    path.chmod(0o666)


def replace_by_a_link(path):
    kept = path.rename(path.with_name("elsewhere.so"))
    path.symlink_to(kept)


@pytest.mark.parametrize("spoil", [cut_off, empty, flip, another, without_sum, open_to_all, replace_by_a_link])
def test_a_library_that_is_not_what_was_compiled_is_compiled_again(cache, spoil):
    (library,) = cache.glob("*.so")
    whole = library.read_bytes()
    spoil(library)
    used, said = loads(cache)
    assert used == str(library) and said == "" and build._is_whole(library)
    assert len(library.read_bytes()) == len(whole) and library.stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user")
@pytest.mark.parametrize("whose", ["library", "sum", "folder"])
def test_what_another_user_put_there_is_never_loaded(cache, whose):
    """In a cache that all can write: a library is run as soon as it is loaded."""
    (library,) = cache.glob("*.so")
    path = {"library": library, "sum": library.with_suffix(".sha256"), "folder": cache}[whose]
    os.chown(path, 12345, 12345)
    if whose != "folder":
        cache.chmod(0o777)
    used, _ = loads(cache)
    if whose == "folder":
        assert used.startswith(str(cache.parents[1] / f"mlet-bench-{os.geteuid()}"))
    else:
        assert used == str(library) and is_safe(library) and is_safe(cache)


def test_a_cache_that_cannot_be_made_is_replaced_by_a_temporary_one(tmp_path):
    (tmp_path / "cache").write_text("a file", encoding="utf-8")
    used, _ = loads(tmp_path / "cache/mlet-bench")
    assert used.startswith(str(tmp_path / f"mlet-bench-{os.geteuid()}"))


def test_a_compiler_with_options_and_one_that_is_no_command(cache, quick):
    used, said = loads(cache, CXX=f"{quick} -m64")
    assert used.endswith(".so") and said == "" and len([*cache.glob("*.so")]) == 2  # another command, another library
    used, said = loads(cache, CXX="c++ '")
    assert used == "None" and "kernels were not compiled (No closing quotation)" in said
    assert "a training ends in other numbers" in said


def test_a_kill_while_compiling_leaves_nothing_after_the_next_start(tmp_path, quick):
    slow = tmp_path / "slow"  # tells when it compiles, and takes its time
    shell = f'''#!/bin/sh
case "$*" in *--version*) ;; *) touch "{tmp_path}/compiling"; [ -e "{tmp_path}/go" ] || sleep 60;; esac
exec {quick} "$@"
'''
    slow.write_text(shell, encoding="utf-8")
    slow.chmod(0o755)
    cache = tmp_path / "cache/mlet-bench"
    environment = {"XDG_CACHE_HOME": str(cache.parent), "CXX": shlex.quote(str(slow))}
    words = [sys.executable, "-c", ASK]
    job = subprocess.Popen(words, env=os.environ | environment, start_new_session=True)
    deadline = time.monotonic() + 60
    while not (tmp_path / "compiling").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(job.pid, 9)
    job.wait()
    assert [*cache.glob("build-*")]
    (tmp_path / "go").touch()
    used, said = loads(cache, CXX=environment["CXX"])
    assert used.endswith(".so") and said == ""
    assert not [*cache.glob("build-*")] and len([*cache.glob("*.so")]) == 1


def test_several_processes_at_once_compile_once_and_all_have_it(tmp_path):
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    words = [sys.executable, "-c", ASK]
    jobs = [subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(3)]
    said = [job.communicate(timeout=300) for job in jobs]
    assert len({out for out, _ in said}) == 1 and all(error == b"" for _, error in said)


def test_a_private_folder_is_never_somebody_elses(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    own = tmp_path / f"mlet-bench-{os.geteuid()}"
    (tmp_path / "theirs").mkdir()
    own.symlink_to(tmp_path / "theirs")
    found = private_folder()
    assert found != own and is_safe(found) and not [*(tmp_path / "theirs").iterdir()]
    own.unlink()
    own.mkdir()
    own.chmod(0o777)
    assert private_folder() == own and own.stat().st_mode & 0o777 == 0o700
