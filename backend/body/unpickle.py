"""A restricted unpickler for body files: nothing in the file is executed.

Official SMPL and MANO files are Python 2 pickles of a dict of numpy arrays, scipy sparse matrices and chumpy objects.
A pickle is a program; this reader allows only the few globals that such files need and refuses all others.  While it
runs, no numpy, scipy or chumpy object is built: stand-ins take their state, and become arrays after it is checked.
"""

from __future__ import annotations

import io
import math
import pickle
import re
import struct
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import scipy.sparse

from backend.errors import BadInput

MAX_BYTES = 1 << 30
_REFUSED = "Get the file from its publisher again; do not load it elsewhere with plain pickle."
_OBJECTS = ("O", "O8", "|O")
_NUMBERS = re.compile(r"[<>=|]?(b1|[iu][1248]|f[248]|[SU]\d{1,4})")


class _AllowedCall:
    """A global that a pickle may call.  Its state cannot be set, so no file can change the reader itself."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __call__(self, *args: Any) -> Any:
        return self._call(*args)

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("it sets the state of a function")


class _OpaqueObject:
    """Stand-in for an object of another class.  Takes no constructor arguments, and a dict as its state."""

    state: dict[Any, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> _OpaqueObject:
        if args or kwargs:
            raise pickle.UnpicklingError("it makes an object with arguments")
        made = object.__new__(cls)
        made.state = {}
        return made

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, tuple) and len(state) == 2 and state[0] is None:
            state = state[1]
        if not isinstance(state, dict):
            raise pickle.UnpicklingError("an object's state is not a dict")
        self.state = state


class _Chumpy(_OpaqueObject):
    """Stand-in for any chumpy class."""

    def value(self, plain: Callable[[Any], Any]) -> Any:
        """The array of a constant or of a selection from one; the stand-in itself for any other expression."""
        if isinstance(constant := plain(self.state.get("x")), np.ndarray):
            return constant
        if "a" in self.state and "idxs" in self.state:  # chumpy.reordering.Select: shapedirs[:, :, :10]
            source, indices = np.asarray(plain(self.state["a"])), np.asarray(plain(self.state["idxs"]))
            shape = plain(self.state.get("preferred_shape"))
            picked = source.ravel()[indices.ravel()]
            return picked if shape is None else picked.reshape(shape)
        return self


class _Sparse(_OpaqueObject):
    """Stand-in for scipy's CSC matrices of any version."""

    layout: Any = scipy.sparse.csc_matrix

    def value(self, plain: Callable[[Any], Any]) -> Any:
        shape = tuple(int(n) for n in plain(self.state.get("_shape", self.state.get("shape"))))
        parts = tuple(np.asarray(plain(self.state[name])) for name in ("data", "indices", "indptr"))
        matrix = type(self).layout(parts, shape=shape)
        matrix.check_format(full_check=True)  # indices of an untrusted file could be out of range
        return matrix


class _SparseRows(_Sparse):
    """Stand-in for scipy's CSR matrices."""

    layout: Any = scipy.sparse.csr_matrix


class _SparseEntries(_OpaqueObject):
    """Stand-in for scipy's COO matrices."""

    def value(self, plain: Callable[[Any], Any]) -> Any:
        shape = tuple(int(n) for n in plain(self.state.get("_shape", self.state.get("shape"))))
        coordinates = plain(self.state["coords"]) if "coords" in self.state else None
        rows, columns = coordinates or (plain(self.state["row"]), plain(self.state["col"]))
        entries = (np.asarray(rows), np.asarray(columns))
        matrix = scipy.sparse.coo_matrix((np.asarray(plain(self.state["data"])), entries), shape=shape)
        matrix._check()  # indices of an untrusted file could be out of range
        return matrix


class _Type:
    """Stand-in for a dtype: numbers and texts only.

    numpy's own accepts any state, for example one that reads raw bytes as pointers to objects.
    """

    objects = False

    def __init__(self, code: Any, align: Any = 0, copy: Any = 0) -> None:
        if not isinstance(code, str) or not _NUMBERS.fullmatch(code):
            raise pickle.UnpicklingError(f"an array contains {str(code)[:40]!r} instead of numbers")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        _version, order, subarray, names, fields, *_rest = state
        if subarray is not None or names is not None or fields is not None:
            raise pickle.UnpicklingError("an array contains records instead of numbers")
        if order in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(order)


class _AnyType(_Type):
    """Also the dtype of an array of objects, which are then allowed ones themselves."""

    def __init__(self, code: Any, align: Any = 0, copy: Any = 0) -> None:
        self.objects = code in _OBJECTS
        super().__init__("u1" if self.objects else code)


class _Array:
    """Stand-in for an array.  numpy pickles an empty array first and its content afterwards."""

    def __init__(self) -> None:
        self.array = np.zeros(0)
        self.items: list[Any] | None = None  # of an array of objects, which becomes a list

    def __setstate__(self, state: Any) -> None:
        shape, kind, fortran, data = state[-4:]
        if isinstance(kind, _Type) and kind.objects:
            if not isinstance(data, list) or tuple(shape) != (len(data),):
                raise pickle.UnpicklingError("an array of objects is not one-dimensional")
            self.items = data
            return
        self.array = _from_bytes(data, kind, shape, "F" if fortran else "C")


def _from_bytes(data: Any, kind: Any, shape: Any, order: str) -> np.ndarray:
    if not isinstance(kind, _Type) or kind.objects:
        raise pickle.UnpicklingError("an array has no known dtype")
    raw = data.encode("latin1") if isinstance(data, str) else bytes(memoryview(data))
    sizes = tuple(int(n) for n in shape)
    if min(sizes, default=0) < 0 or math.prod(sizes) * kind.dtype.itemsize != len(raw):
        raise pickle.UnpicklingError("an array's shape does not fit its content")
    flat = np.frombuffer(raw, kind.dtype) if raw else np.zeros(0, kind.dtype)
    return flat.reshape(sizes, order="F" if order == "F" else "C")


def _reconstruct(cls: Any, shape: Any, typecode: Any) -> _Array:
    if cls is not _NDARRAY or tuple(shape) != (0,):  # any other shape is an attempt to exhaust memory
        raise pickle.UnpicklingError("an array is not constructed as numpy does")
    return _Array()


def _frombuffer(data: Any, kind: Any, shape: Any, order: Any) -> _Array:
    made = _Array()
    made.array = _from_bytes(data, kind, shape, order)
    return made


def _scalar(kind: Any, data: Any = b"") -> Any:
    return _from_bytes(data, kind, (), "C").item()


def _encode(text: Any, codec: Any = "latin1") -> bytes:
    if codec not in ("latin1", "latin-1") or not isinstance(text, str):
        raise pickle.UnpicklingError("an encoding is not latin1")
    return text.encode("latin1")


def _reconstructor(cls: Any, base: Any, state: Any) -> Any:
    if cls in (_Chumpy, _Sparse, _SparseRows, _SparseEntries) and base is _OBJECT and state is None:
        return cls()
    raise pickle.UnpicklingError("an object is of an unknown class")


def _refuse_call(*args: Any) -> Any:
    raise pickle.UnpicklingError("it calls a class that it may only name")


def _no_bytes() -> bytes:
    return b""  # so Python 3 writes empty bytes in old protocols; bytes(n) could allocate any amount


_NDARRAY, _OBJECT = _AllowedCall(_refuse_call), _AllowedCall(_refuse_call)
_BUILTINS = ("__builtin__", "builtins")
_NUMPY = ("numpy.core", "numpy._core")  # numpy 1 and 2
_ALLOWED_GLOBALS: dict[tuple[str, str], _AllowedCall] = {
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _AllowedCall(_Type),
    ("_codecs", "encode"): _AllowedCall(_encode),
    ("collections", "OrderedDict"): _AllowedCall(OrderedDict),
    **{(f"{m}.multiarray", "_reconstruct"): _AllowedCall(_reconstruct) for m in _NUMPY},
    **{(f"{m}.multiarray", "scalar"): _AllowedCall(_scalar) for m in _NUMPY},
    **{(f"{m}.numeric", "_frombuffer"): _AllowedCall(_frombuffer) for m in _NUMPY},  # protocol 5
    **{(m, "_reconstructor"): _AllowedCall(_reconstructor) for m in ("copy_reg", "copyreg")},
    **{(m, "object"): _OBJECT for m in _BUILTINS},
    **{(m, "bytes"): _AllowedCall(_no_bytes) for m in _BUILTINS},
    **{(m, "set"): _AllowedCall(set) for m in _BUILTINS},  # in every chumpy object
}

_LAYOUTS = (("csc", _Sparse), ("csr", _SparseRows), ("coo", _SparseEntries))
_SPARSE = {f"{layout}_{kind}": cls for layout, cls in _LAYOUTS for kind in ("matrix", "array")}

# Python's unpickler, as the one in C allocates as much memory as an opcode claims to need
_Unpickler: Any = pickle._Unpickler  # type: ignore[attr-defined]


class _Reader(_Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] == "chumpy" and "." not in name:
            return _Chumpy
        if module.startswith("scipy.sparse") and name in _SPARSE:
            return _SPARSE[name]
        try:
            return _ALLOWED_GLOBALS[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it uses {module}.{name}") from None

    def load_bytearray8(self) -> None:
        # the inherited method allocates the claimed length before it reads
        (length,) = struct.unpack("<Q", self.read(8))
        self.append(bytearray(self.read(length)))

    dispatch: ClassVar[dict[int, Any]] = {**_Unpickler.dispatch, pickle.BYTEARRAY8[0]: load_bytearray8}

    def get_extension(self, code: int) -> None:
        raise pickle.UnpicklingError("it refers to an extension")

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("it refers to something outside itself")


class _ObjectReader(_Reader):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("numpy", "dtype"):
            return _AllowedCall(_AnyType)
        return super().find_class(module, name)


def _converter() -> Callable[[Any], Any]:
    """A function that replaces stand-ins by their values, each object once (a list may contain another many times)."""
    done: dict[int, Any] = {}

    def plain(value: Any) -> Any:
        if value is None or isinstance(value, str | bytes | bytearray | int | float):
            return value
        if id(value) not in done:
            done[id(value)] = convert(value)
        return done[id(value)]

    def convert(value: Any) -> Any:
        if isinstance(value, _Array):
            return value.array if value.items is None else [plain(item) for item in value.items]
        if isinstance(value, _Chumpy | _Sparse | _SparseEntries):
            return value.value(plain)
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, list | tuple | set):
            return type(value)(plain(item) for item in value)
        raise pickle.UnpicklingError(f"it contains a {type(value).__name__.strip('_').lower()}")

    return plain


def read_pickle(path: Path) -> dict[str, Any]:
    """The dict in a pickle, of read-only arrays, scipy sparse matrices, numbers, texts, and containers of those.

    A chumpy expression that is neither a constant nor a selection stays an inert stand-in.  Raises BadInput
    `refused_pickle` for a file that contains anything else, `not_a_body` for one that is damaged or no dict.
    """
    if path.stat().st_size > MAX_BYTES:
        raise BadInput("not_a_body", f"{path.name} is larger than {MAX_BYTES >> 20} MiB.", _REFUSED)
    content = unpickle(path.read_bytes(), path.name)
    if not isinstance(content, dict):
        raise BadInput("not_a_body", f"{path.name} contains no dict of arrays.", _REFUSED)
    return {str(key): value for key, value in content.items()}


def unpickle(data: bytes, name: str, code: str = "not_a_body", objects: bool = False) -> Any:
    """The content of a pickle, of the types that `read_pickle` allows.

    name: of the file, for messages.  objects: a one-dimensional array of objects is allowed too, and becomes a list.
    Raises BadInput `refused_pickle`, or `code` for a damaged pickle.
    """
    reader = _ObjectReader if objects else _Reader
    try:
        # from memory, so that a claimed length allocates no more than the file has
        return _converter()(reader(io.BytesIO(data), encoding="latin1").load())
    except pickle.UnpicklingError as error:
        raise BadInput(
            "refused_pickle",
            f"{name} was refused: such a file contains arrays only, but {error}.",
            _REFUSED,
        ) from None
    except Exception as error:  # a damaged pickle raises any type
        raise BadInput(
            code, f"{name} is damaged or not of the expected kind ({type(error).__name__}).", _REFUSED
        ) from None
