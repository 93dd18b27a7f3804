# Shared by the scripts that the Makefile runs: packages, the virtual environment, one-sentence
# refusals. POSIX sh, because it must run before anything is installed.

say() { printf '%s\n' "belay: $*"; }

# Stop with one sentence: what is missing, and what to do.
refuse() {
    printf '%s\n' "belay: $*" >&2
    exit 1
}

# Make sure that the log "$1" can be written, and empty it: else an older one would be told as the
# reason of whatever fails next.
begin_log() {
    { mkdir -p "$(dirname "$1")" && (: >"$1"); } 2>/dev/null ||
        refuse "$PWD/$1 cannot be written by $(id -un): make the folder yours, or remove it."
}

# Say why the command failed whose log is "$1" and whose purpose is "$2".
refuse_with_log() {
    tail -n 5 "$1" >&2
    case $(tail -n 20 "$1") in
    *"ermission denied"* | *"ead-only file system"*) why="this user ($(id -un)) may not write there." ;;
    *"o space left"* | *"uota exceeded"*) why="the disk is full." ;;
    *) why="is there a network?" ;;
    esac
    refuse "$2 (all of it: $1): $why"
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
    begin_log build/packages.log
    # shellcheck disable=SC2086  # one argument per package
    if ! { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y \
        --no-install-recommends $lacking; } >build/packages.log 2>&1 </dev/null; then
        refuse_with_log build/packages.log "Debian's packages$lacking could not be installed"
    fi
}

# Unpack the Debian packages "$@" under build/packages/ without installing them: some start a
# server when they are installed, and tests want the program only, on their own terms.
unpack_packages() {
    begin_log build/packages.log
    mkdir -p build/packages
    for package in "$@"; do
        [ -f "build/packages/$package.done" ] && continue
        say "unpacking the Debian package $package"
        if ! { { apt-cache show "$package" >/dev/null 2>&1 || apt-get update; } &&
            rm -rf "build/packages/$package" && mkdir -p "build/packages/$package" &&
            (cd build/packages && apt-get download "$package") &&
            dpkg-deb -x build/packages/"$package"_*.deb "build/packages/$package" &&
            rm -f build/packages/"$package"_*.deb; } >build/packages.log 2>&1 </dev/null; then
            refuse_with_log build/packages.log "Debian's package $package could not be unpacked"
        fi
        touch "build/packages/$package.done"
    done
}
