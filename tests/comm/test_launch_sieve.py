"""What of a launcher's output is shown: netac's all, at once; reports of dead ranks not."""

from __future__ import annotations

import pytest

from netac.comm.launch.sieve import LONGEST, PATIENCE, PAUSE, Sieve, Tee

RULE, DOUBLE = b"-" * 74 + b"\n", b"=" * 83 + b"\n"
ABORT = RULE + b"MPI_ABORT was invoked on rank 1 in communicator\nwith errorcode 1.\n" + RULE
KILLED = DOUBLE + b"=   BAD TERMINATION OF ONE OF YOUR APPLICATION PROCESSES\n" + DOUBLE
OTHER = RULE + b"There are not enough slots available\n" + RULE
EXIT = b"YOUR APPLICATION TERMINATED WITH THE EXIT STRING: Killed (signal 9)\n"
ADVICE = b"This typically refers to a problem with your application.\n"
HYDRA_ABORT = b"Abort(1) on node 1 (rank 1 in comm 0): application called MPI_Abort\n"


def shown(sieve: Tee, *pieces: bytes) -> bytes:
    """All that is shown of pieces that arrive one right after the other."""
    return b"".join(sieve.feed(piece, 0.0) for piece in pieces) + sieve.end()


@pytest.mark.parametrize(("report", "kept"), [
    (ABORT, ABORT), (KILLED, KILLED), (EXIT + ADVICE, EXIT), (HYDRA_ABORT, HYDRA_ABORT),
])
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_reports_are_kept_for_the_explanation(report, kept, size):
    sieve, text = Sieve(), b"before\n" + report + b"after\n"
    assert shown(sieve, *(text[k: k + size] for k in range(0, len(text), size))) == b"before\nafter\n"
    assert sieve.kept == kept


@pytest.mark.parametrize("text", [OTHER, RULE, RULE + b"cut off", b"----\nshort\n----\n", b"no end", b"Abort(ed)\n",
                                  b"\xff\x00 bytes\n"])
def test_all_else_is_shown(text):
    sieve = Sieve()
    assert shown(sieve, text) == text
    assert sieve.kept == b""


def test_a_report_without_a_last_newline_is_one():
    sieve = Sieve()
    assert shown(sieve, HYDRA_ABORT[:-1]) == b"" and sieve.kept == HYDRA_ABORT[:-1]


def test_an_unfinished_line_is_shown_after_a_pause():
    sieve = Sieve()
    assert sieve.feed(b"\r 40 %", 7.0) == b"" == sieve.tick(7.0 + 0.9 * PAUSE)
    assert sieve.tick(7.0 + PAUSE) == b"\r 40 %"
    assert sieve.feed(b"\r 41 %", 8.0) == b""
    assert sieve.feed(b"\n", 8.1) == b"\r 41 %\n"


def test_a_bar_that_never_pauses_is_shown_all_the_same():
    sieve, found = Sieve(), b""
    for k in range(10):
        now = 0.75 * k * PAUSE
        found += sieve.feed(b".", now) + sieve.tick(now)
    assert found == 9 * b"."


def test_what_may_become_a_rule_is_waited_for():
    sieve = Sieve()
    assert sieve.feed(RULE[:40], 0.0) + sieve.tick(1.0) == b""
    assert sieve.feed(RULE[40:], 1.1) == b""


def test_the_rest_of_a_shown_line_is_no_rule():
    sieve = Sieve()
    sieve.feed(b"x", 0.0)
    assert sieve.tick(1.0) == b"x"
    assert sieve.feed(RULE, 1.1) == RULE


def test_a_block_without_an_end_is_shown_in_time():
    sieve = Sieve()
    text = RULE + b"unfinished\n"
    assert sieve.feed(text, 0.0) == b""
    assert b"".join(sieve.tick(k * 1.5 * PAUSE) for k in range(PATIENCE + 1)) == b""
    assert sieve.tick((PATIENCE + 1) * 1.5 * PAUSE) == text


def test_verbose_shows_and_keeps_the_end_of_everything():
    tee = Tee()
    assert shown(tee, ABORT, b"x" * LONGEST) == ABORT + b"x" * LONGEST
    assert tee.kept == b"x" * LONGEST
