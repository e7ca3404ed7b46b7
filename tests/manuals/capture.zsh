# SPDX-License-Identifier: MIT
#
# Prints what zsh offers for a line, a word on a line: a real zsh on a terminal of its own completes it, and compadd, by
# which all of it passes, writes it down.
#
#   zsh -f capture.zsh FOLDER-OF-COMPLETIONS LINE
zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z "fpath=(${(q)1} \$fpath)"
zpty -w z "source ${(q)0:A:h}/capture-inside.zsh && print -r -- rea''dy"
local text
while zpty -r z text; do [[ $text == *ready* ]] && break; done
zpty -w -n z "$2"$'\t'
while zpty -r z text; do
	text=${text%$'\r\n'}
	[[ $text == *END-OF-OFFERS* ]] && break
	[[ $text == *OFFER:* ]] && print -r -- "${text##*OFFER:}"
done
zpty -d z
