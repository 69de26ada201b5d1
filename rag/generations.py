"""Generations of an index on disk: who may write, who still reads, which one answers.

    <index>/
      manifest.json              names the generation that answers; replaced in one step
      write.lock                 held by the one writer
      generations/<name>/
        readers.lock             shared by its readers; who gets it alone may delete the generation
        load.lock                held while the engine opens the shard, which rewrites its configuration
        shard/  texts/<sha256>

All locks are `flock`: they end with their process, however it ends. Knows nothing of what a shard is.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rag.errors import IndexLocked, StoreFailed
from rag.manifest import Manifest, dump, is_generation, parse

LOAD_SECONDS = 60.0


def generation_folder(index: Path, name: str) -> Path:
    """Where generation `name` lives."""
    return index / "generations" / name


def read_manifest(index: Path) -> Manifest | None:
    """The current manifest, or None; raises StoreFailed or IndexMismatch for one that cannot be used."""
    try:
        return parse((index / "manifest.json").read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreFailed("opening the knowledge base", str(error), "Check the folder's permissions") from error


def manifest_stamp(index: Path) -> tuple[int, int, int] | None:
    """Changes whenever the manifest is replaced; None when there is none."""
    try:
        status = (index / "manifest.json").stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def write_manifest(index: Path, manifest: Manifest) -> None:
    """Switch: written aside, synced, moved over the old one, and the folder synced."""
    aside = index / "manifest.json.new"
    with aside.open("w", encoding="utf-8") as file:
        file.write(dump(manifest))
        file.flush()
        os.fsync(file.fileno())
    aside.replace(index / "manifest.json")
    sync(index)


def lock_writer(index: Path) -> int:
    """The file descriptor that holds the write lock; close it to let go. Raises IndexLocked."""
    path = index / "write.lock"
    while True:
        index.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        except BlockingIOError as error:
            os.close(descriptor)
            cause = f"another process is writing {index.name}"
            raise IndexLocked("writing the index", cause, "Wait until it has finished, or stop it") from error
        except FileNotFoundError:
            pass  # the index was deleted in between: lock the new file
        os.close(descriptor)


def lock_reader(folder: Path) -> int | None:
    """A descriptor that keeps generation `folder` alive; None when it is gone or going."""
    path = folder / "readers.lock"
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), path.stat()):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass  # a cleaner holds it, or has just removed it
    os.close(descriptor)
    return None


@contextmanager
def load_lock(folder: Path) -> Iterator[None]:
    """Alone while the engine opens the shard in `folder`, or while it is copied; waits up to a minute."""
    descriptor = os.open(folder / "load.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline = time.monotonic() + LOAD_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    raise StoreFailed(
                        "opening the knowledge base", "another process never let go", "Stop it"
                    ) from error
                time.sleep(0.005)
        yield
    finally:
        os.close(descriptor)


def begin(index: Path, name: str) -> Path:
    """An empty folder for a new generation. The caller holds the write lock."""
    folder = generation_folder(index, name)
    (folder / "texts").mkdir(mode=0o700, parents=True)
    for lock in ("readers.lock", "load.lock"):
        (folder / lock).touch(mode=0o600)
    return folder


def last_generation(index: Path) -> str:
    """The newest name in use, finished or not; empty for none."""
    parent = index / "generations"
    names = [folder.name for folder in parent.iterdir()] if parent.is_dir() else []
    return max(filter(is_generation, names), default="")


def clean(index: Path, keep: str) -> None:
    """Remove every generation but `keep` that nobody reads. The caller holds the write lock."""
    parent = index / "generations"
    for folder in parent.iterdir() if parent.is_dir() else ():
        if folder.name != keep and is_generation(folder.name):
            _remove_unread(folder)


def _remove_unread(folder: Path) -> None:
    try:
        descriptor = os.open(folder / "readers.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:
        return  # left for the next writer
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    except BlockingIOError:
        pass  # somebody still reads it: the next writer tries again
    finally:
        os.close(descriptor)


def copy_shard(source: Path, target: Path) -> None:
    """Copy a folder of files, holes kept: the engine's files are mostly holes, 32 MiB for a few kilobytes."""
    for folder, _, names in os.walk(source):
        here = target / Path(folder).relative_to(source)
        here.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in names:
            _copy_sparse(Path(folder) / name, here / name)


def _copy_sparse(source: Path, target: Path) -> None:
    with source.open("rb", buffering=0) as reading, target.open("wb", buffering=0) as writing:
        size, position = os.fstat(reading.fileno()).st_size, 0
        with suppress(OSError):  # ENXIO: no data after `position`
            while position < size:
                start = os.lseek(reading.fileno(), position, os.SEEK_DATA)
                position = os.lseek(reading.fileno(), start, os.SEEK_HOLE)
                _copy_range(reading.fileno(), writing.fileno(), start, position)
        writing.truncate(size)


def _copy_range(reading: int, writing: int, start: int, end: int) -> None:
    while start < end:
        data = os.pread(reading, min(end - start, 1 << 20), start)
        if not data:
            return
        start += os.pwrite(writing, data, start)


def link_texts(source: Path, target: Path) -> None:
    """The texts of one generation in another, without copying where the file system has hard links."""
    for path in source.iterdir():
        try:
            os.link(path, target / path.name)
        except OSError:
            shutil.copyfile(path, target / path.name)


def sync_tree(folder: Path) -> None:
    """Bring every file and folder below `folder` to the disk."""
    for parent, _, names in os.walk(folder):
        for name in names:
            sync(Path(parent) / name)
        sync(Path(parent))


def sync(path: Path) -> None:
    """fsync of one file or folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
