// How an ABORTED status carries the version that stood against a write. Defined here, so that it needs no symbol that
// a shared library hides.
#ifndef LARDER_CLIENT_SRC_VERSION_PAYLOAD_H_
#define LARDER_CLIENT_SRC_VERSION_PAYLOAD_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/cord.h"

namespace larder::internal {

inline constexpr char kVersionPayloadUrl[] = "larder.dev/current-version";

// 0: there is no entry; nothing is added. CurrentVersion() reads it.
inline void SetCurrentVersion(absl::Status& status, uint64_t version) {
  if (version != 0) status.SetPayload(kVersionPayloadUrl, absl::Cord(std::to_string(version)));
}

}  // namespace larder::internal

#endif  // LARDER_CLIENT_SRC_VERSION_PAYLOAD_H_
