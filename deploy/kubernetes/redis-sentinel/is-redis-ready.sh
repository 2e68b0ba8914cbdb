#!/bin/sh
# Succeeds if this Redis is the master, or a replica that has the master's data. The password is in no command line.
REDISCLI_AUTH=$(cat "$REDIS_PASSWORD_FILE")
export REDISCLI_AUTH
redis-cli -h 127.0.0.1 -p 6379 --no-auth-warning INFO replication | grep -q -e '^role:master' -e '^master_link_status:up'
