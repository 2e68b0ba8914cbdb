#include "tests/chaos/workload.h"

#include "tests/chaos/caller.h"
#include "tests/chaos/foreign_writer.h"
#include "tests/chaos/warmer.h"

namespace larder::chaos {
namespace {

constexpr int kCallersPerReplica = 3;

}  // namespace

Workload::Workload(Fleet* fleet, uint64_t seed, int library_callers) {
  all_.fleet = fleet;
  uint64_t next_seed = seed * 1'000;
  for (int i = 0; i < kReplicas * kCallersPerReplica; ++i) {
    clients_.push_back(std::make_unique<Caller>(&all_, next_seed++, i % kReplicas));
  }
  clients_.push_back(std::make_unique<Warmer>(&all_, next_seed++));
  if (fleet->hears_foreign()) clients_.push_back(std::make_unique<ForeignWriter>(&all_, next_seed++));
  for (int i = 0; i < library_callers; ++i) {
    auto caller = std::make_unique<LibraryCaller>(&all_, next_seed++);
    library_callers_.push_back(caller.get());
    clients_.push_back(std::move(caller));
  }
}

Workload::~Workload() { Stop(); }

void Workload::Start() {
  for (const auto& client : clients_) threads_.emplace_back([&client] { client->Run(); });
}

void Workload::Stop() {
  all_.stopping = true;
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

std::vector<Operation> Workload::TakeHistory() {
  std::vector<Operation> all;
  for (const auto& client : clients_) {
    const std::vector<Operation> one = client->TakeHistory();
    all.insert(all.end(), one.begin(), one.end());
  }
  return all;
}

size_t Workload::LibraryCalls() const {
  size_t calls = 0;
  for (const LibraryCaller* caller : library_callers_) calls += caller->calls();
  return calls;
}

std::vector<std::string> Workload::LibraryErrors() const {
  std::vector<std::string> all;
  for (const LibraryCaller* caller : library_callers_) {
    const std::vector<std::string> one = caller->Errors();
    all.insert(all.end(), one.begin(), one.end());
  }
  return all;
}

}  // namespace larder::chaos
