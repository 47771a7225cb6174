# SPDX-License-Identifier: GPL-2.0-or-later
# Completion of shmtree(8) for bash.

# _shmtree_offer PREFIX WORD...: those that go on from $cur, each with the prefix, which the line has already.
_shmtree_offer()
{
	local prefix=$1 word
	shift

	for word; do
		[[ $word != "$cur"* ]] || COMPREPLY+=("$prefix$word")
	done
	# What takes a value is not ended by a space.
	[[ ${COMPREPLY[0]} != *= ]] || compopt -o nospace
}

# _shmtree_list WORD...: as the last of a list with commas.
_shmtree_list()
{
	local prefix=

	[[ $cur != *,* ]] || prefix=${cur%,*},
	cur=${cur##*,}
	compopt -o nospace
	_shmtree_offer "$prefix" "$@"
}

_shmtree_directories()
{
	compopt -o filenames
	mapfile -t COMPREPLY < <(compgen -d -- "$cur")
}

# _shmtree_value OPTION: what may follow the = of it.
_shmtree_value()
{
	local columns=(KIND ID NAME PERMS UID GID SIZE ALLOCATED RESIDENT MAPPINGS PROCESSES OPENERS STATE MTIME
		SWAPPED REFERENCES HIDDEN SINCE USER GROUP AGE)

	case $1 in
	--columns) _shmtree_list "${columns[@]}" ;;
	--sort) _shmtree_offer '' "${columns[@]}" "${columns[@]/#/-}" ;;
	--where) _shmtree_list "${columns[@]}" ;;
	--fail-over) _shmtree_offer '' 80% 90% 95% ;;
	census) _shmtree_list auto bpf query text ;;
	object_census | passthrough) _shmtree_list auto off ;;
	permissions) _shmtree_list kernel daemon ;;
	proc) _shmtree_directories ;;
	esac
}

_shmtree()
{
	local options=(--list --json --human --columns= --sort= --where= --fail-over= --help -h --version -V -d -f -s -o)
	local mount_options=(census= object_census= passthrough= proc= census_interval= attr_timeout= entry_timeout=
		permissions= log metrics_segments= debug clone_fd max_idle_threads= max_threads=
		allow_other allow_root auto_unmount)
	local cur=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}

	COMPREPLY=()
	# bash takes = for a word of its own, if COMP_WORDBREAKS has it, which is the default.
	if [ "$cur" = = ] && [ "$COMP_CWORD" -gt 1 ]; then
		cur=
		_shmtree_value "${previous##*,}"
	elif [ "$previous" = = ] && [ "$COMP_CWORD" -gt 2 ]; then
		previous=${COMP_WORDS[COMP_CWORD - 2]}
		# What follows the value of a mount option, after a comma, is another option.
		if [[ $previous != --* && $cur == *,* ]]; then
			_shmtree_list "${mount_options[@]}"
		else
			_shmtree_value "${previous##*,}"
		fi
	elif [ "$previous" = -o ]; then
		_shmtree_list "${mount_options[@]}"
	elif [[ $cur == -* ]]; then
		_shmtree_offer '' "${options[@]}"
	else
		_shmtree_directories
	fi
}

complete -F _shmtree shmtree
