"""Implement `svipctl completion`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from svipctl.cli._command import command
from svipctl.cli._main import COMPLETE
from svipctl.cli._output import sink


@command(layers=False)
def completion(
    shell: Annotated[Literal["bash", "zsh", "fish", "powershell"], typer.Argument(help="Shell.")],
) -> None:
    """Print the completion script of a shell.

    The script completes commands, options and values.

    Save it where the shell finds it: bash ~/.local/share/bash-completion/completions/svipctl, zsh a folder of
    $fpath under the name _svipctl, fish ~/.config/fish/completions/svipctl.fish, PowerShell $PROFILE.

    Examples:
        svipctl completion bash
        svipctl completion fish --json

    """
    script = completion_script(shell)
    sink.data(script.rstrip("\n"))
    sink.document({"shell": shell, "script": script})


def completion_script(shell: str) -> str:
    """Return Typer's completion script of a shell."""
    from typer.completion import get_completion_script

    script = get_completion_script(prog_name="svipctl", complete_var=COMPLETE, shell=shell) + "\n"
    return script + _ZSH_FIRST_USE if shell == "zsh" else script


_ZSH_FIRST_USE = """
if [[ $funcstack[1] == _svipctl ]]; then  # loaded from $fpath by the first TAB, which must be answered too
  _svipctl_completion "$@"
fi
"""
