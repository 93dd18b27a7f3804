#!/bin/sh
# Make .venv with the locked packages: `scripts/venv.sh run` for running, `dev` for tests too.
# Does nothing when the lock file is the one that was installed.
set -eu
cd "$(dirname "$0")/.."
. scripts/lib.sh

kind=${1:-run}
python=${PYTHON:-python3}
case $kind in
run) lock=requirements.lock ;;
dev) lock=requirements-dev.lock ;;
*) refuse "scripts/venv.sh knows 'run' and 'dev', not '$kind'." ;;
esac

installed=$(cat .venv/belay-locks 2>/dev/null || true)
for candidate in "$lock" requirements-dev.lock; do
    if [ "$installed" = "$(sha256sum requirements.lock "$candidate" | sha256sum)" ] &&
        [ -x .venv/bin/python ]; then
        exit 0
    fi
done

command -v "$python" >/dev/null 2>&1 || need_packages python3
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    refuse "Python 3.11 or later is needed and $("$python" --version) was found: set PYTHON to a newer one."
if ! "$python" -c 'import ensurepip' 2>/dev/null; then
    need_packages python3-venv
fi

log=build/venv.log
begin_log "$log"
total=$(grep -c '==' "$lock" || true)
say "installing the $total locked Python packages ($lock) into .venv: a minute or two (its log: $log)"
# Now and then a line, so that nobody wonders. It ends with this script, however that ends.
while sleep 15 >/dev/null 2>&1 && kill -0 "$$" 2>/dev/null; do
    case $(tail -n 1 "$log") in
    "Installing collected"*) say "… unpacking them" ;;
    *) say "… $(grep -c '^Collecting ' "$log" || true) of $total fetched" ;;
    esac
done &
teller=$!
trap 'kill "$teller" 2>/dev/null || true' EXIT
# One that was made with a Python that is gone is made anew; else only what changed is installed.
fresh=""
.venv/bin/python -c '' 2>/dev/null || fresh=--clear
# shellcheck disable=SC2086  # no argument at all where it is empty
if ! { "$python" -m venv $fresh .venv && .venv/bin/python -m pip install --require-hashes --no-deps \
    --disable-pip-version-check --no-input -r "$lock"; } >"$log" 2>&1 </dev/null; then
    refuse_with_log "$log" "the Python packages could not be installed"
fi
sha256sum requirements.lock "$lock" | sha256sum >.venv/belay-locks
