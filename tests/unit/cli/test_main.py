import os
import signal
import subprocess
import sys
import time

import click
import pytest

from ottla.cli import main as command
from ottla.cli.connection import CommandError
from ottla.cli.reference import commands
from ottla.cli.signals import TerminatedError, termination_unwinds


def test_help_names_every_command(capsys):
    assert command.run(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"\n  {name} " in out for name in command.COMMANDS)


def test_every_command_has_help_in_one_line():
    for context in commands():
        assert context.command.get_short_help_str(200).endswith("."), context.command_path


def test_every_option_says_what_it_is_for():
    for context in commands():
        for parameter in context.command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, f"{context.command_path} {parameter.opts}"


def test_version(capsys):
    assert command.run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("ottla 0.")


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such-command"],
        ["topic", "create"],
        ["topic", "create", ""],
        ["topic", "alter", "t"],
        ["topic", "create", "t", "--partitions", "0"],
        ["topic", "create", "t", "--config", "x"],
        ["topic", "list", "-b", "a:b"],
        ["consume", "t", "--group", "g", "--partition", "1"],
        ["consume", "t", "--group", "g", "--from", "5"],
        ["consume", "t", "--from", "whenever"],
        ["consume", "t", "--format", "raw", "--keys"],
        ["consume", "t", "--base64"],
        ["produce", "t", "--base64"],
        ["produce", "t", "--format", "json", "--key-separator", ":"],
        ["produce", "t", "--format", "csv", "--base64"],
        ["produce", "t", "--format", "parquet", "--escape"],
        ["produce", "t", "--key-column", "k"],
        ["produce", "t", "--key-separator", ""],
        ["produce", "t", "--escape", "--delimiter", "x"],
        ["produce", "t", "-X", "no.such=1"],
        ["produce", "t", "-X", "acks=7"],
        ["consume", "t", "-X", "acks=1"],
        ["consume", "t", "--group", "g", "--to", "5"],
        ["consume", "t", "--follow", "--to", "5"],
        ["consume", "t", "--format", "csv", "--delimiter", ";"],
        ["consume", "t", "--escape", "--separator", "a"],
        ["consume", "t", "--matches", "("],
        ["consume", "t", "--command-config", "/no/such/file"],
        ["group", "reset-offsets", "g"],
        ["transaction", "abort", "t", "0"],
        ["transaction", "abort", "t", "0", "--start-offset", "1", "--producer-id", "2"],
        ["group", "reset-offsets", "g", "--to-earliest", "--shift-by", "1"],
        ["feature", "upgrade", "transaction.version"],
        ["feature", "upgrade", "transaction.version=x"],
        ["feature", "downgrade", "a=1", "a=2"],
        ["config", "set", "planet", "x", "a=b"],
        ["log", "dump", "/no/such/file"],
    ],
    ids=" ".join,
)
def test_wrong_calls_end_with_2_and_say_why(capsys, arguments):
    assert command.run(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Error: " in captured.err
    assert "Traceback" not in captured.err


def test_a_misspelt_command_is_told_the_nearest(capsys):
    assert command.run(["topics"]) == 2
    assert capsys.readouterr().err.endswith("Error: No such command 'topics'. Did you mean 'topic'?\n")


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (CommandError("it failed"), 1, "ottla: it failed\n"),
        (KeyboardInterrupt(), 130, ""),
        (click.Abort(), 130, ""),
        (TerminatedError(), 143, ""),
    ],
)
def test_exit_codes(monkeypatch, capsys, error, code, told):
    def fail(**_):
        raise error

    monkeypatch.setattr(command.cli, "main", fail)
    assert command.run([]) == code
    assert capsys.readouterr().err == told


def test_our_clients_errors_are_one_line(monkeypatch, capsys):
    from ottla.client.errors import broker_error

    def fail(**_):
        raise broker_error(3)

    monkeypatch.setattr(command.cli, "main", fail)
    assert command.run([]) == 1
    assert capsys.readouterr().err == "ottla: Unknown topic or partition\n"


@pytest.mark.parametrize("arguments", [["topic", "list"], ["produce", "t"], ["consume", "t"]], ids=" ".join)
def test_commands_load_only_what_they_need(arguments):
    program = (
        f"import sys; from ottla.cli.main import run; code = run([*{arguments}, '-b', '127.0.0.1:1']);"
        "sys.exit(code != 1 or bool({'confluent_kafka', 'pyarrow', 'rich'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=False).returncode == 0


def test_who_reads_without_a_group_loads_nothing_of_groups():
    program = (
        "import sys, ottla.cli.consume.reading, ottla.cli.consume.sources;"
        "sys.exit(bool({'ottla.client.core.groups', 'ottla.client.consumer.consumer'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=False).returncode == 0


def test_help_and_serve_do_not_load_the_kafka_client():
    program = (
        "import sys; from ottla.cli.main import run; run(['--help']); run(['serve', '--help']);"
        "sys.exit(bool({'confluent_kafka', 'rich', 'ottla.broker.assembly', 'ottla.client'}"
        " & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=False).returncode == 0


def test_a_reader_that_has_seen_enough_is_no_failure(tmp_path):
    index = tmp_path / "00000000000000000000.index"
    index.write_bytes(bytes(range(1, 251)) * 4000)
    program = f"{sys.executable} -m ottla log dump {index} | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("index  offset=")


def in_shell(redirections):
    program = f"exec {sys.executable} -m ottla --version {redirections}"
    return subprocess.run(["sh", "-c", program], capture_output=True, text=True, check=False)


def test_what_cannot_be_written_is_told_in_one_line():
    done = in_shell("> /dev/full")
    assert (done.returncode, done.stderr) == (1, "ottla: No space left on device\n")


@pytest.mark.parametrize("redirections", [">&-", "<&-", ">&- <&-", "2>&-", ">&- 2>&- <&-"])
def test_streams_may_be_closed(redirections):
    done = in_shell(redirections)
    assert (done.returncode, done.stderr) == (0, "")
    assert ">&-" in redirections.split() or done.stdout.startswith("ottla 0.")


def test_files_that_cannot_be_read_are_told_by_name(monkeypatch, capsys):
    def fail(**_):
        raise PermissionError(13, "Permission denied", "/secret")

    monkeypatch.setattr(command.cli, "main", fail)
    monkeypatch.setattr(command, "_drop_output", lambda: None)
    assert command.run([]) == 1
    assert capsys.readouterr().err == "ottla: /secret: Permission denied\n"


def test_termination_unwinds():
    before = signal.getsignal(signal.SIGTERM)
    unwound = []

    def end() -> None:
        with termination_unwinds():
            try:
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(60)
            finally:
                unwound.append(True)

    with pytest.raises(TerminatedError):
        end()
    assert unwound
    assert signal.getsignal(signal.SIGTERM) is before
