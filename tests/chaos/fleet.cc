#include "tests/chaos/fleet.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <new>
#include <system_error>
#include <thread>

#include "absl/strings/str_cat.h"
#include "core/clock.h"

namespace larder::chaos {
namespace {

constexpr std::chrono::seconds kStartTimeout{20};

std::string ConfigOf(const Fleet::Options& options) {
  const std::string lease = absl::StrCat(options.lease_nanos / kNanosPerMilli, "ms");
  return absl::StrCat("near: {coherence: ", options.coherence, ", lease: ", lease,
                      "}\n"
                      "sweep: {interval: ",
                      options.sweep_interval_nanos / kNanosPerMilli,
                      "ms, max_keys_per_second: 1000000, step_keys: 1000}\n"
                      "defaults: {near_max_age: ",
                      lease, ", ttl_jitter: 0, degraded_max_age: ", options.degraded_max_age_nanos / kNanosPerMilli,
                      "ms, on_store_loss: ", options.on_store_loss,
                      "}\n"
                      "store: {redis: {operation_timeout: ",
                      options.store_timeout_nanos / kNanosPerMilli, "ms",
                      options.connections == 1 ? "" : absl::StrCat(", connections: ", options.connections), "}}\n");
}

}  // namespace

absl::StatusOr<std::unique_ptr<Fleet>> Fleet::Start(const Options& options) {
  std::unique_ptr<Fleet> fleet(new Fleet(options));
  if (absl::Status status = fleet->MakeFolder(); !status.ok()) return status;
  fleet->store_ = MakeStoreForm(options.form);
  if (absl::Status status = fleet->store_->Start(); !status.ok()) return status;
  for (int i = 0; i < kReplicas; ++i) {
    if (absl::Status status = fleet->StartReplica(options, i); !status.ok()) return status;
  }
  if (absl::Status status = fleet->AwaitTracking(); !status.ok()) return status;
  return fleet;
}

Fleet::~Fleet() {
  if (wall_step_ != nullptr) ::munmap(wall_step_, sizeof(*wall_step_));
  std::error_code ignored;
  if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
}

absl::Status Fleet::MakeFolder() {
  std::string path = (std::filesystem::temp_directory_path() / "larder-fleet-XXXXXX").string();
  if (::mkdtemp(path.data()) == nullptr) return absl::InternalError(absl::StrCat("mkdtemp: ", std::strerror(errno)));
  folder_ = path;
  const int fd = ::open((folder_ + "/wall_step").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  void* memory = MAP_FAILED;
  if (fd >= 0 && ::ftruncate(fd, sizeof(*wall_step_)) == 0) {
    memory = ::mmap(nullptr, sizeof(*wall_step_), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  }
  if (fd >= 0) ::close(fd);
  if (memory == MAP_FAILED) return absl::InternalError(absl::StrCat("mmap: ", std::strerror(errno)));
  wall_step_ = new (memory) std::atomic<int64_t>(0);
  return absl::OkStatus();
}

absl::Status Fleet::StartReplica(const Options& options, int i) {
  absl::StatusOr<StoreForm::Way> way = store_->AddReplica();
  if (!way.ok()) return way.status();
  store_links_.push_back(way->links);
  auto replica =
      LarderServer::Start({.config = ConfigOf(options),
                           .environment = {absl::StrCat("REDIS_URL=", way->url), "LARDER_PLANTED_BUG=" + options.bug,
                                           "LARDER_WALL_STEP=" + folder_ + "/wall_step"},
                           .program = options.program});
  if (!replica.ok()) return replica.status();
  replicas_.push_back(*std::move(replica));
  auto call_link = TcpProxy::Start(this->replica(i).port(), {});
  if (!call_link.ok()) return call_link.status();
  call_links_.push_back(*std::move(call_link));
  return absl::OkStatus();
}

absl::Status Fleet::AwaitTracking() {
  const auto deadline = std::chrono::steady_clock::now() + kStartTimeout;
  for (const auto& replica : replicas_) {
    while (replica->Metric("cache_coherence_mode", {absl::StrCat("mode=\"", options_.coherence, "\"")}) != 1) {
      if (!replica->running()) return absl::InternalError("a replica has ended by itself");
      if (std::chrono::steady_clock::now() > deadline) return absl::UnavailableError("a replica hears of no changes");
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }
  return absl::OkStatus();
}

absl::Status Fleet::Replace(int i, const std::string& program) {
  LarderServer& server = replica(i);
  server.Stop();
  const absl::StatusOr<int> code = server.AwaitEnd();
  if (!code.ok()) return code.status();
  if (*code != 0) return absl::InternalError(absl::StrCat("larderd ended with ", *code));
  if (absl::Status status = server.Restart(program); !status.ok()) return status;
  return AwaitTracking();
}

void Fleet::StepWallClock(int64_t nanos) { wall_step_->fetch_add(nanos); }

}  // namespace larder::chaos
