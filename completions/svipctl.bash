# bash completion for svipctl
_svipctl() {
    local answer value word=${COMP_WORDS[COMP_CWORD]-}
    COMPREPLY=()
    mapfile -t answer < <(_SVIPCTL_COMPLETE=bash _SVIPCTL_LINE="${COMP_LINE:0:COMP_POINT}" \
        COMP_WORDBREAKS="$COMP_WORDBREAKS" "$1" 2>/dev/null)
    if [[ ${answer[0]-} == files ]]; then
        compopt -o default
        return
    fi
    for value in "${answer[@]:1}"; do
        if [[ $value == *=* || $word == [\'\"]* ]]; then
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
