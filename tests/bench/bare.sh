#!/bin/sh
# The baseline: what a person would do to all API servers by hand, and nothing more.
#   bare.sh hold    INIT_PID:ROOT ...   move each manifest away, and SIGKILL the process
#   bare.sh restore INIT_PID:ROOT ...   move each manifest back; may be repeated
# INIT_PID is the node's process 1 as this machine sees it, ROOT the node's `/`.
set -eu
verb=$1
shift
killers=""
# What pkill does, without asking for pkill.
# shellcheck disable=SC2016  # expanded by the inner shell
strike='
    found=1
    for process in /proc/[0-9]*; do
        read -r name 2>/dev/null <"$process/comm" || continue
        [ "$name" = kube-apiserver ] || continue
        kill -KILL "${process#/proc/}" && found=0
    done
    exit "$found"
'
for node in "$@"; do
    init=${node%%:*}
    kubernetes=${node#*:}/etc/kubernetes
    case $verb in
    hold)
        # Killing by name is right only where no other range's processes can be seen.
        theirs=$(readlink "/proc/$init/ns/pid")
        if [ "$theirs" = "$(readlink /proc/self/ns/pid)" ]; then
            echo "bare.sh: process $init is no node: it sees every process of this machine" >&2
            exit 2
        fi
        mv "$kubernetes/manifests/kube-apiserver.yaml" "$kubernetes/kube-apiserver.yaml.bench"
        nsenter --target="$init" --mount --pid /bin/sh -c "$strike" &
        killers="$killers $!"
        ;;
    restore)
        if [ -e "$kubernetes/kube-apiserver.yaml.bench" ]; then
            mv "$kubernetes/kube-apiserver.yaml.bench" "$kubernetes/manifests/kube-apiserver.yaml"
        fi
        ;;
    *)
        echo "bare.sh: '$verb' is neither hold nor restore" >&2
        exit 2
        ;;
    esac
done
for killer in $killers; do
    wait "$killer"
done
