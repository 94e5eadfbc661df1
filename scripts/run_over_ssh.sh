#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Usage: run_over_ssh.sh HOST PROGRAM ARGUMENT...
# Copies the program to the host, unless this very file is there already, and runs it there: a
# runner for the tuner. HOST is as ssh takes it; put what else it needs (keys, port,
# ControlMaster so that a connection serves many runs) into ~/.ssh/config.
set -eu
[ $# -ge 2 ] || { sed -n '3s/^# //p' "$0" >&2; exit 2; }
host=$1 program=$2
shift 2

quoted=
for argument; do
  quoted="$quoted '$(printf %s "$argument" | sed "s/'/'\\\\''/g")'"
done
sum=$(sha256sum <"$program" | cut -c1-32)
directory=/tmp/halnorm-trials
remote=$directory/$sum
# Longer than the tuner waits for any trial: what it gives up on would run on there.
start="exec timeout 1200 $remote$quoted"
# shellcheck disable=SC2029  # meant to be expanded here
ssh "$host" "test -x $remote || exit 127; $start" </dev/null && exit
status=$?
[ "$status" = 127 ] || exit "$status"
# shellcheck disable=SC2029
ssh "$host" "mkdir -p $directory && rm -f $directory/* && cat >$remote.part &&
             chmod +x $remote.part && mv $remote.part $remote" <"$program"
# shellcheck disable=SC2029
ssh "$host" "$start" </dev/null
