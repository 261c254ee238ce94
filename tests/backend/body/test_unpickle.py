"""The restricted unpickler: programs, crafted arrays and memory bombs are refused."""

import os
import pickle
import tracemalloc

import numpy as np
import pytest

from backend.body.unpickle import read_pickle
from backend.errors import BadInput


def refused(path, content):
    """The code of the error with which a pickle of these bytes is refused."""
    path.write_bytes(content)
    with pytest.raises(BadInput) as caught:
        read_pickle(path)
    return caught.value.code


class _Runs:
    def __init__(self, what, *arguments):
        self.what, self.arguments = what, arguments

    def __reduce__(self):
        return self.what, self.arguments


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize(
    "evil",
    [
        _Runs(os.system, "touch {}"),
        _Runs(eval, "open('{}', 'w')"),
        _Runs(getattr, "a", "upper"),
        _Runs(__import__, "os"),
    ],
)
def test_pickles_that_run_something_are_refused(tmp_path, evil, protocol):
    mark = tmp_path / "executed"
    evil = _Runs(evil.what, *(a.format(mark) for a in evil.arguments))
    assert refused(tmp_path / "evil.pkl", pickle.dumps({"v_template": evil}, protocol=protocol)) == "refused_pickle"
    assert not mark.exists()


class _Crafted:
    """Pickles as if it were an array of a type that has the given code and state."""

    def __init__(self, code, state, content=b"\x41" * 64):
        self.code, self.state, self.content = code, state, content

    def __reduce__(self):
        reconstruct = np.zeros(1).__reduce__()[0]
        return (
            reconstruct,
            (np.ndarray, (0,), b"b"),
            (1, (8,), _CraftedType(self.code, self.state), False, self.content),
        )


class _CraftedType:
    def __init__(self, code, state):
        self.code, self.state = code, state

    def __reduce__(self):
        return np.dtype, (self.code, False, True), self.state


@pytest.mark.parametrize(
    "array",
    [
        np.array([{}, None], dtype=object),
        # numpy accepts each of these; the first ones read the file's bytes as pointers to objects
        _Crafted("V8", (3, "|", None, ("a",), {"a": (np.dtype("O"), 0)}, 8, 1, 0)),
        _Crafted("f8", (3, "<", None, ("a",), {"a": (np.dtype("f8"), 999999)}, 8, 1, 0)),
        _Crafted("f8", (3, "<", (np.dtype("f8"), (9,)), None, None, 8, 1, 0)),
        _Crafted("f8", (3, "<", None, None, None, -1, -1, 0), b"too short"),
    ],
)
def test_arrays_of_anything_but_numbers_are_refused(tmp_path, array):
    assert refused(tmp_path / "array.pkl", pickle.dumps({"v_template": array}, protocol=2)) == "refused_pickle"


_RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n"


@pytest.mark.parametrize(
    "program",
    [
        b"\x80\x04\x8c\x05numpy\x8c\x12core._internal.ast\x93.",  # a dotted name
        b"\x80\x04\x8c\tchumpy.ch\x8c\tos.system\x93\x8c\x04true\x85R.",
        b"\x80\x02cchumpy.ch\nCh\nX\x04\x00\x00\x00true\x85R.",  # arguments for a stand-in
        b"\x80\x02" + _RECONSTRUCT + b"cnumpy\nndarray\nJ\x00\x00\x00\x7f\x85U\x01d\x87R.",  # an array of 2 G numbers
        b"\x80\x02cnumpy\nndarray\nJ\x00\x00\x00\x7f\x85R.",
        b"\x80\x02c_codecs\nencode\nN}X\x0c\x00\x00\x00__defaults__X\x01\x00\x00\x00as\x86b.",  # changes the reader
        b"\x80\x02\x82\x01.",  # an extension
        b"\x80\x02K\x01Q.",  # a persistent id
    ],
)
def test_programs_are_refused(tmp_path, program):
    assert refused(tmp_path / "program.pkl", program) == "refused_pickle"


@pytest.mark.parametrize(
    "bomb",
    [
        b"\x80\x04\x8e" + (1 << 62).to_bytes(8, "little"),  # BINBYTES8 that claims 4 EiB
        b"\x80\x04\x8e" + (1 << 31).to_bytes(8, "little"),
        b"\x80\x05\x96" + (1 << 31).to_bytes(8, "little") + b".",  # BYTEARRAY8
        b"\x80\x04\x95" + (1 << 40).to_bytes(8, "little") + b"N.",  # FRAME
        b"\x80\x02]r" + (1 << 26).to_bytes(4, "little") + b".",  # LONG_BINPUT far out in the memo
        b"\x80\x02cbuiltins\nbytes\nJ\x00\x00\x00\x7f\x85R.",
    ],
)
def test_bombs_end_in_an_error_and_take_no_memory(tmp_path, bomb):
    tracemalloc.start()
    try:
        assert refused(tmp_path / "bomb.pkl", bomb) == "not_a_body"
        assert tracemalloc.get_traced_memory()[1] < 1 << 24
    finally:
        tracemalloc.stop()


def test_a_list_that_contains_another_a_billion_times_is_converted_once(tmp_path):
    laughs = ["ha"]
    for _ in range(40):
        laughs = [laughs, laughs]
    path = tmp_path / "laughs.pkl"
    path.write_bytes(pickle.dumps({"v_template": laughs}))
    assert len(read_pickle(path)["v_template"]) == 2
