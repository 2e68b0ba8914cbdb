// Makes the answer to a write wait for the other replicas.
#ifndef LARDER_SERVER_ENGINE_WAIT_FOR_OTHERS_H_
#define LARDER_SERVER_ENGINE_WAIT_FOR_OTHERS_H_

#include <cstdint>
#include <utility>

#include "absl/status/statusor.h"
#include "server/engine/commands.h"
#include "server/engine/strong_writes.h"

namespace larder {

// COHERENCE S2: what is to be called when the write has ended, which StrongWrites::Enter() has admitted. `done` is then
// told of it once no other replica serves what was there before; at once if the write failed or `has_changed` says that
// it did nothing; and by `fail` if that could not be made sure of, which gets the answer, and what it makes of it is
// told.
template <typename T, typename HasChanged, typename Fail>
Done<T> WaitForOthers(StrongWrites& strong, int64_t deadline_nanos, HasChanged has_changed, Fail fail, Done<T> done) {
  return [&strong, deadline_nanos, has_changed, fail, done = std::move(done)](absl::StatusOr<T> answer) mutable {
    if (!answer.ok() || !has_changed(*answer)) {
      strong.Leave();
      return std::move(done)(std::move(answer));
    }
    strong.Await(deadline_nanos,
                 [fail, answer = std::move(answer), done = std::move(done)](const absl::Status& status) mutable {
                   if (status.ok()) return std::move(done)(std::move(answer));
                   std::move(done)(fail(*std::move(answer), status));
                 });
  };
}

}  // namespace larder

#endif  // LARDER_SERVER_ENGINE_WAIT_FOR_OTHERS_H_
