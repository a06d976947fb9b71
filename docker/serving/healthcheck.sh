#!/usr/bin/env bash
# Succeeds if a version of the model answers requests. The image has bash, which opens sockets, but
# neither curl nor Python.
set -euo pipefail

port=${PORT:-8501}
exec 3<> "/dev/tcp/127.0.0.1/$port"
printf 'GET /v1/models/%s HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\n\r\n' \
    "${MODEL_NAME:?}" >&3
answer=$(cat <&3)
if [[ ! $answer =~ ^HTTP/1\.[01]\ 200 ]]; then
    echo "port $port answers: ${answer%%$'\r'*}" >&2
    exit 1
fi
if [[ ! $answer =~ \"state\":\ *\"AVAILABLE\" ]]; then
    echo "no version of $MODEL_NAME is available" >&2
    exit 1
fi
