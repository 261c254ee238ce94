"""Reading body files that come as pickles, without running anything that is in them.

Official SMPL and MANO files are Python 2 pickles of a dict of numpy arrays, scipy sparse matrices and chumpy objects.
A pickle is a program; this reader knows only the few words such files need and refuses every other one.  chumpy is not
needed: its objects become inert records of their state.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse

from backend.errors import BadInput

MAX_BYTES = 1 << 30
_REFUSED = "Get the file from its publisher again; do not load it elsewhere with plain pickle."


class _Chumpy:
    """Stands in for every chumpy class.  It holds a state and takes no constructor arguments."""

    def __new__(cls, *args: Any, **kwargs: Any) -> _Chumpy:
        if args or kwargs:
            raise pickle.UnpicklingError("a chumpy object with arguments")
        return object.__new__(cls)

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, tuple) and len(state) == 2 and state[0] is None:
            state = state[1]
        if not isinstance(state, dict):
            raise pickle.UnpicklingError("a chumpy object with a strange state")
        self.__dict__["state"] = state

    def value(self) -> Any:
        state = self.__dict__.get("state", {})
        if isinstance(state.get("x"), np.ndarray):
            return state["x"]
        if "a" in state and "idxs" in state:  # chumpy.reordering.Select: shapedirs[:, :, :10] and the like
            picked = np.asarray(plain(state["a"])).ravel()[np.asarray(state["idxs"]).ravel()]
            shape = state.get("preferred_shape")
            return picked if shape is None else picked.reshape(shape)
        raise pickle.UnpicklingError(f"a chumpy object of the kind {sorted(map(str, state))}")


class _Sparse:
    """Stands in for scipy's compressed sparse matrices, whatever module path their version used."""

    layout = scipy.sparse.csc_matrix

    def __new__(cls, *args: Any, **kwargs: Any) -> _Sparse:
        if args or kwargs:
            raise pickle.UnpicklingError("a sparse matrix with arguments")
        return object.__new__(cls)

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, dict):
            raise pickle.UnpicklingError("a sparse matrix with a strange state")
        self.__dict__["state"] = state

    def value(self) -> Any:
        state = self.__dict__["state"]
        shape = tuple(int(n) for n in state.get("_shape", state.get("shape")))
        parts = tuple(np.asarray(state[name]) for name in ("data", "indices", "indptr"))
        matrix = type(self).layout(parts, shape=shape)
        matrix.check_format(full_check=True)  # indices from a stranger could point outside
        return matrix


class _SparseRows(_Sparse):
    layout = scipy.sparse.csr_matrix


def _reconstruct(cls: Any, shape: Any, typecode: Any) -> np.ndarray:
    # numpy writes an empty array first and fills it afterwards; any other shape is an attempt to exhaust memory
    if cls is not np.ndarray or tuple(shape) != (0,):
        raise pickle.UnpicklingError("an array that is not made numpy's way")
    return np.ndarray((0,), np.uint8)


def _scalar(dtype: Any, data: Any = b"") -> Any:
    if not isinstance(dtype, np.dtype) or dtype.hasobject:
        raise pickle.UnpicklingError("a scalar of a strange type")
    raw = data.encode("latin1") if isinstance(data, str) else bytes(data)
    return np.frombuffer(raw, dtype, count=1)[0]


def _encode(text: Any, codec: Any = "latin1") -> bytes:
    if codec not in ("latin1", "latin-1") or not isinstance(text, str):
        raise pickle.UnpicklingError("an encoding other than latin1")
    return text.encode("latin1")


def _reconstructor(cls: Any, base: Any, state: Any) -> Any:
    if cls in (_Chumpy, _Sparse, _SparseRows) and base is object and state is None:
        return cls()
    raise pickle.UnpicklingError("an object of a class that is not known")


_KNOWN: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): OrderedDict,
    **{(m, "_reconstruct"): _reconstruct for m in ("numpy.core.multiarray", "numpy._core.multiarray")},
    **{(m, "scalar"): _scalar for m in ("numpy.core.multiarray", "numpy._core.multiarray")},
    **{(m, "_reconstructor"): _reconstructor for m in ("copy_reg", "copyreg")},
    **{(m, "object"): object for m in ("__builtin__", "builtins")},
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] == "chumpy" and "." not in name:
            return _Chumpy
        if module.startswith("scipy.sparse") and name in ("csc_matrix", "csc_array"):
            return _Sparse
        if module.startswith("scipy.sparse") and name in ("csr_matrix", "csr_array"):
            return _SparseRows
        try:
            return _KNOWN[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}") from None

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("it refers to something outside itself")


def plain(value: Any) -> Any:
    """chumpy and sparse stand-ins -> the array or matrix they hold; anything else as it is."""
    if isinstance(value, _Chumpy):
        return plain(value.value())
    return value.value() if isinstance(value, _Sparse) else value


def read_pickle(path: Path) -> dict[str, Any]:
    """A pickle that holds a dict -> that dict, with numpy arrays, scipy sparse matrices, numbers and texts only.

    Raises BadInput `refused_pickle` for a file that asks for anything else, `not_a_body` for one that is damaged or
    holds no dict.  Nothing in the file is executed.
    """
    if path.stat().st_size > MAX_BYTES:
        raise BadInput("not_a_body", f"{path.name} is larger than {MAX_BYTES >> 20} MiB.", _REFUSED)
    try:
        with path.open("rb") as file:
            content = _Reader(file, encoding="latin1").load()
        if not isinstance(content, dict):
            raise BadInput("not_a_body", f"{path.name} holds no table of arrays.", _REFUSED)
        return {str(key): _checked(plain(value)) for key, value in content.items()}
    except pickle.UnpicklingError as error:
        reason = str(error)
        raise BadInput(
            "refused_pickle",
            f"{path.name} was refused: a body file holds arrays only, but {reason}.",
            _REFUSED,
        ) from None
    except BadInput:
        raise
    except Exception as error:  # a damaged pickle fails in any way; a length bomb as MemoryError
        raise BadInput(
            "not_a_body", f"{path.name} is damaged or no body file ({type(error).__name__}).", _REFUSED
        ) from None


def _checked(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.dtype.hasobject:
        raise pickle.UnpicklingError("an array holds objects")
    kinds = (
        np.ndarray,
        np.generic,
        scipy.sparse.spmatrix,
        str,
        bytes,
        int,
        float,
        list,
        tuple,
        dict,
        type(None),
    )
    if not isinstance(value, kinds):
        raise pickle.UnpicklingError(f"it holds a {type(value).__name__}")
    return value
