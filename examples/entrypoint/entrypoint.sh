#!/bin/sh
# What the three units of this folder replace.
set -e
cp -r /app/site /run/site
busybox httpd -f -p 127.0.0.1:7001 -h /run/site &
until wget -q -O /dev/null http://127.0.0.1:7001/; do sleep 1; done
exec node /app/bin/front.mjs --port=8080 --backend=127.0.0.1:7001 "$@"
