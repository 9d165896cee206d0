"""The scripts that make a shell ask svipctl; `completions/` holds what they print."""

from __future__ import annotations

FILES = {"bash": "svipctl.bash", "zsh": "_svipctl", "fish": "svipctl.fish", "powershell": "svipctl.ps1"}

_BASH = """\
# bash completion for svipctl
_svipctl() {
    local answer value word=${COMP_WORDS[COMP_CWORD]-}
    COMPREPLY=()
    mapfile -t answer < <(_SVIPCTL_COMPLETE=bash _SVIPCTL_LINE="${COMP_LINE:0:COMP_POINT}" \\
        COMP_WORDBREAKS="$COMP_WORDBREAKS" "$1" 2>/dev/null)
    if [[ ${answer[0]-} == files ]]; then
        compopt -o default
        return
    fi
    for value in "${answer[@]:1}"; do
        if [[ $value == *=* || $word == [\\'\\"]* ]]; then
            COMPREPLY+=("$value")
        elif [[ $value == '~'* ]]; then  # quoted, it would no longer be the home folder
            COMPREPLY+=("~$(printf %q "${value:1}")")
        else
            COMPREPLY+=("$(printf %q "$value")")
        fi
    done
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[=/] ]]; then
        compopt -o nospace
    fi
}
complete -F _svipctl svipctl
"""

_ZSH = """\
#compdef svipctl
# zsh completion for svipctl
_svipctl() {
    local -a answer closed closed_shown open_ended
    local line value
    answer=("${(@f)$(_SVIPCTL_COMPLETE=zsh _SVIPCTL_LINE="${(j: :)words[1,CURRENT]}" ${~words[1]} 2>/dev/null)}")
    if [[ $answer[1] == files ]]; then
        compset -P '--*='
        _files
        return
    fi
    for line in "${(@)answer[2,-1]}"; do
        value=${line%%$'\\t'*}
        if [[ $value == *[=/] ]]; then
            open_ended+=("$value")
        else
            closed+=("$value")
            if [[ $line == *$'\\t'* ]]; then
                closed_shown+=("$value  -- ${line#*$'\\t'}")
            else
                closed_shown+=("$value")
            fi
        fi
    done
    if [[ $PREFIX == '~'* ]]; then  # quoted, it would no longer be the home folder
        closed=('~'${(q)^closed#'~'})
        open_ended=('~'${(q)^open_ended#'~'})
        compadd -Q -a closed
        compadd -Q -S '' -a open_ended
        return
    fi
    compadd -l -d closed_shown -a closed
    compadd -S '' -a open_ended
}
if [[ $funcstack[1] == _svipctl ]]; then
    _svipctl "$@"
else
    compdef _svipctl svipctl
fi
"""

_FISH = """\
# fish completion for svipctl
function __svipctl_answer
    set -l program (commandline -opc)[1]
    set -l line (commandline -cp | string collect)
    set -l answer (env _SVIPCTL_COMPLETE=fish _SVIPCTL_LINE="$line" $program 2>/dev/null)
    if test "$answer[1]" = files
        set -l word (commandline -ct)
        set -l flag (string match --regex -- '^--[^=]*=' $word)
        for path in (complete -C "'' "(string replace --regex -- '^--[^=]*=' '' $word | string collect))
            printf '%s\\n' "$flag"$path
        end
    else
        printf '%s\\n' $answer[2..-1]
    end
end
complete --command svipctl --no-files --keep-order --arguments '(__svipctl_answer)'
"""

_POWERSHELL = """\
# PowerShell completion for svipctl
Register-ArgumentCompleter -Native -CommandName svipctl -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $text = $commandAst.ToString()
    $length = $cursorPosition - $commandAst.Extent.StartOffset
    $line = if ($length -gt $text.Length) { "$text " } else { $text.Substring(0, $length) }
    $env:_SVIPCTL_COMPLETE = 'powershell'
    $env:_SVIPCTL_LINE = $line
    try { $answer = @(& $commandAst.CommandElements[0].Value 2>$null) }
    finally { Remove-Item Env:_SVIPCTL_COMPLETE, Env:_SVIPCTL_LINE }
    if ($answer[0] -eq 'files') { return }
    $answer | Select-Object -Skip 1 | ForEach-Object {
        $value, $meaning = $_ -split "`t", 2
        if (-not $meaning) { $meaning = $value }
        [System.Management.Automation.CompletionResult]::new($value, $value, 'ParameterValue', $meaning)
    }
}
"""

SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH, "powershell": _POWERSHELL}
