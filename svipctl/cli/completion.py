"""Implement `svipctl completion`."""

from __future__ import annotations

from typing import Literal

from svipctl.cli._command import argument, command, sink
from svipctl.cli._main import COMPLETE


@command(layers=False)
def completion(shell: Literal["bash", "zsh", "fish", "powershell"] = argument("Shell.")) -> None:
    """Print the completion script of a shell.

    The script completes commands, options and values.

    Save it where the shell finds it: for bash as ~/.local/share/bash-completion/completions/svipctl, for zsh as
    _svipctl in a folder of $fpath, for fish as ~/.config/fish/completions/svipctl.fish, for PowerShell in $PROFILE.

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
