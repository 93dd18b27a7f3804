#!/bin/sh
# All that CI runs. The practice range is built and raised in the background while the linters and
# the tests that need no range run, on all cores; those on the range and in the browser come after,
# one by one. They mostly wait: beside them, with what is left of the processors, run the simulator
# and the mutations, whose clocks are their own.
set -eu
cd "$(dirname "$0")/.."
. scripts/lib.sh

scripts/venv.sh dev
[ "${BELAY_SKIP_PACKAGES:-0}" = 1 ] || need_packages chromium fonts-dejavu-core
[ "${BELAY_SKIP_PACKAGES:-0}" = 1 ] || unpack_packages prometheus
rm -rf build/screens build/junit*.xml build/simulated.log
mkdir -p build/screens

own_range=""
raiser=""
simulating=""
tear_down() {
    status=$?
    trap - EXIT INT TERM HUP
    for beside in $raiser $simulating; do
        kill -0 "$beside" 2>/dev/null || continue
        # The whole group: its shell alone would leave the command behind, which could still
        # raise what is taken down here.
        kill -s TERM -- "-$beside" 2>/dev/null || true
        wait "$beside" 2>/dev/null || true
    done
    if [ -n "$own_range" ]; then
        .venv/bin/python -m practice down --name "$own_range" >build/range-down.log 2>&1 ||
            { cat build/range-down.log >&2 && status=1; }
    fi
    exit "$status"
}
trap tear_down EXIT
trap 'exit 130' INT TERM HUP

if [ -z "${BELAY_TEST_RANGE:-}" ]; then
    own_range="t$(($$ % 100000))"
    export BELAY_TEST_RANGE="$own_range"
    export BELAY_TEST_RANGE_RESULT="$PWD/build/range.result"
    rm -f "$BELAY_TEST_RANGE_RESULT"
    # shellcheck disable=SC2016  # expanded by the inner shell
    setsid sh -c '.venv/bin/python -m practice up --name "$1" --crash-loop-max 10s \
        >build/range.log 2>&1 </dev/null; echo $? >"$2.new"; mv "$2.new" "$2"' \
        range "$own_range" "$BELAY_TEST_RANGE_RESULT" &
    raiser=$!
fi

lint=0
scripts/lint.sh || lint=1

# What needs nothing that exists once runs on both cores, while the range is built and raised.
# What is both `range` and `long` takes longer than CI has: `make test-long` runs it.
needs_a_place="range or browser or services"
# Exit status 5: none of those that were asked for is among these.
fast=0
.venv/bin/python -m pytest -n 2 --dist loadfile -m "not ($needs_a_place) and not simulated" \
    --junit-xml=build/junit-fast.xml "$@" || fast=$?
[ "$fast" = 5 ] && [ "$#" -gt 0 ] && fast=0

# Once the range is up, or could not be raised: programs that are still being built, with nothing
# waiting beside them, would only be ready later.
# shellcheck disable=SC2016  # expanded by the inner shell
setsid sh -c 'waited=0
    while [ -n "$1" ] && [ ! -e "$1" ] && [ "$waited" -lt 2700 ]; do
        sleep 1
        waited=$((waited + 1))
    done
    shift
    # Where the kernel schedules by session, a nice value counts within its own session only.
    echo 19 2>/dev/null >"/proc/$$/autogroup" || true
    exec nice -n 19 .venv/bin/python -m pytest -n 2 --dist loadfile -m simulated \
        --junit-xml=build/junit-simulated.xml "$@"' simulate "${BELAY_TEST_RANGE_RESULT:-}" "$@" \
    >build/simulated.log 2>&1 </dev/null &
simulating=$!

tests=0
BELAY_TEST_ALL=1 .venv/bin/python -m pytest --durations=40 \
    -m "($needs_a_place) and not (long and range)" --junit-xml=build/junit-placed.xml "$@" ||
    tests=$?

simulated=0
wait "$simulating" || simulated=$?
simulating=""
[ "$simulated" = 5 ] && [ "$#" -gt 0 ] && simulated=0
cat build/simulated.log
.venv/bin/python scripts/join_junit.py build/junit.xml build/junit-fast.xml \
    build/junit-simulated.xml build/junit-placed.xml

[ "$lint" = 0 ] || say "lint failed; see above" >&2
[ "$fast" = 0 ] || say "the tests that need no range failed; see above" >&2
[ "$simulated" = 0 ] || say "simulated tests or mutations failed; see above" >&2
[ "$tests" = 0 ] || say "tests on the range or in the browser failed; see above" >&2
[ "$lint" = 0 ] && [ "$fast" = 0 ] && [ "$simulated" = 0 ] && [ "$tests" = 0 ]
