"""A full folder for one command alone, in a mount namespace of its own."""

import subprocess

import pytest

FILL = 'mount -t tmpfs -o size=4k none "$1" && head -c 4096 /dev/zero > "$1/full" && shift && exec "$@"'


def with_full(folder) -> list[str]:
    """What to write before a command, which finds ``folder`` without a byte of room; skips where that is no right."""
    words = ["unshare", "--mount", "sh", "-c", FILL, "sh", str(folder)]
    try:
        able = subprocess.run([*words, "true"], capture_output=True).returncode == 0
    except FileNotFoundError:
        able = False
    if not able:
        pytest.skip("no right to mount a full folder here")
    return words
