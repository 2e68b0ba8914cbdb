#include "larder/cached.h"

#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "larder/testing/fake_cache.h"

namespace larder {
namespace {

using std::chrono::minutes;

class CachedTest : public ::testing::Test {
 protected:
  std::string ValueAt(std::string_view key) {
    const absl::StatusOr<MaybeHit> hit = cache_.Get(key);
    return hit.ok() && hit->has_value() ? (*hit)->value.ToString() : "none";
  }

  testing::FakeCache cache_{{.name_spaces = {"shop"}}};
  int calls_ = 0;
};

TEST_F(CachedTest, CallsTheFunctionOnceForEachArguments) {
  auto price = Cached<std::string>(cache_, {.prefix = "price", .ttl = minutes(5)},
                                   [&](int product, const std::string& currency) {
                                     ++calls_;
                                     return std::to_string(product) + currency;
                                   });
  EXPECT_EQ(*price(7, "EUR"), "7EUR");
  EXPECT_EQ(*price(7, "EUR"), "7EUR");
  EXPECT_EQ(calls_, 1);
  EXPECT_EQ(*price(7, "USD"), "7USD");
  EXPECT_EQ(*price(8, "EUR"), "8EUR");
  EXPECT_EQ(calls_, 3);
  EXPECT_EQ(price.Key(7, "EUR"), "price?0=7&1=EUR");
  EXPECT_EQ(ValueAt(price.Key(7, "EUR")), "7EUR");

  ASSERT_TRUE(cache_.Invalidate({.keys = {price.Key(7, "EUR")}}).ok());
  EXPECT_EQ(*price(7, "EUR"), "7EUR");
  EXPECT_EQ(calls_, 4);
}

TEST_F(CachedTest, KeysDoNotDependOnHowAnArgumentWasWritten) {
  auto flag = Cached<std::string>(cache_, {.prefix = "flag"}, [](bool on) { return on ? "on" : "off"; });
  EXPECT_EQ(flag.Key(true), "flag?0=true");
  EXPECT_EQ(*flag(2), "on");
  EXPECT_TRUE(cache_.Contains(flag.Key(true)));
}

TEST_F(CachedTest, NamesTheArguments) {
  const auto function = [](int, int) { return std::string(); };
  const auto key = [&](std::vector<std::string> names) {
    return Cached<std::string>(cache_, {.prefix = "k", .names = std::move(names)}, function).Key(1, 2);
  };
  EXPECT_EQ(key({"staff", "day"}), "k?day=2&staff=1");
  EXPECT_EQ(key({}), "k?0=1&1=2");
}

TEST_F(CachedTest, RefusesOptionsThatMakeNoKeys) {
  const auto function = [&](int, int) {
    ++calls_;
    return std::string();
  };
  int reports = 0;
  const auto refusal = [&](CachedOptions options) {
    options.report = [&](std::string_view, const LoadReport&) { ++reports; };
    auto cached = Cached<std::string>(cache_, std::move(options), function);
    EXPECT_EQ(cached.Key(1, 2), "");
    return cached(1, 2).status();
  };
  // Two functions without a prefix would read each other's entries.
  EXPECT_EQ(refusal({}), absl::InvalidArgumentError("prefix: is empty; each cached function needs its own"));
  EXPECT_EQ(refusal({.prefix = "k", .names = {"staff"}}),
            absl::InvalidArgumentError("names: 1 are given to a function of 2 arguments"));
  // One name for two arguments would make one key of (1, 2) and (2, 1).
  EXPECT_EQ(refusal({.prefix = "k", .names = {"id", "id"}}),
            absl::InvalidArgumentError("names: \"id\" is given twice"));
  EXPECT_EQ(Cached<std::string>(cache_, {}, ScopedBy([](int, int) { return std::string("ada"); }), function)(1, 2)
                .status()
                .code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(calls_, 0);
  EXPECT_EQ(reports, 0);
  EXPECT_EQ(cache_.calls().gets, 0);
}

TEST_F(CachedTest, KeepsKeysWithinTheNamespacesLimit) {
  testing::FakeCache narrow({.max_key_bytes = 128});
  LoadReport report;
  const auto stored = [&](size_t max_key_bytes) {
    auto cached = Cached<std::string>(narrow,
                                      {.prefix = "k",
                                       .max_key_bytes = max_key_bytes,
                                       .report = [&](std::string_view, const LoadReport& last) { report = last; }},
                                      [](const std::string& text) { return text; });
    EXPECT_TRUE(cached(std::string(200, 'x')).ok());
    return report.stored;
  };
  EXPECT_FALSE(stored(KeyBuilder::kMaxBytes));
  EXPECT_TRUE(stored(128));
}

TEST_F(CachedTest, GivesEntriesItsOptions) {
  std::vector<std::string> reported;
  auto stock = Cached<std::optional<std::string>>(
      cache_,
      {.prefix = "stock",
       .ttl = minutes(10),
       .absent_ttl = minutes(1),
       .name_space = "shop",
       .report =
           [&](std::string_view key, const LoadReport& report) {
             reported.push_back(std::string(key) + (report.source == LoadReport::Source::kCache ? " hit" : " loaded"));
           }},
      [&](int product) -> std::optional<std::string> {
        ++calls_;
        return product == 0 ? std::nullopt : std::optional<std::string>("3");
      });
  EXPECT_EQ(*stock(1), "3");
  EXPECT_EQ(*stock(0), std::nullopt);
  EXPECT_EQ(*stock(0), std::nullopt);
  EXPECT_EQ(calls_, 2);
  EXPECT_TRUE(cache_.Contains(stock.Key(1), "shop"));
  EXPECT_EQ(reported, (std::vector<std::string>{"stock?0=1 loaded", "stock?0=0 loaded", "stock?0=0 hit"}));

  cache_.Advance(minutes(2));
  EXPECT_TRUE(cache_.Contains(stock.Key(1), "shop"));
  EXPECT_FALSE(cache_.Contains(stock.Key(0), "shop"));
  cache_.Advance(minutes(9));
  EXPECT_FALSE(cache_.Contains(stock.Key(1), "shop"));
}

TEST_F(CachedTest, OneUserNeverReadsAnothersEntry) {
  std::string reader = "ada";
  auto dashboard = Cached<std::string>(cache_, {.prefix = "dashboard"}, ScopedBy([&](int) { return reader; }),
                                       [&](int) { return "of " + reader; });
  EXPECT_EQ(*dashboard(1), "of ada");
  EXPECT_EQ(dashboard.Key(1), "dashboard?0=1@ada");
  reader = "bob";
  EXPECT_EQ(*dashboard(1), "of bob");

  auto shared = Cached<std::string>(cache_, {.prefix = "page"}, ScopedBy([](const std::string& user) {
                                      return user == "guest" ? std::nullopt : std::optional(user);
                                    }),
                                    [](const std::string&) { return std::string(); });
  EXPECT_EQ(shared.Key("guest"), "page?0=guest");
  EXPECT_EQ(shared.Key("ada"), "page?0=ada@ada");
}

struct Product {
  int id = 0;
};

TEST_F(CachedTest, TakesAKeyFunctionForArgumentsThatAreNoParameters) {
  auto price = Cached<std::string>(
      cache_, {.ttl = minutes(5)},
      KeyedBy([](const Product& p) { return KeyBuilder("price").With("id", p.id).Build(); }), [&](const Product& p) {
        ++calls_;
        return std::to_string(p.id);
      });
  EXPECT_EQ(price.Key(Product{7}), "price?id=7");
  EXPECT_EQ(*price(Product{7}), "7");
  EXPECT_EQ(*price(Product{7}), "7");
  EXPECT_EQ(calls_, 1);
}

TEST_F(CachedTest, CachesNoFailure) {
  absl::Status failure = absl::NotFoundError("no such product");
  auto price = Cached<std::string>(cache_, {.prefix = "price"}, [&](int) -> absl::StatusOr<std::string> {
    ++calls_;
    if (!failure.ok()) return failure;
    return "5";
  });
  EXPECT_EQ(price(7).status(), failure);
  EXPECT_EQ(cache_.size(), 0u);
  failure = absl::OkStatus();
  EXPECT_EQ(*price(7), "5");
  EXPECT_EQ(calls_, 2);
}

TEST_F(CachedTest, TurnsExceptionsIntoStatuses) {
  auto thrown =
      Cached<std::string>(cache_, {.prefix = "k"}, [](int) -> std::string { throw std::runtime_error("it broke"); });
  EXPECT_EQ(thrown(1).status(), absl::InternalError("the loader threw: it broke"));

  auto keyless = Cached<std::string>(cache_, {},
                                     KeyedBy([](int) -> std::string { throw std::runtime_error("no key"); }), [&](int) {
                                       ++calls_;
                                       return std::string();
                                     });
  EXPECT_EQ(keyless(1).status(), absl::InternalError("the key function threw: no key"));
  EXPECT_EQ(calls_, 0);
}

TEST_F(CachedTest, GoesOnWithoutTheCache) {
  absl::Status read;
  auto price = Cached<std::string>(
      cache_, {.prefix = "price", .report = [&](std::string_view, const LoadReport& report) { read = report.read; }},
      [](int) { return "5"; });
  cache_.SetDown(true);
  EXPECT_EQ(*price(7), "5");
  EXPECT_EQ(read.code(), absl::StatusCode::kUnavailable);
}

std::string Doubled(int number) { return std::to_string(2 * number); }

TEST_F(CachedTest, WrapsAPlainFunction) {
  const auto doubled = Cached<std::string>(cache_, {.prefix = "doubled"}, Doubled);
  const auto copy = doubled;
  EXPECT_EQ(*copy(21), "42");
  EXPECT_EQ(copy.Key(21), doubled.Key(21));
}

}  // namespace
}  // namespace larder
