"""`svipctl completion`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from svipctl.cli import options
from svipctl.cli.output import sink
from svipctl.cli.shell_scripts import SCRIPTS


def completion(
    shell: Annotated[Literal["bash", "zsh", "fish", "powershell"], typer.Argument(help="The shell to complete in.")],
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Print the script that makes a shell complete svipctl's commands, options and values.

    Where each shell looks for it: bash ~/.local/share/bash-completion/completions/svipctl, zsh a folder of $fpath under
    the name _svipctl, fish ~/.config/fish/completions/svipctl.fish, PowerShell $PROFILE.

    Examples: `svipctl completion bash`, `svipctl completion fish --json`
    """
    sink.say(SCRIPTS[shell].rstrip("\n"))
    sink.document({"shell": shell, "script": SCRIPTS[shell]})
