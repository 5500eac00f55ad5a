"""A part of a file on a server that may be slow, broken or hostile: exactly the bytes asked for, or an error."""

import time

RETRIES = 5  # waiting 1, 2, 4, 8 and 8 seconds, whatever the server asks for
SILENCE = 30  # seconds without a byte
SLOWEST = 1024  # bytes a second, over the first minute and from then on
PATIENCE = 60


class PieceError(Exception):
    """What a server sent is not what it was asked for."""


def fetch_piece(url: str, start: int, end: int) -> bytes:
    """Bytes ``start`` to ``end``, that one left out.

    Raises:
        PieceError: the server does not send them, sends others, or sends them by the drop.
        Exception: those of huggingface_hub and of its HTTP client.
    """
    for attempt in range(RETRIES):
        try:
            return _asked_once(url, start, end)
        except PieceError:
            raise
        except Exception as error:  # the library and its client have no base class in common
            if _is_final(error):
                raise
            time.sleep(min(2**attempt, 8))
    return _asked_once(url, start, end)


def _asked_once(url: str, start: int, end: int) -> bytes:
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

    # Of a compressed transfer the length says nothing, and some bytes may become gigabytes.
    headers = build_hf_headers() | {"range": f"bytes={start}-{end - 1}", "accept-encoding": "identity"}
    piece, clock, wanted = bytearray(), time.monotonic(), end - start
    with get_session().stream("GET", url, headers=headers, timeout=SILENCE) as response:
        hf_raise_for_status(response)
        sent = response.headers.get("content-range", f"bytes {start if response.status_code == 206 else 0}-")
        if not sent.startswith(f"bytes {start}-"):
            raise PieceError(f"the server sent {sent.partition('/')[0]} where bytes from {start} on were asked for")
        for some in response.iter_bytes():
            piece += some
            if len(piece) > wanted:
                raise PieceError(f"the server sent more than the {wanted:,} bytes from {start} on")
            seconds = time.monotonic() - clock
            if seconds > PATIENCE and len(piece) < SLOWEST * seconds:
                raise PieceError(f"the server sent {len(piece):,} bytes in {seconds:.0f} seconds")
    if len(piece) < wanted:
        raise PieceError(f"the server sent {len(piece):,} of the {wanted:,} bytes from {start} on")
    return bytes(piece)


def _is_final(error: Exception) -> bool:
    """Whether the server would say the same again: a status below 500, but for "too many requests"."""
    status = getattr(getattr(error, "response", None), "status_code", 500)
    return status < 500 and status != 429
