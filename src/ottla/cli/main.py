"""The `ottla` command: its subcommands by name, its exit codes, and errors as one line.

Subcommands are imported only when they are called, and a client of Kafka only when it is needed, so that
neither `ottla serve` nor `ottla --help` waits for it.
"""

import gc
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

import click

from ottla import __version__
from ottla.cli.loading import loading
from ottla.cli.output import printable
from ottla.cli.signals import TerminatedError

EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143

STDOUT = 1
STREAMS = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))  # by their descriptors

# Name: (where the click command is, what `ottla --help` says of it).
COMMANDS = {
    "serve": ("ottla.cli.serve:serve", "Run a broker."),
    "topic": ("ottla.cli.topics:topic", "Create, list, describe, alter and delete topics."),
    "produce": (
        "ottla.cli.produce.command:produce",
        "Send records from a file or standard input to a topic.",
    ),
    "consume": ("ottla.cli.consume.command:consume", "Print records of topics."),
    "group": ("ottla.cli.groups:group", "List, describe, rewind and delete consumer groups."),
    "config": ("ottla.cli.configs:config", "Describe and change configs of topics, brokers and groups."),
    "transaction": (
        "ottla.cli.transactions:transaction",
        "List, describe and abort transactions, and find those that hang.",
    ),
    "user": ("ottla.cli.users:user", "Add, list and remove users and their passwords (SCRAM)."),
    "acl": ("ottla.cli.acls:acl", "Add, list and remove access control lists: who may do what."),
    "token": ("ottla.cli.tokens:token", "Create, list, renew and expire delegation tokens."),
    "role": ("ottla.cli.roles:role", "Make roles, say what they may do and who has them."),
    "quota": ("ottla.cli.quotas:quota", "Set, list and remove quotas of users, clients and addresses."),
    "cluster": ("ottla.cli.cluster:cluster", "Describe and change a cluster, or run one on this host."),
    "feature": ("ottla.cli.features:feature", "Describe, upgrade and downgrade features of the cluster."),
    "registry": ("ottla.cli.registry:registry", "Run a schema registry."),
    "bridge": ("ottla.cli.bridge:bridge", "Run an HTTP bridge: Kafka over HTTP."),
    "schema": ("ottla.cli.schema:schema", "List, get, register, check, compare and delete schemas."),
    "connect": (
        "ottla.cli.connect:connect",
        "Run workers of Connect, and make, watch and change what they run.",
    ),
    "streams": (
        "ottla.cli.streams.command:streams",
        "Run streams applications, describe and reset them, and see how far they are.",
    ),
    "log": ("ottla.cli.logs:log", "Look into the files of a data folder."),
}


class ReaderGoneError(Exception):
    """Whoever read our output has seen enough. Not an OSError, for click ends those with code 1."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name][0].split(":")
        with loading():
            command: click.Command = getattr(import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click, which knows no names of commands that are not imported: the nearest one is told."""
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0], COMMANDS, 1)
            ctx.fail(f"No such command '{args[0]}'." + (f" Did you mean '{near[0]}'?" if near else ""))
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise ReaderGoneError from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_text) for name, (_, help_text) in COMMANDS.items()])


def _show_version(ctx: click.Context, _option: click.Parameter, is_asked: bool) -> None:
    if is_asked and not ctx.resilient_parsing:
        from ottla.client.columns.implementation import IMPLEMENTATION
        from ottla.compiled import is_compiled

        requests = "compiled" if is_compiled() else "plain"
        click.echo(f"ottla {__version__} (requests {requests}, columns {IMPLEMENTATION.NAME})")
        ctx.exit()


@click.command(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 99}
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_show_version,
    help="Show the version and exit.",
)
def cli() -> None:
    """An event streaming platform that speaks the Kafka protocol.

    `ottla serve` runs a broker. The other commands work against any Kafka cluster.
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and leave the process: 0 done, 1 failed, 2 called wrongly, 130 interrupted, 143
    terminated.
    """
    prepare_streams()
    code = run(arguments)
    gc.freeze()  # nothing to look through on the way out
    sys.exit(code)


def run(arguments: Sequence[str] | None = None) -> int:
    """The exit code of the command called with `arguments` (the process' own by default)."""
    try:
        answer: Any = cli.main(args=arguments, prog_name="ottla", standalone_mode=False)
    except click.UsageError as error:
        error.show()
        return EXIT_USAGE
    except click.ClickException as error:
        _complain(error.format_message())
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    except TerminatedError:
        return EXIT_TERMINATED
    except ReaderGoneError:
        _drop_output()
        return 0
    except OSError as error:  # of a file or stream that was given to the command
        _drop_output()
        name = "" if error.filename is None else f"{error.filename}: "
        _complain(f"{name}{error.strerror or error}")
        return EXIT_FAILURE
    except Exception as error:
        message = _kafka_message(error)
        if message is None:
            raise
        _complain(message)
        return EXIT_FAILURE
    return answer if isinstance(answer, int) else 0


def prepare_streams() -> None:
    """Let text be written whatever the locale is, and put the null device where the process was started
    without a standard stream: Python has none there then, and the first socket would get its number.
    """
    for descriptor, (name, mode) in enumerate(STREAMS):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            if null != descriptor:
                os.dup2(null, descriptor)
                os.close(null)
            setattr(sys, name, os.fdopen(descriptor, mode, encoding="utf-8"))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr does by itself


def _drop_output() -> None:
    """Leave what could not be written: Python would complain again when it flushes on its way out."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), STDOUT)


def _complain(message: str) -> None:
    click.echo(f"ottla: {printable(message)}", err=True)


def _kafka_message(error: Exception) -> str | None:
    """What an error of our client says; None for others. One that was not imported raised nothing."""
    ours = sys.modules.get("ottla.client.errors")
    if ours is None or not isinstance(error, ours.ClientError):
        return None
    from ottla.cli.connection import in_words

    return in_words(error)
