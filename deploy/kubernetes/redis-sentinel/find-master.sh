# Sourced by the start scripts. Wants REDIS_NODES and SENTINELS, names parted by spaces, NODE_HOST, and REDISCLI_AUTH.

ask() { timeout 2 redis-cli -h "$1" -p "$2" --no-auth-warning "$3" "$4" ${5+"$5"} 2>/dev/null | tr -d '\r'; }

# Prints whom a node takes for the master: itself, or the one it replicates; nothing if it does not answer.
master_of() {
  facts=$(ask "$1" 6379 INFO replication)
  case $facts in
    *role:master*) echo "$1" ;;
    *role:slave*) echo "$facts" | sed -n 's/^master_host://p' ;;
  esac
}

# Prints the last node of the chain that begins at this one. That may be one that does not answer, as the asker itself,
# which is starting: then it was the master, and to replicate one of its own replicas would close a ring.
end_of_chain() {
  node=$1
  for _ in $REDIS_NODES; do
    next=$(master_of "$node")
    case $next in '' | "$node") break ;; esac
    node=$next
  done
  echo "$node"
}

# Prints the master's name: what the Sentinels say; while none answers, the node that has replicas, else the one that
# the replicas wait for, else one that is alone; at the very first start there is none of them, and it is the first node.
find_master() {
  for sentinel in $SENTINELS; do
    found=$(ask "$sentinel" 26379 SENTINEL get-master-addr-by-name larder | head -n 1)
    case $found in '' | *' '*) ;; *) echo "$found" && return ;; esac
  done
  replica='' alone=''
  for node in $REDIS_NODES; do
    case $(ask "$node" 6379 INFO replication) in
      *role:master*connected_slaves:[1-9]*) echo "$node" && return ;;
      *role:master*) alone=${alone:-$node} ;;
      *role:slave*) replica=${replica:-$node} ;;
    esac
  done
  if [ -n "$replica" ]; then
    end_of_chain "$replica"
  else
    echo "${alone:-${REDIS_NODES%% *}}"
  fi
}
