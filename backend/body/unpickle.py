"""Reading body files that come as pickles, without running anything that is in them.

Official SMPL and MANO files are Python 2 pickles of a dict of numpy arrays, scipy sparse matrices and chumpy objects.
A pickle is a program; this reader knows only the few words such files need and refuses every other one.  No numpy,
scipy or chumpy object is built while it runs: stand-ins take the described state and become arrays once it is checked.
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
    """A word that a pickle may say.  Its state cannot be set, so that no file changes the reader itself."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __call__(self, *args: Any) -> Any:
        return self._call(*args)

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("it sets the state of a function")


class _OpaqueObject:
    """An object whose class stays out.  Takes no constructor arguments, and a dict as its state."""

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
            raise pickle.UnpicklingError("an object has a strange state")
        self.state = state


class _Chumpy(_OpaqueObject):
    """Any chumpy class."""

    def value(self, plain: Callable[[Any], Any]) -> Any:
        """The array of a constant or of a selection from one; an expression of another kind stays what it is."""
        if isinstance(held := plain(self.state.get("x")), np.ndarray):
            return held
        if "a" in self.state and "idxs" in self.state:  # chumpy.reordering.Select: shapedirs[:, :, :10]
            source, indices = np.asarray(plain(self.state["a"])), np.asarray(plain(self.state["idxs"]))
            shape = plain(self.state.get("preferred_shape"))
            picked = source.ravel()[indices.ravel()]
            return picked if shape is None else picked.reshape(shape)
        return self


class _Sparse(_OpaqueObject):
    """scipy's compressed sparse matrices by column, whatever module path their version used."""

    layout: Any = scipy.sparse.csc_matrix

    def value(self, plain: Callable[[Any], Any]) -> Any:
        shape = tuple(int(n) for n in plain(self.state.get("_shape", self.state.get("shape"))))
        parts = tuple(np.asarray(plain(self.state[name])) for name in ("data", "indices", "indptr"))
        matrix = type(self).layout(parts, shape=shape)
        matrix.check_format(full_check=True)  # indices from a stranger could point outside
        return matrix


class _SparseRows(_Sparse):
    layout: Any = scipy.sparse.csr_matrix


class _SparseEntries(_OpaqueObject):
    """scipy's sparse matrices as a list of entries."""

    def value(self, plain: Callable[[Any], Any]) -> Any:
        shape = tuple(int(n) for n in plain(self.state.get("_shape", self.state.get("shape"))))
        places = plain(self.state["coords"]) if "coords" in self.state else None
        rows, columns = places or (plain(self.state["row"]), plain(self.state["col"]))
        entries = (np.asarray(rows), np.asarray(columns))
        matrix = scipy.sparse.coo_matrix((np.asarray(plain(self.state["data"])), entries), shape=shape)
        matrix._check()  # indices from a stranger could point outside
        return matrix


class _Type:
    """A dtype: numbers and texts only.

    numpy's own takes any state, for instance one that reads raw bytes as pointers to objects.
    """

    objects = False

    def __init__(self, code: Any, align: Any = 0, copy: Any = 0) -> None:
        if not isinstance(code, str) or not _NUMBERS.fullmatch(code):
            raise pickle.UnpicklingError(f"an array holds {str(code)[:40]!r} instead of numbers")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        _version, order, subarray, names, fields, *_rest = state
        if subarray is not None or names is not None or fields is not None:
            raise pickle.UnpicklingError("an array holds records instead of numbers")
        if order in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(order)


class _AnyType(_Type):
    """Also the dtype of a row of objects, which are then known ones themselves."""

    def __init__(self, code: Any, align: Any = 0, copy: Any = 0) -> None:
        self.objects = code in _OBJECTS
        super().__init__("u1" if self.objects else code)


class _Array:
    """An array: numpy writes an empty one first and its content afterwards."""

    def __init__(self) -> None:
        self.array = np.zeros(0)
        self.items: list[Any] | None = None  # of an array of objects, which stays a list

    def __setstate__(self, state: Any) -> None:
        shape, kind, fortran, data = state[-4:]
        if isinstance(kind, _Type) and kind.objects:
            if not isinstance(data, list) or tuple(shape) != (len(data),):
                raise pickle.UnpicklingError("an array of objects is not a plain row of them")
            self.items = data
            return
        self.array = _from_bytes(data, kind, shape, "F" if fortran else "C")


def _from_bytes(data: Any, kind: Any, shape: Any, order: str) -> np.ndarray:
    if not isinstance(kind, _Type) or kind.objects:
        raise pickle.UnpicklingError("an array is of no known type")
    raw = data.encode("latin1") if isinstance(data, str) else bytes(memoryview(data))
    sizes = tuple(int(n) for n in shape)
    if min(sizes, default=0) < 0 or math.prod(sizes) * kind.dtype.itemsize != len(raw):
        raise pickle.UnpicklingError("an array's size is not that of its content")
    flat = np.frombuffer(raw, kind.dtype) if raw else np.zeros(0, kind.dtype)
    return flat.reshape(sizes, order="F" if order == "F" else "C")


def _reconstruct(cls: Any, shape: Any, typecode: Any) -> _Array:
    if cls is not _NDARRAY or tuple(shape) != (0,):  # any other shape is an attempt to exhaust memory
        raise pickle.UnpicklingError("an array is not made numpy's way")
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
    raise pickle.UnpicklingError("an object is of a class that is not known")


def _refuse_arguments(*args: Any) -> Any:
    raise pickle.UnpicklingError("it calls what is only a name")


def _no_bytes() -> bytes:
    return b""  # how Python 3 writes empty bytes in old protocols; with arguments it could ask for any amount


_NDARRAY, _OBJECT = _AllowedCall(_refuse_arguments), _AllowedCall(_refuse_arguments)
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
    **{(m, "set"): _AllowedCall(set) for m in _BUILTINS},  # every chumpy object keeps one
}


# Python's own unpickler, not C's: that one sets aside as much memory as an opcode claims to need
_Unpickler: Any = pickle._Unpickler  # type: ignore[attr-defined]


class _Reader(_Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] == "chumpy" and "." not in name:
            return _Chumpy
        if module.startswith("scipy.sparse") and name in ("csc_matrix", "csc_array"):
            return _Sparse
        if module.startswith("scipy.sparse") and name in ("csr_matrix", "csr_array"):
            return _SparseRows
        if module.startswith("scipy.sparse") and name in ("coo_matrix", "coo_array"):
            return _SparseEntries
        try:
            return _ALLOWED_GLOBALS[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}") from None

    def load_bytearray8(self) -> None:
        # the inherited one sets aside the claimed length before it reads
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
    """-> what turns stand-ins into what they stand for, everything once (a list may hold another many times)."""
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
        raise pickle.UnpicklingError(f"it holds a {type(value).__name__.strip('_').lower()}")

    return plain


def read_pickle(path: Path) -> dict[str, Any]:
    """A pickle that holds a dict -> that dict: (read-only) arrays, scipy sparse matrices, numbers, texts, and lists,
    tuples, sets and dicts of those.  A chumpy expression that is neither a constant nor a selection stays inert.

    Raises BadInput `refused_pickle` for a file that asks for anything else, `not_a_body` for one that is damaged or
    holds no dict.  Nothing in the file is executed.
    """
    if path.stat().st_size > MAX_BYTES:
        raise BadInput("not_a_body", f"{path.name} is larger than {MAX_BYTES >> 20} MiB.", _REFUSED)
    content = unpickle(path.read_bytes(), path.name)
    if not isinstance(content, dict):
        raise BadInput("not_a_body", f"{path.name} holds no table of arrays.", _REFUSED)
    return {str(key): value for key, value in content.items()}


def unpickle(data: bytes, name: str, code: str = "not_a_body", objects: bool = False) -> Any:
    """Content of a pickle as `read_pickle` gives it; with `objects`, a row of objects is allowed and becomes a list.

    Raises BadInput `refused_pickle`, or `code` for a damaged one.  name: of the file, for the messages.
    """
    reader = _ObjectReader if objects else _Reader
    try:
        # from memory: a claimed length then costs no more than what is there
        return _converter()(reader(io.BytesIO(data), encoding="latin1").load())
    except pickle.UnpicklingError as error:
        raise BadInput(
            "refused_pickle",
            f"{name} was refused: such a file holds arrays only, but {error}.",
            _REFUSED,
        ) from None
    except Exception as error:  # a damaged pickle fails in any way
        raise BadInput(
            code, f"{name} is damaged or not of the expected kind ({type(error).__name__}).", _REFUSED
        ) from None
