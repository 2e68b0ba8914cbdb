#include "client/src/written_keys.h"

#include <memory>

#include "gtest/gtest.h"

namespace larder::internal {
namespace {

constexpr int64_t kMilli = 1'000'000;
constexpr uint16_t kOne = 1;
constexpr uint16_t kTwo = 2;

class WrittenKeysTest : public ::testing::Test {
 protected:
  std::unique_ptr<WrittenKeys> keys_ = std::make_unique<WrittenKeys>();
};

TEST_F(WrittenKeysTest, WhatNobodyWroteAnyNearTierMayAnswer) {
  EXPECT_TRUE(keys_->NearMayAnswer(7, kOne, 0));
  EXPECT_TRUE(keys_->NearMayAnswer(7, WrittenKeys::kUnknownReplica, 0));
}

TEST_F(WrittenKeysTest, OnlyTheReplicaThatAcknowledgedMayUntilTheTimeIsUp) {
  keys_->Record(7, kOne, 0, 100 * kMilli);
  EXPECT_TRUE(keys_->NearMayAnswer(7, kOne, 50 * kMilli));
  EXPECT_FALSE(keys_->NearMayAnswer(7, kTwo, 50 * kMilli));
  EXPECT_FALSE(keys_->NearMayAnswer(7, WrittenKeys::kUnknownReplica, 50 * kMilli));
  EXPECT_TRUE(keys_->NearMayAnswer(8, kTwo, 50 * kMilli));
  EXPECT_TRUE(keys_->NearMayAnswer(7, kTwo, 100 * kMilli));
}

TEST_F(WrittenKeysTest, AfterWritesThroughTwoReplicasNeitherMay) {
  keys_->Record(7, kOne, 0, 100 * kMilli);
  keys_->Record(7, kTwo, 10 * kMilli, 110 * kMilli);
  EXPECT_FALSE(keys_->NearMayAnswer(7, kOne, 50 * kMilli));
  EXPECT_FALSE(keys_->NearMayAnswer(7, kTwo, 50 * kMilli));
  EXPECT_TRUE(keys_->NearMayAnswer(7, kTwo, 110 * kMilli));
}

TEST_F(WrittenKeysTest, AnUnknownOutcomeBindsEveryReplica) {
  keys_->Record(7, kOne, 0, 100 * kMilli);
  keys_->Record(7, WrittenKeys::kUnknownReplica, 10 * kMilli, 110 * kMilli);
  EXPECT_FALSE(keys_->NearMayAnswer(7, kOne, 50 * kMilli));
}

TEST_F(WrittenKeysTest, AWriteOnceTheOtherIsOldIsTheOnlyOne) {
  keys_->Record(7, kOne, 0, 100 * kMilli);
  keys_->Record(7, kTwo, 200 * kMilli, 300 * kMilli);
  EXPECT_TRUE(keys_->NearMayAnswer(7, kTwo, 250 * kMilli));
  EXPECT_FALSE(keys_->NearMayAnswer(7, kOne, 250 * kMilli));
}

}  // namespace
}  // namespace larder::internal
