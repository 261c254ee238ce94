"""How a command ends: with its own exit code, an error message, or an interruption."""

import argparse

import pytest

from backend.cli.command_line import add_command, run_command
from backend.errors import BadInput


def parsed(run):
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(required=True)
    add_command(commands, "go", "Go there.", lambda sub: sub.add_argument("--far", type=int), run)
    return parser.parse_args(["go", "--far", "3"])


def raising(error):
    def run(args):
        raise error

    return run


@pytest.mark.parametrize(
    ("run", "code", "output"),
    [
        (lambda args: args.far, 3, ""),
        (raising(BadInput("no", "It is gone.", "Look again.")), 2, "me: It is gone.\n  Look again.\n"),
        (raising(BadInput("no", "It is gone.")), 2, "me: It is gone.\n"),
        (raising(KeyboardInterrupt()), 130, "me: interrupted; nothing is lost.\n"),
    ],
)
def test_exit_code_and_message(capsys, run, code, output):
    assert run_command(parsed(run), "me", "nothing is lost") == code
    assert capsys.readouterr().err == output


def test_a_bug_is_raised():
    with pytest.raises(ZeroDivisionError):
        run_command(parsed(raising(ZeroDivisionError())), "me", "nothing is lost")
