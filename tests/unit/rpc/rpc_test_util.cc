#include "tests/unit/rpc/rpc_test_util.h"

#include <algorithm>
#include <array>

#include "core/clock.h"
#include "grpcpp/support/slice.h"
#include "gtest/gtest.h"
#include "server/rpc/fill_token.h"

namespace larder {
namespace {

v1::Tier WireTier(Tier tier) {
  return tier == Tier::kNear ? v1::TIER_NEAR : tier == Tier::kStore ? v1::TIER_STORE : v1::TIER_ORIGIN;
}

int64_t CeilMillis(int64_t nanos) { return (nanos + kNanosPerMilli - 1) / kNanosPerMilli; }

// From none at all to years, and below zero, where a clock has been set.
int64_t RandomNanos(Random& random) {
  if (random.OneIn(20)) return -static_cast<int64_t>(random.Below(1'000'000'000));
  return static_cast<int64_t>(random.Bits() >> (2 + random.Below(62)));
}

}  // namespace

std::string BytesOf(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  EXPECT_TRUE(buffer.Dump(&slices).ok());
  std::string bytes;
  for (const grpc::Slice& slice : slices) {
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return bytes;
}

grpc::ByteBuffer InSlices(const std::string& bytes, Random& random) {
  const size_t most = random.OneIn(3) ? bytes.size() + 1 : 1 + random.Below(40);
  std::vector<grpc::Slice> slices;
  for (size_t at = 0; at < bytes.size();) {
    const size_t size = std::min(bytes.size() - at, 1 + random.Below(most));
    auto* copy = new char[size];
    bytes.copy(copy, size, at);
    slices.emplace_back(copy, size, [](void* held) { delete[] static_cast<char*>(held); });
    at += size;
  }
  return {slices.data(), slices.size()};
}

v1::GetResponse MessageOf(const GetAnswer& answer, uint64_t incarnation) {
  v1::GetResponse response;
  response.set_incarnation(incarnation);
  if (answer.lease.has_value()) {
    response.mutable_lease()->set_token(EncodeFillToken(*answer.lease));
    response.mutable_lease()->set_ttl_ms(answer.lease_nanos / kNanosPerMilli);
  }
  if (!answer.entry) {
    response.set_status(v1::STATUS_MISS);
    if (answer.as_of.has_value()) response.set_as_of(EncodeFillToken(*answer.as_of));
    return response;
  }
  const EntryMeta& meta = answer.entry->meta();
  response.set_status(meta.absent ? v1::STATUS_ABSENT : v1::STATUS_HIT);
  response.set_tier(WireTier(answer.tier));
  response.set_freshness(answer.stale ? v1::FRESHNESS_STALE : v1::FRESHNESS_FRESH);
  response.set_age_ms(answer.age_nanos / kNanosPerMilli);
  response.set_ttl_ms(CeilMillis(answer.ttl_nanos));
  response.set_hard_ttl_ms(CeilMillis(answer.hard_ttl_nanos));
  response.set_degraded(answer.degraded);
  response.set_version(meta.version);
  response.set_sliding(meta.sliding_nanos != 0);
  response.set_content_type(std::string(answer.entry->content_type()));
  response.set_value(std::string(answer.entry->value()));
  return response;
}

GetAnswer RandomAnswer(Random& random) {
  constexpr std::array<size_t, 12> kSizes = {0, 1, 22, 23, 24, 127, 128, 511, 512, 513, 16'384, 70'000};
  const auto token = [&] { return FillToken{random.Bits() | 1, {random.Bits(), random.Bits()}}; };
  GetAnswer answer;
  if (random.OneIn(4)) {
    answer.lease = token();
    answer.lease_nanos = RandomNanos(random);
  }
  if (random.OneIn(4)) {
    if (random.OneIn(2)) answer.as_of = token();
    return answer;
  }
  const size_t size = random.OneIn(2) ? kSizes[random.Below(kSizes.size())] : random.Below(600);
  answer.entry = Entry::Create({.version = random.OneIn(10) ? 0 : random.Bits(),
                                .sliding_nanos = static_cast<int64_t>(random.Below(2)),
                                .absent = random.OneIn(5)},
                               std::string(random.OneIn(2) ? 0 : random.Below(300), 't'), random.Bytes(size));
  answer.tier = std::array{Tier::kNear, Tier::kStore, Tier::kOrigin}[random.Below(3)];
  answer.stale = random.OneIn(2);
  answer.degraded = random.OneIn(2);
  answer.age_nanos = RandomNanos(random);
  answer.ttl_nanos = RandomNanos(random);
  answer.hard_ttl_nanos = RandomNanos(random);
  return answer;
}

}  // namespace larder
