#include "client/src/retry_budget.h"

#include "gtest/gtest.h"

namespace larder::internal {
namespace {

int WithdrawAll(RetryBudget* budget) {
  int count = 0;
  while (budget->Withdraw()) ++count;
  return count;
}

TEST(RetryBudgetTest, BeginsWithItsReserve) {
  RetryBudget budget(0.2);
  EXPECT_EQ(WithdrawAll(&budget), RetryBudget::kReserve);
}

TEST(RetryBudgetTest, AFifthOfTheCallsMayBeRetried) {
  RetryBudget budget(0.2);
  WithdrawAll(&budget);
  for (int i = 0; i < 50; ++i) budget.OnCall();
  EXPECT_EQ(WithdrawAll(&budget), 10);
}

TEST(RetryBudgetTest, HoldsNoMoreThanItsReserve) {
  RetryBudget budget(0.2);
  for (int i = 0; i < 10'000; ++i) budget.OnCall();
  EXPECT_EQ(WithdrawAll(&budget), RetryBudget::kReserve);
}

TEST(RetryBudgetTest, NoneIsNone) {
  RetryBudget budget(0);
  for (int i = 0; i < 100; ++i) budget.OnCall();
  EXPECT_FALSE(budget.Withdraw());
}

}  // namespace
}  // namespace larder::internal
