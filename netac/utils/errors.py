"""The two ways a command can fail, and how they are told to the user.

`InputError` is the user's to mend: one message, exit status 2.  `RunError` is what went wrong while running: one
message, exit status 1.  Neither is shown with a traceback unless `--traceback` asks for it.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import traceback

_NOTHING = ...      # stays itself when an error travels between processes


class NetacError(Exception):
    """Base of the errors netac raises on purpose.

    Attributes:
        exit_status: what the command line ends with.
        told_by_root: every process of the launch has it, so that process 0 alone need tell it.
    """

    exit_status = 1
    told_by_root = False


class InputError(NetacError, ValueError):
    """Bad input.  The message names the file, the key, what was found and what would be valid.

    Args:
        problem: one sentence, without a full stop, e.g. "must be positive".
        file: the file at fault, if one is.
        key: the dotted key at fault, e.g. "algorithm.actor_step".
        found: the offending value.
        valid: what would be valid, in words.
    """

    exit_status = 2

    def __init__(self, problem: str, *, file: str | Path | None = None, key: str | None = None,
                 found: object = _NOTHING, valid: str | None = None):
        self.problem, self.file, self.key, self.found, self.valid = problem, file, key, found, valid
        super().__init__(problem)

    def __str__(self) -> str:
        where = "".join(f"{part}: " for part in (self.file, self.key) if part)
        details = [] if self.found is _NOTHING else [f"found {short(self.found)}"]
        details += [f"valid: {self.valid}"] if self.valid else []
        return where + self.problem + (f" ({'; '.join(details)})" if details else "")

    def located(self, *, file: str | Path | None = None, key: str | None = None) -> InputError:
        """The same error with the file filled in where it was unknown, and `key` put before its own key."""
        inner = ".".join(part for part in (key, self.key) if part) or None
        return InputError(self.problem, file=self.file or file, key=inner, found=self.found, valid=self.valid)


class RunError(NetacError, RuntimeError):
    """A failure while running: names the agent and the iteration where they are known.

    Args:
        cause: one sentence, without a full stop.
        agent: index of the agent at fault, or the agents of the process at fault.
        iteration: the iteration, counted from 0, in which it happened.
        hearsay: the fault may have reached the agent in a message; another process's error then takes precedence.
    """

    def __init__(self, cause: str, *, agent: int | range | None = None, iteration: int | None = None,
                 hearsay: bool = False):
        self.cause, self.agent, self.iteration, self.hearsay = cause, agent, iteration, hearsay
        super().__init__(cause)

    def __str__(self) -> str:
        block = self.agent if isinstance(self.agent, range) else range(0)
        who = f"agents {block[0]}-{block[-1]}" if len(block) > 1 else f"agent {block[0] if block else self.agent}"
        where = [who] if self.agent is not None else []
        where += [f"iteration {self.iteration}"] if self.iteration is not None else []
        return (", ".join(where) + ": " if where else "") + self.cause


def raised(error: BaseException) -> str:
    """An exception that netac did not raise on purpose, in words, with the line to look at: `users_line`, or else the
    innermost one outside netac, or the innermost one."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    place = users_line(error) or _innermost(error, {"netac"}) or _innermost(error, set())
    return f"{text} ({place})" if place else text


def quietly(work: Callable[[], object]) -> None:
    """Do what may fail in any way without harm, as the `close` of a user's environment; an interrupt goes through."""
    try:
        work()
    except KeyboardInterrupt:
        raise
    except BaseException:
        pass


def out_of_memory(error: BaseException) -> str | None:
    """What an exception says of memory that cannot be had; None where it is about something else."""
    text = " ".join(str(error).split())
    if not isinstance(error, MemoryError) and "can't allocate memory" not in text:        # PyTorch's is a RuntimeError
        return None
    about = f": {text}" if text else ""
    return (f"not enough memory{about}; smaller networks, fewer games (envs), a shorter rollout, a smaller replay "
            "(algorithm.buffer) or fewer processes on one host need less")


def users_line(error: BaseException) -> str | None:
    """The innermost line in the user's own files, which are neither netac's nor installed ones, that an exception went
    through: "file, line 3, in function"; None where there is none."""
    return _innermost(error, {"netac", "installed"})


def _innermost(error: BaseException, without: set[str]) -> str | None:
    """The innermost line that an exception went through, without those of "netac", or of what is "installed"."""
    import traceback
    frames = list(traceback.extract_tb(error.__traceback__))
    if isinstance(error, SyntaxError) and error.filename:
        frames.append(traceback.FrameSummary(error.filename, error.lineno or 0, "<module>", line=""))
    return _innermost_of(frames, without)


def where_now(thread: int) -> str:
    """The line a thread is at, chosen as `raised` does, of what netac calls: "file, line 3, in function"."""
    import sys
    import traceback
    stack = traceback.walk_stack(sys._current_frames().get(thread))
    frames = list(traceback.StackSummary.extract(stack, lookup_lines=False))[::-1]
    own = os.path.realpath(Path(__file__).parents[1]) + os.sep
    first = next((k for k, frame in enumerate(frames) if os.path.realpath(frame.filename).startswith(own)), 0)
    called = frames[first:]
    waiting = [frame for frame in called if not frame.filename.endswith("netac/comm/waiting.py")]
    if len(waiting) < len(called):
        return _innermost_of(waiting, {"installed"}) or "?"
    return next(filter(None, (_innermost_of(called, without) for without in ({"netac", "installed"}, {"installed"},
                                                                             set()))), "?")


def _innermost_of(frames: list[traceback.FrameSummary], without: set[str]) -> str | None:
    """The innermost of the frames without those of some kinds, as `_innermost`."""
    import sysconfig
    own, library = (os.path.realpath(folder) + os.sep for folder in (
        Path(__file__).parents[1], sysconfig.get_paths()["stdlib"]))

    def counts(frame: traceback.FrameSummary) -> bool:
        file = os.path.realpath(frame.filename)
        installed = file.startswith(library) or {"site-packages", "dist-packages"} & set(Path(file).parts)
        kind = "netac" if file.startswith(own) else "installed" if installed else "user's"
        return not frame.filename.startswith("<") and kind not in without

    frame = next(filter(counts, reversed(frames)), None)
    if frame is None:
        return None
    function = f", in {frame.name}" if frame.name.isidentifier() else ""
    with suppress(OSError):                  # the current folder may be gone
        return f"{frame.filename.removeprefix(os.getcwd() + os.sep)}, line {frame.lineno}{function}"
    return f"{frame.filename}, line {frame.lineno}{function}"


def short(value: object, limit: int = 60) -> str:
    """`repr(value)` cut to `limit` characters, so that a message stays one line."""
    text = " ".join(repr(value).split())
    return text if len(text) <= limit else text[: limit - 3] + "..."


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """' (did you mean ...?)' with the nearest of `choices`, or '' where none is near."""
    near = difflib.get_close_matches(word, list(choices), n=1, cutoff=0.6)
    return f" (did you mean {near[0]!r}?)" if near else ""
