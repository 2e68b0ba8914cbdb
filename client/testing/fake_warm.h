// A warm-up of a FakeCache.
#ifndef LARDER_CLIENT_TESTING_FAKE_WARM_H_
#define LARDER_CLIENT_TESTING_FAKE_WARM_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "client/src/warm_feed.h"
#include "larder/cache.h"
#include "larder/calls.h"

namespace larder::testing {

// Goes on whenever its feed has something, on whichever thread says so, and lives until it is done.
class FakeWarm : public std::enable_shared_from_this<FakeWarm> {
 public:
  // False: the entry was left as it is.
  using Write = std::function<absl::StatusOr<bool>(const SetItem&)>;
  using Elapsed = std::function<std::chrono::milliseconds()>;

  FakeWarm(std::shared_ptr<internal::WarmFeed> feed, Write write, Elapsed elapsed,
           std::function<void(const WarmProgress&)> progress, Callback<absl::StatusOr<WarmProgress>> done)
      : feed_(std::move(feed)),
        write_(std::move(write)),
        elapsed_(std::move(elapsed)),
        report_(std::move(progress)),
        done_(std::move(done)) {}

  void Advance();

 private:
  void Take(const SetItem& item);
  void Report();

  const std::shared_ptr<internal::WarmFeed> feed_;
  const Write write_;
  const Elapsed elapsed_;
  const std::function<void(const WarmProgress&)> report_;
  Callback<absl::StatusOr<WarmProgress>> done_;
  int64_t taken_ = 0;
  WarmProgress progress_;
};

}  // namespace larder::testing

#endif  // LARDER_CLIENT_TESTING_FAKE_WARM_H_
