"""The doctor reports problems, each with a hint."""

import json

from backend.cli import doctor, main
from backend.paths import HOME_VARIABLE


def test_a_complete_installation_has_no_problem(capsys):
    assert main(["doctor", "--json"]) == 0
    findings = json.loads(capsys.readouterr().out)
    assert {"python", "torch", "device", "people", "body", "loopback", "blender"} <= {f["name"] for f in findings}
    assert not [f for f in findings if f["state"] == "problem"]


def test_problems_are_counted_and_come_with_a_hint(tmp_path, capsys, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv(HOME_VARIABLE, str(blocked))
    monkeypatch.setitem(doctor.PACKAGES, "no-such-package", "no_such_module")
    assert main(["doctor"]) == 1
    output = capsys.readouterr().out
    assert "PROBLEM  no-such-package" in output and "pip install no-such-package" in output
    assert HOME_VARIABLE in output
