// The entity rules of a FakeCache.
#ifndef LARDER_CLIENT_TESTING_FAKE_ENTITIES_H_
#define LARDER_CLIENT_TESTING_FAKE_ENTITIES_H_

#include <map>
#include <string>

#include "absl/status/status.h"
#include "larder/calls.h"
#include "larder/testing/fake_cache.h"

namespace larder::testing {

// Adds the keys, tags and patterns that the entities' rules name. INVALID_ARGUMENT, in the service's words: an entity
// that has no rule, a field that is missing, not of the rule, or a wildcard that would go into a pattern.
absl::Status ExpandEntities(const std::map<std::string, FakeEntityRule>& rules, Invalidation* what);

}  // namespace larder::testing

#endif  // LARDER_CLIENT_TESTING_FAKE_ENTITIES_H_
