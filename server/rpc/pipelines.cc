#include "server/rpc/pipelines.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "larder/v1/cache.pb.h"
#include "server/rpc/pipeline_call.h"
#include "server/rpc/rpc_metrics.h"

namespace larder {
namespace {

struct Offered {
  const char* name;
  CacheOperations::Method run;
};

// By the numbers of PipelineOperation's fields.
constexpr std::array<Offered, v1::PipelineOperation::kBatchSetFieldNumber + 1> kOffered = {{
    {"unreadable", nullptr},
    {nullptr, nullptr},  // `id`
    {"Get", &CacheOperations::Get},
    {"Set", &CacheOperations::Set},
    {"Invalidate", &CacheOperations::Invalidate},
    {"Release", &CacheOperations::Release},
    {"Touch", &CacheOperations::Touch},
    {"BatchGet", &CacheOperations::BatchGet},
    {"BatchSet", &CacheOperations::BatchSet},
}};

}  // namespace

Pipelines::Pipelines(Options options, const CacheOperations* operations, Registry* registry)
    : options_(options), operations_(operations) {
  static_assert(kOffered.size() == kFields);
  for (size_t field = 0; field < kFields; ++field) {
    if (kOffered[field].name == nullptr) continue;
    for (size_t code = 0; code < kCodes; ++code) {
      answered_[field][code] = &registry->AddCounter(
          "cache_pipeline_operations_total", "Operations of Pipeline streams, by method and code.",
          {{"method", kOffered[field].name}, {"code", CodeName(static_cast<int>(code))}});
    }
  }
  for (const auto& [why, name] : {std::pair{Held::kOperations, "operations"}, std::pair{Held::kBytes, "bytes"}}) {
    held_[static_cast<size_t>(why)] = &registry->AddCounter(
        "cache_pipeline_held_total", "Times that a Pipeline stream took nothing more for a while.", {{"limit", name}});
  }
  registry->AddGauge("cache_pipelines", "Pipeline streams that are open.", {}, [this] {
    MutexLock lock(&mutex_);
    return static_cast<double>(calls_.size());
  });
}

void Pipelines::Run(int field, const RequestBody& body, Exchange* exchange) const {
  (operations_->*kOffered[static_cast<size_t>(field)].run)(body, exchange);
}

void Pipelines::CountAnswered(int field, int code) {
  answered_[static_cast<size_t>(field)][static_cast<size_t>(std::clamp<int>(code, 0, kCodes - 1))]->Add();
}

void Pipelines::CountHeld(Held why) { held_[static_cast<size_t>(why)]->Add(); }

absl::Status Pipelines::Add(const std::shared_ptr<PipelineCall>& call) {
  MutexLock lock(&mutex_);
  if (ended_) return absl::UnavailableError("the server is shutting down");
  calls_.emplace(call.get(), call);
  return absl::OkStatus();
}

void Pipelines::Remove(PipelineCall* call) {
  MutexLock lock(&mutex_);
  calls_.erase(call);
}

void Pipelines::EndAll() {
  std::vector<std::shared_ptr<PipelineCall>> open;
  {
    MutexLock lock(&mutex_);
    ended_ = true;
    for (const auto& [call, weak] : calls_) {
      if (auto held = weak.lock()) open.push_back(std::move(held));
    }
  }
  for (const auto& call : open) call->End();
}

}  // namespace larder
