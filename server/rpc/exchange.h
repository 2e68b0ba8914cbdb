// Who asked the cache for something.
#ifndef LARDER_SERVER_RPC_EXCHANGE_H_
#define LARDER_SERVER_RPC_EXCHANGE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "google/protobuf/message_lite.h"
#include "server/engine/commands.h"

namespace larder {

// A unary call, or one operation of a Pipeline stream, waiting to be told what became of it. Owns itself until then.
//
// Exactly one of Answer and Fail is called, exactly once, on any thread; nothing of the exchange is used after it.
class Exchange {
 public:
  // What is told of this replica, and how much an answer may take.
  struct Terms {
    uint64_t incarnation = 0;  // 0: not told
    size_t max_response_bytes = 0;
  };

  // The deadline on the server's Clock.
  virtual const CallContext& context() const = 0;

  virtual void Answer(GetAnswer answer, const Terms& terms) = 0;
  virtual void Answer(std::vector<BatchGetItem> items, const Terms& terms) = 0;
  virtual void Answer(const google::protobuf::MessageLite& response) = 0;

  // `version`: of ABORTED, the one that is there; 0: none, or not known.
  virtual void Fail(const absl::Status& status, uint64_t version) = 0;
  void Fail(const absl::Status& status) { Fail(status, 0); }

 protected:
  ~Exchange() = default;
};

}  // namespace larder

#endif  // LARDER_SERVER_RPC_EXCHANGE_H_
