#!/bin/sh
# The baseline: what a person would do by hand, and nothing more. It neither journals, nor looks
# whether it worked, nor undoes anything by itself.
#   bare.sh hold    INIT_PID:ROOT ...   move each manifest away, and SIGKILL the process
#   bare.sh flag    INIT_PID:ROOT ...   put a bad flag into each manifest, and SIGKILL the process
#   bare.sh kill    INIT_PID:ROOT ...   SIGKILL the process
#   bare.sh restore INIT_PID:ROOT ...   move each manifest back; may be repeated
#   bare.sh cut     INIT_PID:ROOT ...   drop packets to BARE_PLACES ("ip . port timeout 1m, ...")
#   bare.sh join    INIT_PID:ROOT ...   drop none any more
# INIT_PID is the node's process 1 as this machine sees it, ROOT the node's `/`. The component is
# BARE_COMPONENT, by default kube-apiserver.
set -eu
verb=$1
shift
component=${BARE_COMPONENT:-kube-apiserver}
killers=""
# What pkill does, without asking for pkill.
# shellcheck disable=SC2016  # expanded by the inner shell
strike='
    for process in /proc/[0-9]*; do
        read -r name 2>/dev/null <"$process/comm" || continue
        [ "$name" = "$1" ] || continue
        # Gone by itself: the kubelet had seen the manifest go, and was faster.
        kill -KILL "${process#/proc/}" || continue
    done
'
# The kernel cuts the name of a process after 15 bytes.
short=$(printf %.15s "$component")
rules="
add table inet belay_bench
add set inet belay_bench cut { type ipv4_addr . inet_service; flags timeout; }
add chain inet belay_bench out { type filter hook output priority raw; policy accept; }
add chain inet belay_bench through { type filter hook prerouting priority raw; policy accept; }
add rule inet belay_bench out ip daddr . tcp dport @cut drop
add rule inet belay_bench through ip daddr . tcp dport @cut drop
add element inet belay_bench cut { ${BARE_PLACES:-} }
"
for node in "$@"; do
    init=${node%%:*}
    kubernetes=${node#*:}/etc/kubernetes
    manifest=$kubernetes/manifests/$component.yaml
    aside=$kubernetes/$component.yaml.bench
    if [ "$verb" != restore ]; then
        # Killing by name is right only where no other range's processes can be seen.
        theirs=$(readlink "/proc/$init/ns/pid")
        if [ "$theirs" = "$(readlink /proc/self/ns/pid)" ]; then
            echo "bare.sh: process $init is no node: it sees every process of this machine" >&2
            exit 2
        fi
    fi
    case $verb in
    hold | flag | kill)
        case $verb in
        hold) mv "$manifest" "$aside" ;;
        flag)
            cp -p "$manifest" "$aside"
            sed "s/^    - $component\$/&\n    - --belay-unknown=1/" "$aside" \
                >"$kubernetes/$component.yaml.flagged"
            mv "$kubernetes/$component.yaml.flagged" "$manifest"
            ;;
        esac
        nsenter --target="$init" --mount --pid /bin/sh -c "$strike" strike "$short" &
        killers="$killers $!"
        ;;
    restore)
        if [ -e "$aside" ]; then
            mv "$aside" "$manifest"
        fi
        ;;
    cut)
        echo "$rules" | nsenter --target="$init" --net nft -f - &
        killers="$killers $!"
        ;;
    join)
        nsenter --target="$init" --net nft delete table inet belay_bench &
        killers="$killers $!"
        ;;
    *)
        echo "bare.sh: '$verb' is none of hold, flag, kill, restore, cut and join" >&2
        exit 2
        ;;
    esac
done
for killer in $killers; do
    wait "$killer"
done
