# fish completion for svipctl
function __svipctl_answer
    set -l program (commandline -opc)[1]
    set -l line (commandline -cp | string collect)
    set -l answer (env _SVIPCTL_COMPLETE=fish _SVIPCTL_LINE="$line" $program 2>/dev/null)
    if test "$answer[1]" = files
        set -l word (commandline -ct)
        set -l flag (string match --regex -- '^--[^=]*=' $word)
        for path in (complete -C "'' "(string replace --regex -- '^--[^=]*=' '' $word | string collect))
            printf '%s\n' "$flag"$path
        end
    else
        printf '%s\n' $answer[2..-1]
    end
end
complete --command svipctl --no-files --keep-order --arguments '(__svipctl_answer)'
