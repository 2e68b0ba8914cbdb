// The ways by which one replica reaches its Redis.
#ifndef LARDER_TESTS_CHAOS_STORE_LINKS_H_
#define LARDER_TESTS_CHAOS_STORE_LINKS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "tests/chaos/tcp_proxy.h"

namespace larder::chaos {

// A proxy for each server that a replica may speak to, which are told the same together: the connections that carry
// Redis' news are marked. Thread-safe once the last one was added.
class StoreLinks {
 public:
  using Which = TcpProxy::Which;
  using Direction = TcpProxy::Direction;

  // One more, to that port of loopback; the answer is the port at which it is reached.
  absl::StatusOr<int> Add(int target_port, const std::vector<TcpProxy::Substitution>& substitutions = {});

  // As those of TcpProxy.
  void Delay(Which which, Direction direction, int64_t nanos);
  void Hold(Which which, Direction direction);
  void Refuse();
  void Heal();
  void Close(Which which);
  void Reset(Which which);
  void Truncate(Which which, Direction direction, size_t bytes);

  TcpProxy& link(size_t i) { return *links_[i]; }

 private:
  std::vector<std::unique_ptr<TcpProxy>> links_;
};

}  // namespace larder::chaos

#endif  // LARDER_TESTS_CHAOS_STORE_LINKS_H_
