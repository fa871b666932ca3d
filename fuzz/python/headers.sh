#!/usr/bin/env bash
# Reads headers that atheris makes, for CTXVARS_SECONDS (default: 60), with the given Python. A header
# that fails is kept in target/crash-*: pass its path to fuzz/python/headers.py.
set -euo pipefail
cd "$(dirname "$0")/../.."

mkdir -p target
corpus=$(mktemp -d)
trap 'rm -rf "$corpus"' EXIT
# libFuzzer combines the inputs of its corpus. The first byte makes atheris read ASCII.
seeds=('str=a%20b,int=1,newer=1;v=2' 'float=1.5e3,bool=true,json=%7B%22a%22:1%7D,newer=abc' \
    'UUID=00000000-0000-0000-0000-000000000001,optional=~,userId=alice;secure' \
    'datetime=2026-11-26T12:00:00+00:00,date=2026-11-26,Colour=RED,bytes=YQ,Decimal=1.10' \
    'ctxvars.deadline=1.5,str=a,ctxvars.signature=key/1000/mac/str:int')
for index in "${!seeds[@]}"; do
    printf '\x01%s' "${seeds[$index]}" >"$corpus/$index"
done
"$1" fuzz/python/headers.py -max_total_time="${CTXVARS_SECONDS:-60}" -timeout=2 -max_len=9000 \
    -print_final_stats=1 -artifact_prefix=target/ "$corpus"
