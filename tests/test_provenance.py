"""The commit is known in a checkout, another user's too, and known to be absent elsewhere."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from mlet_bench import provenance

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Path:
    """A repository of one commit that the package seems to run from."""
    (tmp_path / "mlet_bench").mkdir()
    (tmp_path / "mlet_bench/provenance.py").write_text("1", encoding="utf-8")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b.c"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "one"]):
        subprocess.run([*git, *words], check=True, capture_output=True)
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "mlet_bench/provenance.py"))
    return tmp_path


@needs_git
def test_a_checkout_says_commit_and_changes(checkout):
    commit, dirty = provenance._git()
    assert commit is not None and len(commit) == 40 and dirty is False
    (checkout / "mlet_bench/provenance.py").write_text("2", encoding="utf-8")
    assert provenance._git() == (commit, True)


@needs_git
def test_a_checkout_of_another_user_is_read(checkout, monkeypatch):
    """git itself refuses it: dubious ownership."""
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # git's own switch for this
    refused = subprocess.run(["git", "-C", checkout, "rev-parse", "HEAD"], capture_output=True)
    assert refused.returncode != 0
    commit, dirty = provenance._git()
    assert commit is not None and dirty is False


def test_without_git_or_a_checkout_nothing_is_named(checkout, monkeypatch):
    monkeypatch.setenv("PATH", os.devnull)
    assert provenance._git() == (None, None)


def test_an_installed_package_has_no_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "mlet_bench/provenance.py"))
    assert provenance._git() == (None, None)
