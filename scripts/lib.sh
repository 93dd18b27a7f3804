# Shared by the scripts that the Makefile runs: packages, the virtual environment, one-sentence
# refusals. POSIX sh, because it must run before anything is installed.

say() { printf '%s\n' "belay: $*"; }

# Stop with one sentence: what is missing, and what to do.
refuse() {
    printf '%s\n' "belay: $*" >&2
    exit 1
}

# Install the Debian packages among "$@" that this machine lacks.
need_packages() {
    command -v dpkg-query >/dev/null 2>&1 ||
        refuse "this is no Debian system: install what corresponds to '$*' yourself, then set BELAY_SKIP_PACKAGES=1."
    lacking=""
    for package in "$@"; do
        state=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
        [ "$state" = "install ok installed" ] || lacking="$lacking $package"
    done
    [ -z "$lacking" ] && return 0
    [ "$(id -u)" = 0 ] ||
        refuse "these Debian packages are missing:$lacking; ask root to run 'apt-get install$lacking'."
    say "installing Debian packages:$lacking"
    mkdir -p build
    # shellcheck disable=SC2086  # one argument per package
    if ! { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y \
        --no-install-recommends $lacking; } >build/packages.log 2>&1 </dev/null; then
        tail -n 5 build/packages.log >&2
        refuse "Debian's packages$lacking could not be installed (all of it: build/packages.log): is there a network?"
    fi
}
