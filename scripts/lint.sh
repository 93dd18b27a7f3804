#!/bin/sh
# Every check of the code that needs no running part. All of them run, then it says which failed.
set -u
cd "$(dirname "$0")/.."
. scripts/lib.sh
PATH="$PWD/.venv/bin:$PATH"
failed=""

check() {
    name=$1
    shift
    began=$(date +%s)
    if "$@"; then
        say "lint: $name is fine ($(($(date +%s) - began)) s)"
    else
        failed="$failed $name"
    fi
}

lock_files_name_no_host() {
    if grep -nE '(https?|file)://|^ *--(index-url|extra-index-url|find-links|trusted-host)' \
        requirements.lock requirements-dev.lock; then
        say "a lock file names a host: compile it with --no-emit-index-url"
        return 1
    fi
}

templates_are_formatted() {
    files=$(git ls-files --cached --others --exclude-standard -- '*.html' ':!static/*')
    [ -z "$files" ] && return 0
    # shellcheck disable=SC2086  # one argument per file
    djhtml --check $files
}

check ruff ruff check --quiet .
check format ruff format --quiet --check .
check locks lock_files_name_no_host
check templates templates_are_formatted
check imports lint-imports --no-logo
check migrations python manage.py makemigrations --check --dry-run --verbosity 1
check types mypy --no-error-summary

[ -z "$failed" ] || refuse "lint failed:$failed"
