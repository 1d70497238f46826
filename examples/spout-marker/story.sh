#!/bin/sh
# The reference story, on the local worker: dots, an edit of the spec, stars. `make demo` runs it.
# `sh story.sh 2` tells it on Pachyderm 2, where the marker stands beside the data.
set -eu

pachyderm=${1:-1}
branch=marker
[ "$pachyderm" = 1 ] || branch=master

here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# A cluster of its own: the story always begins at the beginning, and leaves the user's local cluster alone.
export SPOUTGEN_HOME="$work/cluster"
cd "$work"
sed "s/^pachyderm: 1$/pachyderm: $pachyderm/" "$here/spout.yaml" > spout.yaml

tell() {
    printf '\n$ %s\n' "$1"
    eval "$1"
}

echo 'A spout that adds a dot to its marker, thirty seconds apart (faster here, so that you need not wait).'
tell 'cat spout.yaml'
tell 'spoutgen new spout.yaml'
tell 'spoutgen run spoutmarker --commits 6 --set source.interval=200ms'
tell 'spoutgen local list pipeline'
tell 'spoutgen local list branch spoutmarker'
tell 'spoutgen local list commit spoutmarker@master'
tell 'spoutgen local get file spoutmarker@'"$branch"':/mymark'

printf '\nEdit the file, carry the edit into the project, run again: it goes on where it stopped.\n'
tell "spoutgen set source.symbol='*' image=spout-marker:v2 spoutmarker"
tell 'spoutgen update spoutmarker'
tell 'spoutgen run spoutmarker --commits 5 --set source.interval=200ms'
tell 'spoutgen local list pipeline'
tell 'spoutgen local get file spoutmarker@master:/output'
tell 'spoutgen local get file spoutmarker@'"$branch"':/mymark'
