#include "client/src/resolver.h"

#include <algorithm>
#include <utility>

namespace larder::internal {

Resolver::Resolver(std::vector<Target> targets, std::chrono::milliseconds interval, OnAddresses on_addresses)
    : targets_(std::move(targets)),
      interval_(interval),
      on_addresses_(std::move(on_addresses)),
      known_(targets_.size()) {
  LookUp();
  if (NeedsResolving(targets_)) thread_ = std::thread([this] { Run(); });
}

Resolver::~Resolver() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
    wake_.NotifyAll();
  }
  if (thread_.joinable()) thread_.join();
}

void Resolver::LookUp() {
  std::vector<Address> all;
  for (size_t i = 0; i < targets_.size(); ++i) {
    absl::StatusOr<std::vector<Address>> addresses = Resolve(targets_[i]);
    if (addresses.ok()) known_[i] = *std::move(addresses);
    all.insert(all.end(), known_[i].begin(), known_[i].end());
  }
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  on_addresses_(all);
}

void Resolver::LookSoon() {
  MutexLock lock(&mutex_);
  soon_ = true;
  wake_.NotifyAll();
}

void Resolver::Run() {
  using Steady = std::chrono::steady_clock;
  Steady::time_point last = Steady::now();
  while (true) {
    {
      MutexLock lock(&mutex_);
      while (!stopping_) {
        const Steady::time_point due = last + (soon_ ? kSoonest : interval_);
        const auto left = std::chrono::nanoseconds(due - Steady::now());
        if (left.count() <= 0) break;
        wake_.WaitFor(&mutex_, left.count());
      }
      if (stopping_) return;
      soon_ = false;
    }
    LookUp();
    last = Steady::now();
  }
}

}  // namespace larder::internal
