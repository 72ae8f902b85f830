"""Files that are always whole: atomic writes, arrays, text, JSON and TOML read with checks, folders to write into."""

from __future__ import annotations

import codecs
import contextlib
import errno
import gzip
import io
import json
import math
import os
import secrets
import stat
import tomllib
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np

from netac.utils.errors import InputError, RunError

Text = TypeVar("Text", str, bytes)

_TEMPORARY = ".netac-tmp"  # ending of the temporary files, which start with a dot
_WORDS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file is too large",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EROFS: "the file system is read-only",
    errno.EISDIR: "it is a folder",
    errno.ENOTDIR: "a file stands where a folder is needed",
    errno.EEXIST: "a file stands where a folder is needed",
    errno.ENOENT: "its folder does not exist",
    errno.ENAMETOOLONG: "the name is too long",
    errno.EMFILE: "too many files are open",
    errno.EIO: "the disk reports an error",
}


def os_words(error: OSError) -> str:
    """Why the operating system refused, in plain words, e.g. "the disk is full"."""
    return _WORDS.get(error.errno or 0, (error.strerror or str(error)).lower())


def cannot_write(path: str | Path, error: OSError) -> RunError:
    """The error to raise when writing `path` failed with `error`."""
    return RunError(f"cannot write {path}: {os_words(error)}")


def atomic_write(path: str | Path, data: str | bytes) -> None:
    """Write `data` (text as UTF-8) to `path` so that any reader, at any time, sees the old file or the new one, whole.

    A temporary file in the same folder is written, forced to the disk and renamed over `path`; whatever fails, the
    temporary file goes and the old file stays.  A link is followed; a device (/dev/stdout) is written as it is.

    Raises:
        RunError: the file could not be written; says why in plain words.
    """
    with _replacing(path) as handle:
        handle.write(data.encode() if isinstance(data, str) else data)


def atomic_savez(path: str | Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays as an uncompressed `.npz` file, atomically (see `atomic_write`); read it with `load_npz`.

    Raises:
        TypeError: an array holds Python objects, which only pickle could store.
        RunError: the file could not be written.
    """
    for name, array in arrays.items():
        if np.asarray(array).dtype.hasobject:
            raise TypeError(f"array {name!r} holds Python objects")
    with _replacing(path) as handle, zipfile.ZipFile(handle, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)


def load_npz(path: str | Path, stored: bool = False) -> dict[str, np.ndarray]:
    """The arrays of an `.npz` file, all read and their checksums verified; pickled objects are refused.

    Before memory is taken for an array, its shape is compared with the size that the file's directory gives it.

    Args:
        stored: whether arrays must lie in it as they are, not compressed, as `atomic_savez` writes them: then they
            take no more memory than the file.

    Raises:
        InputError: there is no such file, or it is not a whole `.npz` file.
    """
    with _reading(path, ".npz", "arrays saved with numpy.savez, without Python objects"), zipfile.ZipFile(path) as held:
        members = held.infolist()
        names = [member.filename.removesuffix(".npy") for member in members]
        if len(set(names)) < len(names) or _entries_promised(path) not in (None, len(names)):
            raise ValueError("its directory has lost entries, or names one twice")
        if stored and (packed := [name for name, member in zip(names, members, strict=True)
                                  if member.compress_type != zipfile.ZIP_STORED]):
            raise ValueError(f"{packed[0]} is compressed, as netac does not write it")
        if stored and sum(member.file_size for member in members) > Path(path).stat().st_size:
            raise ValueError("its arrays are larger than the file")
        arrays = {name: _member(held, member) for name, member in zip(names, members, strict=True)}
    if not arrays:
        raise InputError("holds no arrays", file=path, valid="arrays saved with numpy.savez")
    return arrays


def load_npy(path: str | Path) -> np.ndarray:
    """The array of an `.npy` file, or of an `.npy.gz` file; pickled objects are refused.

    Raises:
        InputError: there is no such file, or it is not a whole `.npy` file.
    """
    valid = "an array saved with numpy.save, without Python objects"
    if _is_gzipped(path):
        held = io.BytesIO(read_bytes(path))
        with _reading(path, ".npy", valid):
            return np.lib.format.read_array(held, allow_pickle=False)
    with _reading(path, ".npy", valid), open(path, "rb") as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def load_json(path: str | Path) -> Any:
    """What a JSON file holds.

    Raises:
        InputError: there is no such file, or it is not JSON that can be read.
    """
    return parsed(json.loads, read_text(path), "JSON", path)


def load_toml(path: str | Path) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises:
        InputError: there is no such file, or it is not TOML that can be read.
    """
    return parsed(tomllib.loads, read_text(path), "TOML", path)


def parsed(parse: Callable[[Text], Any], text: Text, kind: str, file: str | Path | None = None,
           key: str | None = None) -> Any:
    """What `parse` makes of a text of JSON or TOML (`kind`).

    Raises:
        InputError: it is none, is nested thousands of levels deep, or has a number of thousands of digits.
    """
    try:
        return parse(text)
    except RecursionError:
        raise InputError(f"is not {kind} that can be read: it is nested too deeply", file=file, key=key) from None
    except ValueError as error:      # json's, tomllib's, and int's, which takes 4,300 digits at most
        raise InputError(f"is not valid {kind}: {error}", file=file, key=key) from error


def finite_numbers(array: np.ndarray) -> bool:
    """Whether an array holds real numbers and nothing else, not even NaN."""
    return array.dtype.kind in "biuf" and bool(np.isfinite(array).all())


def read_bytes(path: str | Path) -> bytes:
    """What a file holds; of one whose name ends in .gz, what was compressed.

    Raises:
        InputError: there is no such file, or it cannot be read.
    """
    try:
        held = Path(path).read_bytes()
        return gzip.decompress(held) if _is_gzipped(path) else held
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError("is not a whole gzip file", file=path, found=str(error),
                         valid="a file compressed by gzip, or a name that does not end in .gz") from error
    except OSError as error:
        raise InputError(f"cannot be read: {_reading_words(error)}", file=path) from error
    except ValueError as error:      # a zero byte in the name
        raise InputError(f"cannot be read: {error}", file=path) from error


def read_text(path: str | Path, torn: bool = False) -> str:
    """The text of a file (UTF-8, with or without a byte order mark, which is left out; see `read_bytes`).

    Args:
        torn: leave out a last character of which bytes are missing, as a kill may leave it.

    Raises:
        InputError: there is no such file, it cannot be read or it is not UTF-8 text.
    """
    held = _narrow_bytes(path)
    try:
        return codecs.getincrementaldecoder("utf-8-sig")().decode(held, final=not torn)
    except UnicodeDecodeError as error:
        raise InputError("is not UTF-8 text", file=path, found=str(error),
                         valid="the same text saved as UTF-8") from error


def refuse_wide_text(path: str | Path) -> None:
    """InputError where a file that Python itself is to read (its encoding may be declared in it) is UTF-16 or UTF-32.
    """
    _narrow_bytes(path)


def make_run_folder(path: str | Path) -> Path:
    """Create the folder `path` with its parents, or take it as it is, and prove that files can be made in it.

    Raises:
        InputError: it cannot be created or written.
    """
    folder = Path(path)
    valid = "a folder that can be created and written, e.g. --out runs/first"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError, RecursionError) as error:  # a zero byte in the name; thousands of folders
        reason = os_words(error) if isinstance(error, OSError) else str(error)
        if isinstance(error, RecursionError):
            reason = "too many folders, each in the other"
        raise InputError(f"cannot create this folder: {reason}", file=path, valid=valid) from error
    probe = _temporary_beside(folder / "probe")
    try:
        probe.write_bytes(b"netac")
    except OSError as error:
        raise InputError(f"cannot write into this folder: {os_words(error)}", file=path, valid=valid) from error
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()
    return folder


def refuse_link(path: Path) -> None:
    """InputError where a file of a run folder is a link: what is written there would go somewhere else."""
    if path.is_symlink() and not path.is_dir():
        raise InputError("is a link, and netac writes through none in a run folder", file=path,
                         found=os.readlink(path), valid="a file, or none: remove the link")


def clear_temporaries(folder: Path) -> None:
    """Remove what `atomic_write` and `atomic_savez` have left in a folder when they were killed."""
    for leftover in folder.glob(f".*{_TEMPORARY}"):
        leftover.unlink(missing_ok=True)


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    """One array of a `.npz` file; ValueError where its header promises more or less than there is."""
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(file)
        if math.prod(shape) * dtype.itemsize != member.file_size - file.tell() and not dtype.hasobject:
            raise ValueError(f"{member.filename} says that it is {dtype} {shape}, and has another size")
    with archive.open(member) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _is_gzipped(path: str | Path) -> bool:
    return str(path).lower().endswith(".gz")


def _narrow_bytes(path: str | Path) -> bytes:
    """What a file of text holds; InputError where that is UTF-16 or UTF-32."""
    held = read_bytes(path)
    if encoding := _wide_encoding(held):
        raise InputError(f"is {encoding} text", file=path, valid="the same text saved as UTF-8")
    return held


def _wide_encoding(held: bytes) -> str | None:
    """"UTF-16" or "UTF-32" where bytes begin with its mark, or with letters of which every other byte is zero."""
    if held.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "UTF-32"
    head = held[:64]
    every_other = len(head) > 3 and any(not any(head[start::2]) and all(head[1 - start::2]) for start in (0, 1))
    return "UTF-16" if every_other or held.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else None


def _temporary_beside(target: Path) -> Path:
    return target.with_name(f".{target.name}.{secrets.token_hex(4)}{_TEMPORARY}")


def _entries_promised(path: str | Path) -> int | None:
    """How many entries the end record of a zip file counts (zipfile does not compare); None where it cannot say."""
    with open(path, "rb") as file:
        file.seek(-22, os.SEEK_END)
        end = file.read()
    return int.from_bytes(end[10:12], "little") if end.startswith(b"PK\5\6") and end[10:12] != b"\xff\xff" else None


def _is_device(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def _reading_words(error: OSError) -> str:
    return "there is no such file" if isinstance(error, FileNotFoundError) else os_words(error)


@contextlib.contextmanager
def _reading(path: str | Path, kind: str, valid: str) -> Iterator[None]:
    """Turns whatever reading a file of numpy's raises into an InputError."""
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot be read: {_reading_words(error)}", file=path) from error
    except Exception as error:  # a damaged file can make numpy and zipfile raise nearly anything
        raise InputError(f"is not a whole {kind} file", file=path, found=str(error), valid=valid) from error


@contextlib.contextmanager
def _replacing(path: str | Path) -> Iterator[BinaryIO]:
    """A binary file to fill, which takes the place of `path` once it is whole and on the disk (see `atomic_write`)."""
    try:
        target = Path(os.path.realpath(path))
        if _is_device(target):
            with target.open("wb") as handle:
                yield handle
            return
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        temporary = _temporary_beside(target)
        try:
            with temporary.open("xb") as handle:
                yield handle
                handle.flush()
                os.fsync(handle.fileno())
            temporary.replace(target)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()
    except OSError as error:
        raise cannot_write(path, error) from error
