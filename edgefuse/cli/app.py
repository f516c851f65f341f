"""The commands, and what happens to errors."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from typing import Annotated

import typer

from edgefuse import __version__
from edgefuse.cli._console import log
from edgefuse.cli._sizes import SizesCommand
from edgefuse.cli._values import ValuesGroup
from edgefuse.cli.bench import bench_app
from edgefuse.cli.calibrate import calibrate_command
from edgefuse.cli.data import data_app
from edgefuse.cli.demo import demo_command
from edgefuse.cli.doctor import doctor_command
from edgefuse.cli.eval import eval_app
from edgefuse.cli.export import export_command
from edgefuse.cli.fuse import fuse_command
from edgefuse.cli.inspect import inspect_command
from edgefuse.cli.models import models_app
from edgefuse.cli.stream import replay_command, stream_command
from edgefuse.cli.train import train_command
from edgefuse.errors import EdgeFuseError

__all__ = ["app", "main"]

app = typer.Typer(
    name="edgefuse",
    cls=ValuesGroup,
    help="Infrared-visible image fusion: fuse, train, export to TensorRT, measure.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"edgefuse {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback for errors.")] = False,
) -> None:
    if debug:
        os.environ["EDGEFUSE_DEBUG"] = "1"


app.command("fuse")(fuse_command)
app.command("stream")(stream_command)
app.command("replay")(replay_command)
app.command("calibrate")(calibrate_command)
app.command("export", cls=SizesCommand)(export_command)
app.command("inspect")(inspect_command)
app.command("train")(train_command)
app.add_typer(data_app)
app.add_typer(eval_app, name="eval")
app.add_typer(bench_app, name="bench")
app.command("demo")(demo_command)
app.add_typer(models_app)
app.command("doctor")(doctor_command)


def main() -> None:
    """Run the command line; deliberate errors become one line and their exit code."""
    _speak_any_locale()
    try:
        app()
    except EdgeFuseError as error:
        if os.environ.get("EDGEFUSE_DEBUG") == "1":
            raise
        log(f"error: {error}", style="red")
        sys.exit(error.exit_code)
    except OSError as error:  # a full disk behind stdout, a folder that went away meanwhile
        if os.environ.get("EDGEFUSE_DEBUG") == "1":
            raise
        _silence_stdout()
        where = f"{error.filename}: " if error.filename else ""
        log(f"error: {where}{error.strerror or error}", style="red")
        sys.exit(1)
    except KeyboardInterrupt:
        log("interrupted")
        sys.exit(130)


def _speak_any_locale() -> None:
    """What the terminal's encoding lacks becomes a question mark; without this a result would end in a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _silence_stdout() -> None:
    """What is still buffered goes nowhere: flushed at the end of the process, it would raise the same error again."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
