#include "client/cli/entity_text.h"

#include <gtest/gtest.h>

#include "absl/status/status.h"

namespace larder {
namespace {

TEST(ParseEntityTest, ReadsNameAndFields) {
  const v1::Entity entity = ParseEntity("appointment,staff_id=7,date=2026-03-01,note=").value();
  EXPECT_EQ(entity.name(), "appointment");
  ASSERT_EQ(entity.fields_size(), 3);
  EXPECT_EQ(entity.fields().at("staff_id"), "7");
  EXPECT_EQ(entity.fields().at("date"), "2026-03-01");
  EXPECT_EQ(entity.fields().at("note"), "");
  EXPECT_EQ(ParseEntity("client").value().fields_size(), 0);
}

TEST(ParseEntityTest, ValuesMayHoldAnything) {
  const v1::Entity entity = ParseEntity(R"(e,a=x\,y=z,b=\\,c=\n)").value();
  EXPECT_EQ(entity.fields().at("a"), "x,y=z");
  EXPECT_EQ(entity.fields().at("b"), "\\");
  EXPECT_EQ(entity.fields().at("c"), "\\n");
}

TEST(ParseEntityTest, RefusesWhatIsNone) {
  const auto refusal = [](std::string_view text) { return std::string(ParseEntity(text).status().message()); };
  const std::string is_none = " is no entity such as appointment,staff_id=7,date=2026-03-01: ";
  EXPECT_EQ(refusal(""), "\"\"" + is_none + "it has no name");
  EXPECT_EQ(refusal(",a=1"), "\",a=1\"" + is_none + "it has no name");
  EXPECT_EQ(refusal("e,a"), "\"e,a\"" + is_none + "\"a\" is not field=value");
  EXPECT_EQ(refusal("e,=1"), "\"e,=1\"" + is_none + "\"=1\" is not field=value");
  EXPECT_EQ(refusal("e,"), "\"e,\"" + is_none + "\"\" is not field=value");
  EXPECT_EQ(refusal("e,a=1,a=2"), "\"e,a=1,a=2\"" + is_none + "field \"a\" is there twice");
  EXPECT_EQ(ParseEntity("").status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace larder
