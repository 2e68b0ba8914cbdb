#include "larder/codec.h"

#include <gtest/gtest.h>

#include <cmath>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "larder/json.h"
#include "larder/testing/fake_cache.h"
#include "larder/v1/cache.pb.h"

namespace larder {
namespace {

struct Price {
  static constexpr std::string_view kJsonType = "shop.Price";
  int cents = 0;
  std::string currency;
};
void to_json(nlohmann::json& json, const Price& price) {
  json = {{"cents", price.cents}, {"currency", price.currency}};
}
void from_json(const nlohmann::json& json, Price& price) {
  json.at("cents").get_to(price.cents);
  json.at("currency").get_to(price.currency);
}

struct Stock {
  int pieces = 0;
};
void to_json(nlohmann::json& json, const Stock& stock) { json = {{"pieces", stock.pieces}}; }
void from_json(const nlohmann::json& json, Stock& stock) { json.at("pieces").get_to(stock.pieces); }

// A type of somebody else's, with a name given to it from outside.
struct Foreign {
  int number = 0;
};
void to_json(nlohmann::json& json, const Foreign& foreign) { json = foreign.number; }
void from_json(const nlohmann::json& json, Foreign& foreign) { json.get_to(foreign.number); }

struct Fragile {};

// Of a codec that does not even know its name.
struct Nameless {};

struct Ratio {
  double value = 0;
};
void to_json(nlohmann::json& json, const Ratio& ratio) { json = {{"values", {1, ratio.value}}}; }
void from_json(const nlohmann::json& json, Ratio& ratio) { json.at("values").at(1).get_to(ratio.value); }

}  // namespace

template <>
struct Codec<Price> : JsonCodec<Price> {};
template <>
struct Codec<Stock> : JsonCodec<Stock> {};
template <>
struct Codec<Foreign> : JsonCodec<Foreign> {
  static std::string ContentType() { return "application/json; type=foreign"; }
};
template <>
struct Codec<Ratio> : JsonCodec<Ratio> {};
template <>
struct Codec<Nameless> {
  static std::string ContentType() { throw std::runtime_error("no name"); }
  static absl::StatusOr<std::string> Encode(const Nameless&) { return "bytes"; }
  static absl::StatusOr<Nameless> Decode(std::string_view) { return Nameless(); }
};
template <>
struct Codec<Fragile> {
  static std::string ContentType() { return "application/x-fragile"; }
  static absl::StatusOr<std::string> Encode(const Fragile&) { throw std::runtime_error("it broke"); }
  static absl::StatusOr<Fragile> Decode(std::string_view) { throw std::runtime_error("it broke again"); }
};

namespace {

class CodecTest : public ::testing::Test {
 protected:
  std::string ContentTypeOf(std::string_view key) {
    const absl::StatusOr<MaybeHit> hit = cache_.Get(key);
    return hit.ok() && hit->has_value() ? std::string((*hit)->value.content_type()) : "none";
  }

  testing::FakeCache cache_;
};

TEST_F(CodecTest, BringsBackWhatWasSet) {
  const std::string bytes("\0\xFF", 2);
  ASSERT_TRUE(cache_.SetAs("text", bytes).ok());
  EXPECT_EQ(**cache_.GetAs<std::string>("text"), bytes);

  ASSERT_TRUE(cache_.SetAs("price", Price{250, "EUR"}).ok());
  const absl::StatusOr<std::optional<Price>> price = cache_.GetAs<Price>("price");
  ASSERT_TRUE(price.ok() && price->has_value()) << price.status();
  EXPECT_EQ((*price)->cents, 250);
  EXPECT_EQ((*price)->currency, "EUR");

  ASSERT_TRUE(cache_.SetAs("foreign", Foreign{4}).ok());
  EXPECT_EQ((*cache_.GetAs<Foreign>("foreign"))->number, 4);

  v1::GetRequest message;
  message.set_key("user:7");
  ASSERT_TRUE(cache_.SetAs("message", message).ok());
  EXPECT_EQ((*cache_.GetAs<v1::GetRequest>("message"))->key(), "user:7");

  ASSERT_TRUE(cache_.SetAs("json", nlohmann::json{1, "two", nullptr}).ok());
  EXPECT_EQ((*cache_.GetAs<nlohmann::json>("json"))->dump(), R"([1,"two",null])");
}

TEST_F(CodecTest, SaysOfWhichTypeTheBytesAre) {
  ASSERT_TRUE(cache_.SetAs("price", Price{}).ok());
  EXPECT_EQ(ContentTypeOf("price"), "application/json; type=shop.Price");
  ASSERT_TRUE(cache_.SetAs("stock", Stock{}).ok());
  EXPECT_EQ(ContentTypeOf("stock"), "application/json");
  ASSERT_TRUE(cache_.SetAs("foreign", Foreign{}).ok());
  EXPECT_EQ(ContentTypeOf("foreign"), "application/json; type=foreign");
  ASSERT_TRUE(cache_.SetAs("message", v1::GetRequest()).ok());
  EXPECT_EQ(ContentTypeOf("message"), "application/protobuf; type=larder.v1.GetRequest");
}

TEST_F(CodecTest, RefusesAnotherType) {
  ASSERT_TRUE(cache_.SetAs("stock", Stock{3}).ok());
  EXPECT_EQ(cache_.GetAs<Price>("stock").status(),
            absl::FailedPreconditionError("key \"stock\": the cached value is \"application/json\", not "
                                          "\"application/json; type=shop.Price\""));
  EXPECT_EQ(cache_.GetAs<v1::GetRequest>("stock").status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(CodecTest, RefusesBytesThatAreNotWhatTheirContentTypeSays) {
  ASSERT_TRUE(cache_.Set("cut", "{\"pieces\":", {.content_type = "application/json"}).ok());
  EXPECT_EQ(cache_.GetAs<Stock>("cut").status(),
            absl::FailedPreconditionError(
                "key \"cut\": the cached value is not a valid \"application/json\": the bytes are no JSON"));
  ASSERT_TRUE(cache_.SetAs("list", nlohmann::json{1, 2}).ok());
  EXPECT_EQ(cache_.GetAs<Stock>("list").status().code(), absl::StatusCode::kFailedPrecondition);
  ASSERT_TRUE(
      cache_.Set("message", "\x0A\x7F", {.content_type = "application/protobuf; type=larder.v1.GetRequest"}).ok());
  EXPECT_EQ(cache_.GetAs<v1::GetRequest>("message").status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(CodecTest, TurnsExceptionsIntoStatuses) {
  EXPECT_EQ(cache_.SetAs("fragile", Fragile()).status(),
            absl::InvalidArgumentError("the value cannot be encoded: it broke"));
  ASSERT_TRUE(cache_.Set("fragile", "", {.content_type = "application/x-fragile"}).ok());
  EXPECT_EQ(cache_.GetAs<Fragile>("fragile").status(),
            absl::FailedPreconditionError(
                "key \"fragile\": the cached value is not a valid \"application/x-fragile\": it broke again"));
  EXPECT_EQ(cache_.SetAs("price", Price{1, "\xFF"}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(cache_.Contains("price"));
}

TEST_F(CodecTest, AContentTypeThatThrowsIsAStatusToo) {
  const absl::Status refused = absl::InvalidArgumentError("the value cannot be encoded: no name");
  EXPECT_EQ(cache_.SetAs("k", Nameless()).status(), refused);
  EXPECT_EQ(cache_.GetOrLoad<Nameless>("k", {}, [] { return Nameless(); }).status(), refused);
  ASSERT_TRUE(cache_.Set("k", "", {.content_type = "t"}).ok());
  EXPECT_EQ(cache_.GetAs<Nameless>("k").status(),
            absl::FailedPreconditionError("key \"k\": the cached value is not a valid \"t\": no name"));
}

TEST_F(CodecTest, JsonRefusesNumbersThatItCannotBringBack) {
  ASSERT_TRUE(cache_.SetAs("ratio", Ratio{0.1}).ok());
  EXPECT_EQ((*cache_.GetAs<Ratio>("ratio"))->value, 0.1);
  for (const double value : {std::nan(""), HUGE_VAL, -HUGE_VAL}) {
    EXPECT_EQ(cache_.SetAs("ratio", Ratio{value}).status(),
              absl::InvalidArgumentError("JSON has no number that is not finite"));
  }
  EXPECT_EQ((*cache_.GetAs<Ratio>("ratio"))->value, 0.1);
}

}  // namespace
}  // namespace larder
