"""Generations of an index on disk: who may write, who still reads, which one answers.

    <index>/
      manifest.json              of the generation that answers; replaced in one step
      write.lock                 held by the one writer
      texts.sqlite               the documents' texts by their hash
      generations/<name>/
        manifest.json            of this generation, for what still reads it and for `hearth kb repair`
        terms.npy                how many passages hold each term (rag/terms.py)
        readers.lock             shared by its readers; who gets it alone may delete the generation
      shards/<name>/             sealed passages, shared by the generations whose manifests name them
        load.lock                held while the engine opens the shard, which rewrites its configuration
        shard/

A generation is its manifest: a small change writes one small shard and names the old ones again. All locks are
`flock`: they end with their process, however it ends. Knows nothing of what a shard is.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from decoder.errors import HearthError
from decoder.file_lock import take
from rag.errors import IndexLocked, StoreFailed
from rag.manifest import Manifest, dump, is_generation, parse

LOAD_SECONDS = 60.0


def generation_folder(index: Path, name: str) -> Path:
    """Where generation `name` lives."""
    return index / "generations" / name


def shard_folder(index: Path, name: str) -> Path:
    """Where shard `name` lives."""
    return index / "shards" / name


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


def begin(index: Path, name: str) -> Path:
    """An empty folder for a new generation. The caller holds the write lock."""
    folder = generation_folder(index, name)
    folder.mkdir(mode=0o700, parents=True)
    (folder / "readers.lock").touch(mode=0o600)
    return folder


def begin_shard(index: Path, name: str) -> Path:
    """An empty folder for a new shard. The caller holds the write lock."""
    folder = shard_folder(index, name)
    folder.mkdir(mode=0o700, parents=True)
    (folder / "load.lock").touch(mode=0o600)
    return folder


def write_manifest(index: Path, manifest: Manifest) -> None:
    """Switch: written aside, synced, moved over the old one, and the folder synced."""
    text = dump(manifest)
    _write(generation_folder(index, manifest.generation) / "manifest.json", text)
    sync(generation_folder(index, manifest.generation))
    sync(index / "generations")
    _write(index / "manifest.json.new", text)
    (index / "manifest.json.new").replace(index / "manifest.json")
    sync(index)


def _write(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


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
    """Alone while the engine opens the shard in `folder`; waits up to a minute."""
    with (folder / "load.lock").open("ab") as file:
        if not take(file, LOAD_SECONDS):
            raise StoreFailed("opening the knowledge base", "another process never let go", "Stop it")
        yield


def last_name(index: Path) -> str:
    """The newest name in use by a generation or a shard, finished or not; empty for none."""
    names = [folder.name for part in ("generations", "shards") for folder in _folders(index / part)]
    return max(names, default="")


def clean(index: Path, current: Manifest | None) -> list[Manifest]:
    """Remove the generations that nobody reads, and the shards that none of the others names.

    Returns the manifests of the generations that stay. The caller holds the write lock and writes no shard.
    """
    living = [current] if current is not None else []
    for folder in _folders(index / "generations"):
        if (current is None or folder.name != current.generation) and not _remove_unread(folder):
            living += _own_manifest(folder)
    needed = {shard.name for manifest in living for shard in manifest.shards}
    for folder in _folders(index / "shards"):
        if folder.name not in needed:
            shutil.rmtree(folder, ignore_errors=True)
    return living


def saved_manifests(index: Path) -> list[Manifest]:
    """The manifests that generations keep of themselves and that can be read, newest first."""
    folders = sorted(_folders(index / "generations"), key=lambda folder: folder.name, reverse=True)
    return [manifest for folder in folders for manifest in _own_manifest(folder)]


def _own_manifest(folder: Path) -> Sequence[Manifest]:
    try:
        return [parse((folder / "manifest.json").read_bytes())]
    except (OSError, HearthError):
        return []  # it was never finished, or is damaged: nothing reads it by that


def _folders(parent: Path) -> list[Path]:
    return [folder for folder in parent.iterdir() if is_generation(folder.name)] if parent.is_dir() else []


def _remove_unread(folder: Path) -> bool:
    try:
        descriptor = os.open(folder / "readers.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:
        return False  # left for the next writer
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
        return True
    except BlockingIOError:
        return False  # somebody still reads it: the next writer tries again
    finally:
        os.close(descriptor)


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
