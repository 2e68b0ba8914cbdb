// The wired server.
#ifndef LARDER_SERVER_APP_APPLICATION_H_
#define LARDER_SERVER_APP_APPLICATION_H_

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/clock.h"
#include "server/config/server_config.h"
#include "server/log/logger.h"

namespace larder {

class JournaledStore;
class Store;

// Builds everything in the order of dependence and takes it down in the reverse. Not thread-safe: one thread starts,
// reloads and stops it.
class Application {
 public:
  // What LoadConfig could not judge: whether the Redis URL is one. INVALID_ARGUMENT naming the field.
  static absl::Status Check(const ServerSettings& settings);

  // Returns once the server takes calls. UNAVAILABLE or INVALID_ARGUMENT naming what cannot be had; nothing is left
  // running then. Redis need not be there: without it the server serves what it can. The pointees must outlive it.
  static absl::StatusOr<std::unique_ptr<Application>> Start(const ServerSettings& settings, const Clock* clock,
                                                            Logger* logger);

  // Stops at once, if Stop has not been called.
  ~Application();
  Application(const Application&) = delete;
  Application& operator=(const Application&) = delete;

  // Applies what of the new settings can be applied to a running server, which is the policy of its namespaces, and
  // logs that and what needs a restart.
  void Reload(const ServerSettings& settings);

  // What has to be done now and then: keeps the metrics about the store fresh. To be called every second or two, by one
  // thread; never blocks.
  void Housekeep();

  // Stops being ready, lets the calls under way end within the drain timeout, and closes everything. Blocks until then.
  void Stop();

 private:
  struct Parts;
  explicit Application(std::unique_ptr<Parts> parts);

  static std::unique_ptr<JournaledStore> MakeJournal(Parts& parts, std::unique_ptr<Store> store);
  static void MakeOrigins(Parts& parts);
  static void MakeWarmJobs(Parts& parts);
  static void SetReady(Parts& parts, bool ready);
  void AddMetrics();
  absl::Status Listen();

  std::unique_ptr<Parts> parts_;
};

}  // namespace larder

#endif  // LARDER_SERVER_APP_APPLICATION_H_
