// The client of a Larder service.
//
//   larder::ClientOptions options;
//   options.target = "dns:///larder-headless:50051";
//   absl::StatusOr<std::unique_ptr<larder::Client>> cache = larder::Client::Connect(options);
//   ...
//   absl::StatusOr<User> user =
//       (*cache)->GetOrLoad<User>("user:7", std::chrono::minutes(5), [&] { return database.LoadUser(7); });
#ifndef LARDER_CLIENT_H_
#define LARDER_CLIENT_H_

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "larder/cache.h"
#include "larder/export.h"
#include "larder/observer.h"
#include "larder/options.h"

namespace larder {

// Makes the calls of a cache to the replicas of a service. Thread-safe; one for a process and service is enough.
class LARDER_EXPORT Client final : public Cache {
 public:
  // INVALID_ARGUMENT, naming the field, if the options make no sense. Looks the target's names up, and blocks for that;
  // the rest happens in the background. A name that is not found, or a service that is away, is no error here: calls
  // end UNAVAILABLE until it is there.
  static absl::StatusOr<std::unique_ptr<Client>> Connect(ClientOptions options);

  // Cancels the calls under way, whose callbacks run, with CANCELLED, before it returns. Blocks for as long as
  // callbacks take, and for a look-up of names under way; must not be run by one. Calls that callbacks make then end at
  // once.
  ~Client() override;

  // Waits until all replicas that are known can be called, for `timeout` at most. DEADLINE_EXCEEDED if by then none
  // can.
  absl::Status WaitUntilReady(std::chrono::milliseconds timeout);

  // As the breaker has it.
  ServiceState state() const;

  // The addresses of the replicas that are known now.
  std::vector<std::string> Replicas() const;

 private:
  class Impl;

  Client(Settings settings, std::unique_ptr<Impl> impl);

  void DoGet(std::string key, GetOptions options, Callback<absl::StatusOr<MaybeHit>> done) override;
  void DoGetOrLease(std::string key, GetOptions options, Callback<absl::StatusOr<LeasedRead>> done) override;
  void DoRelease(std::string key, std::string lease, CallOptions options, Callback<absl::StatusOr<bool>> done) override;
  void DoSet(std::string key, std::string value, SetOptions options, Callback<absl::StatusOr<SetResult>> done) override;
  void DoTouch(std::string key, TouchOptions options, Callback<absl::StatusOr<bool>> done) override;
  void DoBatchGet(std::vector<std::string> keys, GetOptions options,
                  Callback<absl::StatusOr<BatchGetResults>> done) override;
  void DoBatchSet(std::vector<SetItem> items, CallOptions options,
                  Callback<absl::StatusOr<BatchSetResults>> done) override;
  void DoInvalidate(Invalidation what, CallOptions options, Callback<absl::StatusOr<InvalidateResult>> done) override;
  void DoWarm(std::shared_ptr<internal::WarmFeed> feed, WarmOptions options,
              Callback<absl::StatusOr<WarmProgress>> done) override;
  void DoStats(StatsOptions options, Callback<absl::StatusOr<ServiceStats>> done) override;
  MaybeHit GetAtHand(std::string_view key, const GetOptions& options) override;

  const std::unique_ptr<Impl> impl_;
};

}  // namespace larder

#endif  // LARDER_CLIENT_H_
