#include "client/src/resolver.h"

#include <utility>

namespace larder::internal {

Resolver::Resolver(std::vector<Target> targets, std::chrono::milliseconds interval, OnAddresses on_addresses)
    : targets_(std::move(targets)), interval_(interval), on_addresses_(std::move(on_addresses)) {
  const auto addresses = Resolve(targets_);
  if (addresses.ok()) on_addresses_(*addresses);
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
    const auto addresses = Resolve(targets_);
    if (addresses.ok()) on_addresses_(*addresses);
    last = Steady::now();
  }
}

}  // namespace larder::internal
