// Calls that a store surely has not carried out.
#ifndef LARDER_SERVER_STORE_REFUSAL_H_
#define LARDER_SERVER_STORE_REFUSAL_H_

#include "absl/status/status.h"
#include "absl/strings/cord.h"

namespace larder {

inline constexpr char kRefusalMark[] = "larder.store.refused";

// The error of a store that is there and reads, but would not do this, and will not before somebody changes something
// about it: nothing has changed, and there is no outage to be bridged.
inline absl::Status Refused(absl::Status status) {
  status.SetPayload(kRefusalMark, absl::Cord());
  return status;
}

inline bool IsRefused(const absl::Status& status) { return status.GetPayload(kRefusalMark).has_value(); }

}  // namespace larder

#endif  // LARDER_SERVER_STORE_REFUSAL_H_
