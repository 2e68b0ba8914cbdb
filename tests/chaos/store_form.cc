#include "tests/chaos/store_form.h"

#include <algorithm>
#include <array>
#include <cstdlib>

#include "tests/chaos/cluster_form.h"
#include "tests/chaos/evicting_form.h"
#include "tests/chaos/sentinel_form.h"
#include "tests/chaos/single_form.h"

namespace larder::chaos {
namespace {

struct Named {
  std::string_view name;
  std::unique_ptr<StoreForm> (*make)();
};

constexpr std::array kForms = {
    Named{"single", [] { return std::unique_ptr<StoreForm>(std::make_unique<SingleForm>()); }},
    Named{"allkeys-lru", [] { return std::unique_ptr<StoreForm>(std::make_unique<EvictingForm>("allkeys-lru")); }},
    Named{"sentinel", [] { return std::unique_ptr<StoreForm>(std::make_unique<SentinelForm>()); }},
    Named{"cluster", [] { return std::unique_ptr<StoreForm>(std::make_unique<ClusterForm>()); }},
    Named{"volatile-lru", [] { return std::unique_ptr<StoreForm>(std::make_unique<EvictingForm>("volatile-lru")); }},
};

}  // namespace

std::vector<std::string_view> StoreFormNames() {
  std::vector<std::string_view> names;
  names.reserve(kForms.size());
  for (const Named& form : kForms) names.push_back(form.name);
  return names;
}

std::unique_ptr<StoreForm> MakeStoreForm(std::string_view name) {
  const auto form = std::find_if(kForms.begin(), kForms.end(), [&](const Named& one) { return one.name == name; });
  if (form == kForms.end()) std::abort();
  return form->make();
}

}  // namespace larder::chaos
