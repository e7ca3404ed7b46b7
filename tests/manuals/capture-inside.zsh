# SPDX-License-Identifier: MIT
# What capture.zsh's inner zsh is told first.
unsetopt zle_bracketed_paste prompt_sp prompt_cr 2>/dev/null
PROMPT=
autoload -Uz compinit
compinit -u -d "$ZSH_DUMP"
bindkey '^I' complete-word
zstyle ':completion:*' list-grouped false
zstyle ':completion:*' insert-tab false
zstyle ':completion:*' completer _complete
end_offers() { print; print -r -- END-OF-OFFERS }
comppostfuncs=(end_offers)
compadd() {
	# those that only fill arrays
	if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then
		builtin compadd "$@"
		return
	fi
	local -a hits
	builtin compadd -A hits "$@"
	local hit
	for hit in $hits; do print; print -r -- "OFFER:$hit"; done
	builtin compadd "$@"
}
