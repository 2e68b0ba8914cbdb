#include "tests/chaos/single_form.h"

#include "absl/strings/str_cat.h"
#include "tests/chaos/server_faults.h"

namespace larder::chaos {

absl::Status SingleForm::Start() {
  RedisServer::Options options;
  options.extra_args = args_;
  auto redis = RedisServer::Start(options);
  if (!redis.ok()) return redis.status();
  redis_ = *std::move(redis);
  return absl::OkStatus();
}

absl::StatusOr<StoreForm::Way> SingleForm::AddReplica() {
  auto links = std::make_unique<StoreLinks>();
  const absl::StatusOr<int> port = links->Add(redis_->port());
  if (!port.ok()) return port.status();
  links_.push_back(std::move(links));
  return Way{.url = absl::StrCat("redis://127.0.0.1:", *port), .links = links_.back().get()};
}

std::vector<std::string_view> SingleForm::FaultNames() const {
  std::vector<std::string_view> names;
  for (const ServerFault& fault : ProcessFaults()) names.push_back(fault.name);
  for (const ServerFault& fault : DataFaults()) names.push_back(fault.name);
  return names;
}

absl::Status SingleForm::Break(std::string_view name, Random& random) {
  for (const auto& faults : {ProcessFaults(), DataFaults()}) {
    for (const ServerFault& fault : faults) {
      if (fault.name == name) return fault.make(*redis_, random);
    }
  }
  return absl::InvalidArgumentError(absl::StrCat("no such fault: ", std::string(name)));
}

}  // namespace larder::chaos
