"""The entry point: finds the command, and turns every failure into one line and an exit code.

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted, 141 nobody reads the output any more.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import traceback
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from nearfield.cli.output import printable
from nearfield.errors import NearfieldError

if TYPE_CHECKING:
    from collections.abc import Sequence

FAILED = 1
INTERRUPTED = 130

# Told here so that --help imports none of them.
COMMANDS = {
    "index": "Index files and folders, or bring an index up to date.",
    "watch": "Keep an index in step with files and folders, as they change.",
    "search": "Find the passages nearest to a question.",
    "ask": "Answer a question from the index, with sources.",
    "embed": "Turn texts into vectors.",
    "serve": "Serve models and an index over HTTP, as OpenAI's clients ask.",
    "view": "Look at an index on a page: search, compare, map.",
    "map": "Draw the map of an index into one file that stands alone.",
    "info": "Show what an index holds.",
    "verify": "Look for damage in an index.",
    "repair": "Mend what verify finds.",
    "copy": "Move an index to another store, vectors and all.",
    "migrate": "Re-embed an index by another model.",
    "eval": "Score an index by questions whose answers are known.",
    "cache": "Show or clear the vectors kept of remote models.",
    "models": "List what can embed.",
    "bench": "Measure speed and fidelity of the backends on this machine.",
    "export": "Make ONNX or OpenVINO files of a model, optimised or quantised.",
    "distill": "Make a word table of a model: much faster, less exact.",
    "doctor": "Show what runs here, and what is missing.",
}


class Commands(click.Group):
    """A group whose commands are imported only to be run."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Give the names in the order in which they are best learnt."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"nearfield.cli.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; where there is none of the name, tell the nearest."""
        if args[0] not in COMMANDS and not ctx.resilient_parsing:
            from difflib import get_close_matches  # noqa: PLC0415 - help must not pay for it

            for near in get_close_matches(args[0], COMMANDS, 1):
                ctx.fail(f"No such command {args[0]!r}. Did you mean {near!r}?")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a reader that goes away is no failure of ours, nor of click's."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            return _quietly()

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show the traceback of a failure.")
@click.version_option(package_name="nearfield", message="%(package)s %(version)s")
@click.pass_context
def group(ctx: click.Context, *, debug: bool) -> None:
    """Text embeddings and semantic search, on this machine unless you say otherwise."""
    ctx.obj = {"debug": debug}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave the process with its exit code.

    Args:
        arguments: The words after the program's name; those of this process by default.
    """
    _open_closed_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that knows no é shows a ? for it
    words = list(sys.argv[1:] if arguments is None else arguments)
    sys.exit(run(words))


def _open_closed_streams() -> None:
    """Open on nothing what a shell or a service closed, before another file takes its number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115


def run(words: list[str]) -> int:
    """Run the command line.

    Args:
        words: The words after the program's name.

    Returns:
        The exit code.
    """
    # --debug is taken before the command and after it; behind "--" it is a text like any other.
    end = words.index("--") if "--" in words else len(words)
    options, texts = words[:end], words[end:]
    debug = "--debug" in options
    if debug:
        words = ["--debug", *(word for word in options if word != "--debug"), *texts]
    try:
        outcome: Any = group.main(words, prog_name="nearfield", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return _interrupted()
    except Exception as error:  # noqa: BLE001 - the one place where all failures end
        return _failed(error, debug=debug)
    return outcome if isinstance(outcome, int) else 0


def _failed(error: Exception, *, debug: bool) -> int:
    if debug:
        traceback.print_exception(error)
    elif isinstance(error, (NearfieldError, OSError)):
        click.echo(f"Error: {_one_line(error)}", err=True)
    else:
        kind = type(error).__name__
        click.echo(f"Error: {kind}: {_one_line(error)} (--debug shows where)", err=True)
    return FAILED


def _one_line(error: Exception) -> str:
    # It may name a file of somebody else's naming.
    return printable(" ".join(str(error).split())) or type(error).__name__


def _interrupted() -> int:
    click.echo("Interrupted.", err=True)
    return INTERRUPTED


def _quietly() -> int:
    """End as programs do whose reader has gone: no word, and nothing flushed at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 128 + getattr(signal, "SIGPIPE", FAILED)
