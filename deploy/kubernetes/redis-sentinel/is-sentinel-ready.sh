#!/bin/sh
# Succeeds if this Sentinel knows the master and enough of the others to replace it.
REDISCLI_AUTH=$(cat "$REDIS_PASSWORD_FILE")
export REDISCLI_AUTH
redis-cli -h 127.0.0.1 -p 26379 --no-auth-warning SENTINEL ckquorum larder | grep -q '^OK'
