#ifndef LARDER_CLIENT_SRC_NAMES_GROUPS_H_
#define LARDER_CLIENT_SRC_NAMES_GROUPS_H_

#include "larder/calls.h"

namespace larder::internal {

// Which entries it concerns, only the service knows; the rule of an entity may name keys too.
inline bool NamesGroups(const Invalidation& what) {
  return !what.tags.empty() || !what.patterns.empty() || !what.entities.empty();
}

}  // namespace larder::internal

#endif  // LARDER_CLIENT_SRC_NAMES_GROUPS_H_
