# bash completion for svipctl
_svipctl() {
    local IFS=$'\n' answer kind
    COMPREPLY=()
    answer=($(_SVIPCTL_COMPLETE=bash _SVIPCTL_LINE="${COMP_LINE:0:COMP_POINT}" COMP_WORDBREAKS="$COMP_WORDBREAKS" \
        "$1" 2>/dev/null))
    kind=${answer[0]-}
    if [[ $kind == files ]]; then
        compopt -o default
        return
    fi
    local value
    for value in "${answer[@]:1}"; do
        if [[ $value == *=* ]]; then COMPREPLY+=("$value"); else COMPREPLY+=("$(printf %q "$value")"); fi
    done
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[=/] ]]; then
        compopt -o nospace
    fi
}
complete -F _svipctl svipctl
