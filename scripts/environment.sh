# Sourced by the scripts: finds a Python and makes virtual environments with this project in them.

say() { printf '%s\n' "$*" >&2; }

# Whether uv really runs; a shim of pyenv's may not.
has_uv() { uv --version >/dev/null 2>&1; }

# Prints the version of a Python that counts: it really runs (pyenv's shims may not), is new enough and no preview, and
# can make an environment.
python_version() {
    "$1" -c 'import sys, venv, ensurepip
version = sys.version_info
print("%d.%d.%d" % version[:3])
sys.exit(version < (3, 12) or version.releaselevel != "final")' 2>/dev/null
}

# Prints the path of every Python that may be there: on PATH, in pyenv, in uv.
candidates() {
    for name in python3 python3.16 python3.15 python3.14 python3.13 python3.12 python; do
        command -v "$name" 2>/dev/null || :
    done
    for candidate in "${PYENV_ROOT:-$HOME/.pyenv}"/versions/*/bin/python3 \
        "${UV_PYTHON_INSTALL_DIR:-${XDG_DATA_HOME:-$HOME/.local/share}/uv/python}"/*/bin/python3; do
        if [ -x "$candidate" ]; then printf '%s\n' "$candidate"; fi
    done
}

# newest_python [PREFIX]
# Prints the path of the newest Python whose version begins with PREFIX, such as 3.12; nothing if there is none.
newest_python() {
    candidates | while IFS= read -r candidate; do
        version=$(python_version "$candidate") || continue
        case $version in "${1:-}"*) printf '%s %s\n' "$version" "$candidate" ;; esac
    done | sort -s -V -r -k1,1 | head -n 1 | cut -d' ' -f2-
}

# find_python [PREFIX]
# Prints the path of the newest such Python, or says how to get one.
find_python() {
    found=$(newest_python "${1:-}")
    [ -n "$found" ] && { printf '%s\n' "$found"; return; }
    say "No usable Python ${1:-3.12 or newer} was found (looked on PATH, in pyenv and in uv)."
    say "Get one with one of these, then run this script again:"
    say "  uv python install ${1:-3.13}                (uv: https://docs.astral.sh/uv/)"
    say "  pyenv install ${1:-3.13}"
    say "  sudo apt install python3 python3-venv (Debian 13, Ubuntu 24.04 or newer)"
    say "  brew install python"
    return 1
}

# one_line LOG
# Passes what it reads to LOG, and to a terminal as one line that changes. Returns N of the last line `exit N`.
one_line() {
    status=1
    while IFS= read -r line; do
        case $line in "exit "*) status=${line#exit } ;; *) printf '%s\n' "$line" >>"$1" ;; esac
        [ -t 2 ] && printf '\r\033[K  %.70s' "$line" >&2
    done
    [ -t 2 ] && printf '\r\033[K' >&2
    return "$status"
}

# install_into DIRECTORY PIP-ARGUMENT...
# Installs into the environment with uv if it is there, else with pip.
install_into() {
    directory=$1
    shift
    : >"$directory/install.log"
    {
        if has_uv; then
            uv pip install --python "$directory/bin/python" "$@" 2>&1
        else
            # Dependency groups (--group) need pip 25.1.
            "$directory/bin/python" -m pip install --disable-pip-version-check --progress-bar off --upgrade 'pip>=25.1' 2>&1 \
                && "$directory/bin/python" -m pip install --disable-pip-version-check --progress-bar off "$@" 2>&1
        fi
        echo "exit $?"
    } | one_line "$directory/install.log" || {
        tail -n 20 "$directory/install.log" >&2
        say "Installing failed; all that was said is in $directory/install.log. Run this script again to retry."
        return 1
    }
}

# make_environment DIRECTORY PIP-ARGUMENT...
# Makes the virtual environment and installs this project and PIP-ARGUMENTs into it, with the Python that PYTHON names or
# else the newest. An existing one is used as it is until pyproject.toml, the arguments or this folder's place change.
make_environment() {
    directory=$1
    shift
    wanted=$(printf '%s\n' "$PWD" "${PYTHON:-}" "$@" | cat - pyproject.toml | cksum)
    if [ "$wanted" = "$(cat "$directory/installed" 2>/dev/null)" ] && "$directory/bin/python" -c '' 2>/dev/null; then
        return
    fi
    python=${PYTHON:-$(newest_python)}
    if [ -z "$python" ]; then
        # uv downloads what it is asked for by version.
        if has_uv; then python=3.13; else find_python || return 1; fi
    fi
    say "Making $directory with $python; this takes a minute the first time ..."
    if has_uv; then
        rm -rf "$directory"
        uv venv --quiet --python "$python" "$directory" || return 1
    else
        "$python" -m venv --clear "$directory" || return 1
    fi
    install_into "$directory" --editable . "$@" || return 1
    printf '%s\n' "$wanted" >"$directory/installed"
}
