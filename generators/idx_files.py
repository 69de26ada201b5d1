"""Files in the idx format, as MNIST has them: a header of big-endian numbers, then bytes. Gzip or not.

Bytes 0 and 1 are zero, byte 2 is the kind (8: unsigned bytes, the only one that is read), byte 3 the number of
dimensions; then each dimension in 4 bytes, then the values. Source: Y. LeCun, C. Cortes and C. Burges, the MNIST
database of handwritten digits.
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from generators.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

STEP = "reading an idx file"
BYTES = 8
MOST_BYTES = 2 * 2**30
"""Of values. MNIST's training pictures are 47 MB."""


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """The file's values, of exactly so many dimensions: 3 for pictures [n, height, width], 1 for labels [n].

    Raises:
        DataError: there is no such file, or it is not what its header says; names the file.
    """
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            if not packed:
                return _parse(file, path, dimensions)
            with gzip.GzipFile(fileobj=file) as unpacked:
                return _parse(cast(BinaryIO, unpacked), path, dimensions)
    except (OSError, EOFError, zlib.error) as error:
        said = getattr(error, "strerror", None) or error
        raise _bad(path, f"cannot be read: {said}") from error


def _parse(file: BinaryIO, path: Path, dimensions: int) -> NDArray[np.uint8]:
    import numpy as np

    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] != BYTES:
        raise _bad(path, f"does not begin as an idx file of unsigned bytes ({magic.hex(' ') or 'empty'})")
    if magic[3] != dimensions:
        what = {1: "labels", 3: "pictures"}.get(dimensions, "values")
        raise _bad(path, f"has {magic[3]} dimensions, and {what} have {dimensions}")
    header = file.read(4 * dimensions)
    shape = [int.from_bytes(header[i : i + 4], "big") for i in range(0, len(header) - 3, 4)]
    count = math.prod(shape)
    if len(shape) < dimensions or 0 in shape:
        raise _bad(path, "ends within its header, or holds nothing")
    if count > MOST_BYTES:
        raise _bad(path, f"says that it holds {count:,} bytes, more than {MOST_BYTES:,}")
    values = file.read(count + 1)
    if len(values) != count:
        more = "more" if len(values) > count else f"only {len(values):,}"
        raise _bad(path, f"says that it holds {count:,} bytes, and holds {more}")
    return np.frombuffer(values, dtype=np.uint8).reshape(shape)


def _bad(path: Path, cause: str) -> DataError:
    return DataError(STEP, f"{path} {cause}", "Give a whole idx file, such as train-images-idx3-ubyte.gz")
