#include "cli/completion.h"

#include "core/check.h"
#include "core/text.h"

namespace plumb {
namespace {

constexpr const char* kBash = R"sh(# bash completion of plumb. Made by `plumb completion bash`.
_plumb() {
    local line=${COMP_LINE:0:COMP_POINT} word rest current before=""
    local -a words
    read -ra words <<< "$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    current=${words[-1]}
    # bash cuts words at '=': what it already shows is not repeated.
    [[ $current == *=* && $COMP_WORDBREAKS == *=* ]] && before=${current%"${current##*=}"}
    COMPREPLY=()
    while IFS=$'\t' read -r word rest; do
        case $word in
            :files) compopt -o filenames; mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "${current#*=}") ;;
            :folders) compopt -o filenames; mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -d -- "${current#*=}") ;;
            *) COMPREPLY+=("${word#"$before"}") ;;
        esac
    done < <("${words[0]}" complete -- "${words[@]:1}" 2> /dev/null)
    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace
}
complete -F _plumb plumb
)sh";

constexpr const char* kZsh = R"sh(#compdef plumb
# zsh completion of plumb. Made by `plumb completion zsh`.
_plumb() {
    local line word tab=$'\t'
    local -a lines plain keys
    lines=("${(@f)$("$words[1]" complete -- "${(@)words[2,CURRENT]}" 2> /dev/null)}")
    for line in $lines; do
        word="${line%%$tab*}"
        case "$word" in
            (:files) compset -P '*='; _files ;;
            (:folders) compset -P '*='; _files -/ ;;
            (*=) keys+=("$word") ;;
            (*) plain+=("$word") ;;
        esac
    done
    (( $#keys )) && compadd -S '' -a keys
    (( $#plain )) && compadd -a plain
}
if [[ "$funcstack[1]" == _plumb ]]; then _plumb "$@"; else compdef _plumb plumb; fi
)sh";

constexpr const char* kFish = R"sh(# fish completion of plumb. Made by `plumb completion fish`.
function __plumb_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l current $words[-1]
    for line in ($words[1] complete -- $words[2..-1] 2> /dev/null)
        switch $line
            case ':files*'
                __fish_complete_path $current
            case ':folders*'
                set -l key (string match -r '^[^=]*=' -- $current)
                for folder in (__fish_complete_directories (string replace -r '^[^=]*=' '' -- $current))
                    echo $key$folder
                end
            case '*'
                echo $line
        end
    end
end
complete -c plumb -f -a '(__plumb_complete)'
)sh";

}  // namespace

std::string completion_script(const std::string& shell) {
    if (shell == "bash") return kBash;
    if (shell == "zsh") return kZsh;
    if (shell == "fish") return kFish;
    throw UsageError(fmt::format("no completion for '{}'{} (there are bash, zsh and fish)", shell,
                                 did_you_mean(shell, {"bash", "zsh", "fish"})));
}

}  // namespace plumb
