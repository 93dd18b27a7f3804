#!/bin/sh
# The baseline: what a person would do to all API servers by hand, and nothing more.
#   bare.sh hold    INIT_PID:ROOT ...   move each manifest away, and SIGKILL the process
#   bare.sh restore INIT_PID:ROOT ...   move each manifest back
# INIT_PID is the node's process 1 as this machine sees it, ROOT the node's `/`.
set -eu
verb=$1
shift
for node in "$@"; do
    init=${node%%:*}
    kubernetes=${node#*:}/etc/kubernetes
    case $verb in
    hold)
        mv "$kubernetes/manifests/kube-apiserver.yaml" "$kubernetes/kube-apiserver.yaml.bench"
        nsenter --target="$init" --mount --pid pkill -KILL -x kube-apiserver &
        ;;
    restore)
        if [ -e "$kubernetes/kube-apiserver.yaml.bench" ]; then
            mv "$kubernetes/kube-apiserver.yaml.bench" "$kubernetes/manifests/kube-apiserver.yaml"
        fi
        ;;
    esac
done
wait
