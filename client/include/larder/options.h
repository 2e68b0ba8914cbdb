// How a client reaches the service, and what it does when it cannot.
#ifndef LARDER_OPTIONS_H_
#define LARDER_OPTIONS_H_

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>

namespace larder {

class Observer;

// TLS towards the service. All of them PEM text, not file names.
struct TlsOptions {
  std::string ca_certificates = {};  // empty: those of the system
  std::string certificate = {};      // the client's own, for mutual TLS; needs `private_key`
  std::string private_key = {};
  std::string server_name = {};  // the name that the server's certificate must carry, where it is not the target's
};

// Only calls that may be repeated without harm are retried: reads, Touch and Invalidate, never Set, BatchSet or Warm,
// whose bytes may have arrived. Retried is UNAVAILABLE, and a call that a stopping server cancelled; on another replica
// where there is one.
struct RetryOptions {
  int max_attempts = 3;                          // the first one included; 1: no retries
  double budget = 0.2;                           // retries for each call made, over the last while; 0 to 1
  std::chrono::milliseconds attempt_timeout{0};  // of one that another may follow; 0: all that is left of the deadline
  std::chrono::milliseconds initial_backoff{5};  // before the second attempt; doubles, with jitter
};

// When the service as a whole is down, calls end at once rather than at their deadline.
struct BreakerOptions {
  int consecutive_failures = 10;  // calls in a row that end UNAVAILABLE or past their deadline open it; 0: never
  std::chrono::milliseconds open_for{500};  // until one call is let through to see; it closes the breaker or not
};

// Which replica a key's calls go to.
enum class Routing {
  kRoundRobin,  // the next one
  // The one that the key's rendezvous hash names, so that replicas' near tiers hold different keys; the next one of
  // the key's order while that one is away, or has more than its share of the calls under way.
  kKeyAffinity,
};

// A near cache in the application's own memory. Off by default: it may serve what another process has changed, for
// `lease` and the replica's own lease together (1 s each by default) where the replica can be watched, else for
// `max_age` and the service's own `near_max_age` together. What changes while it is watched is usually gone within
// milliseconds.
struct NearOptions {
  size_t capacity_bytes = 0;                // keys, values and overhead; 0: off
  std::chrono::milliseconds max_age{1000};  // from the sending of the read that brought the entry; unless it is watched
  // Asks the replicas to tell what changes, by a stream for each replica and namespace in use, 256 at most. An entry is
  // then served for as long as it lives while that is being told; for its `max_age` where it is not.
  bool watch = true;
  // For how long what was told up to now is relied on. It is renewed, by a small call of each stream, four times in
  // that.
  std::chrono::milliseconds lease{1000};
};

// Gets that are under way together are sent as one BatchGet. One that comes alone is sent at once: nothing is ever
// delayed in the hope of company. When a call ends, its callbacks run before what waits is sent, so that what they ask
// for goes with it; unless a whole batch waits.
struct GatherOptions {
  bool enabled = true;
  int max_keys = 64;  // of one batch; 2 to 1,000
  int max_calls = 2;  // calls under way to a replica before Gets are held to be gathered; at least 1
};

struct ClientOptions {
  // Where the service is: `host:port`, `dns:///host:port` (all addresses of the name, looked up again and again),
  // `unix:/path`, or several of these with commas between them.
  std::string target = "127.0.0.1:50051";
  // Of calls that name none.
  std::string name_space = "default";
  // Of each call that names none, retries included.
  std::chrono::milliseconds deadline{250};

  RetryOptions retry = {};
  BreakerOptions breaker = {};
  Routing routing = Routing::kRoundRobin;
  NearOptions near = {};
  GatherOptions gather = {};

  // True: a read that fails because the service is down, busy or late is a miss (and the observer is told), so that the
  // application goes on without a cache. False: it is the error that it is. Writes always say what they ended with.
  bool failed_reads_are_misses = true;
  // For this long after this process wrote a key, Gets of it go past the near tiers of replicas other than the one that
  // took the write, so that it reads its own writes. Not under the service's `near_max_age`. The target must list the
  // replicas themselves: behind one address of a balancer they cannot be told apart, and `GetOptions::near` = false is
  // the way.
  std::chrono::milliseconds read_own_writes_for{2000};

  // None: plaintext.
  std::optional<TlsOptions> tls = {};
  // Sent as `authorization: Bearer …` with each call; called for each, from any thread, must not block or throw; white
  // space at its end is taken off. Refused without `tls` unless the target is a unix socket or `allow_plaintext_token`.
  std::function<std::string()> token = {};
  bool allow_plaintext_token = false;

  std::chrono::milliseconds keepalive_time{
      30000};  // silence after which the connection is pinged while calls are open; at least 10 s
  std::chrono::milliseconds keepalive_timeout{5000};  // without an answer it is taken for dead
  std::chrono::milliseconds connect_timeout{2000};
  // How often names are looked up again; sooner when a replica is lost.
  std::chrono::milliseconds resolve_interval{10000};
  // Threads that receive answers and run callbacks. 1 to 64.
  int threads = 1;
  size_t max_response_bytes = size_t{64} << 20;

  // Not owned; must outlive the client. Null: nobody listens.
  Observer* observer = nullptr;
};

}  // namespace larder

#endif  // LARDER_OPTIONS_H_
