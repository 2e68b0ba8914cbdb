// Between the client's plain data and the messages of larder.v1.
#ifndef LARDER_CLIENT_SRC_WIRE_H_
#define LARDER_CLIENT_SRC_WIRE_H_

#include <chrono>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "core/entry.h"
#include "larder/calls.h"
#include "larder/v1/cache.pb.h"

namespace larder::internal {

v1::SetRequest ToMessage(std::string key, std::string value, const SetOptions& options);
v1::SetRequest ToMessage(SetItem item);  // without its namespace
v1::WarmRequest ToWarmMessage(SetItem item, const std::string& name_space);
v1::TouchRequest ToMessage(std::string key, const TouchOptions& options);
v1::InvalidateRequest ToMessage(Invalidation what, const std::string& name_space);

// Does the answer bring an entry? A known absence is one.
bool IsHit(const v1::GetResponse& response);

// What the answer says besides its entry.
LeasedRead ToLeasedMiss(const v1::GetResponse& response);

// What a hit brought, as an entry that may be kept: created, read, stale and gone at times on Clock's scale, counted
// from `sent_nanos`, when the call was sent, so that it is never taken for younger than it is. `near_key` is that under
// which it may be kept.
EntryRef ToEntry(const v1::GetResponse& response, int64_t sent_nanos, std::string_view near_key = {});

// The same hit for the application.
Hit ToHit(const v1::GetResponse& response, EntryRef entry);
// A hit of the client's near cache.
Hit ToNearHit(EntryRef entry, int64_t now_nanos);

// May it be kept by the client at all? Never what is stale or degraded, nor what a later release calls otherwise
// (COHERENCE P1).
bool IsFreshHit(const v1::GetResponse& response);

absl::StatusOr<SetResult> FromMessage(const v1::BatchSetResult& result);
WarmProgress FromMessage(const v1::WarmProgress& progress);

}  // namespace larder::internal

#endif  // LARDER_CLIENT_SRC_WIRE_H_
