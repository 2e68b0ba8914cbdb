#include "server/policy/entity_rule.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "core/pattern.h"

namespace larder {
namespace {

using Texts = std::vector<std::string>;

Template Parsed(std::string_view text) {
  absl::StatusOr<Template> parsed = Template::Parse(text);
  EXPECT_TRUE(parsed.ok()) << text << ": " << parsed.status();
  return *std::move(parsed);
}

std::vector<Template> Parsed(const Texts& texts) {
  std::vector<Template> templates;
  for (const std::string& text : texts) templates.push_back(Parsed(std::string_view(text)));
  return templates;
}

EntityRule Rule(const Texts& keys, const Texts& tags, const Texts& patterns) {
  return {.keys = Parsed(keys), .tags = Parsed(tags), .patterns = Parsed(patterns)};
}

std::string Refusal(const absl::Status& status) {
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  return std::string(status.message());
}

TEST(TemplateTest, PutsValuesInPlaceOfFields) {
  const Template text = Parsed("availability:{staff_id}:{date}*{staff_id}");
  EXPECT_EQ(text.fields(), (Texts{"staff_id", "date", "staff_id"}));
  EXPECT_EQ(text.Expand({{"staff_id", "7"}, {"date", "2026-03-01"}, {"more", "x"}}), "availability:7:2026-03-01*7");
  EXPECT_EQ(text.Expand({{"staff_id", ""}, {"date", "{date}"}}), "availability::{date}*");
  EXPECT_EQ(Parsed("dashboard:*").Expand({}), "dashboard:*");
  EXPECT_EQ(Parsed("{a}{b}").Expand({{"a", "1"}, {"b", "2"}}), "12");
}

TEST(TemplateTest, TakesDoubledBracesForBraces) {
  EXPECT_EQ(Parsed("{{id}}").Expand({}), "{id}");
  EXPECT_EQ(Parsed("{{{id}}}").Expand({{"id", "7"}}), "{7}");
  EXPECT_EQ(Parsed("}}{{{{").Expand({}), "}{{");
}

TEST(TemplateTest, IsWrittenAsItIsParsed) {
  for (const std::string text : {"", "a", "{a}", "a:{b_1}:{c}*", "{{x}}{{{y}}}", "}}{{"}) {
    EXPECT_EQ(Parsed(text).Text(), text);
    EXPECT_EQ(Parsed(Parsed(text).Text()), Parsed(text));
  }
  EXPECT_FALSE(Parsed("{a}") == Parsed("{{a}}"));
}

TEST(TemplateTest, SaysWhereItIsNotWellFormed) {
  const std::map<std::string, std::string> rows = {
      {"a{", "at position 2: a { without its }; write {{ for a brace"},
      {"{id", "at position 1: a { without its }; write {{ for a brace"},
      {"{{{id", "at position 3: a { without its }; write {{ for a brace"},
      {"id}", "at position 3: a } without its {; write }} for a brace"},
      {"{id}}", "at position 5: a } without its {; write }} for a brace"},
      {"{}", "at position 1: \"\" is not a field, which must match [a-z0-9_]{1,63}"},
      {"x{Id}", "at position 2: \"Id\" is not a field, which must match [a-z0-9_]{1,63}"},
      {"{a b}", "at position 1: \"a b\" is not a field, which must match [a-z0-9_]{1,63}"},
      {"{a{b}", "at position 1: \"a{b\" is not a field, which must match [a-z0-9_]{1,63}"},
      {"{a-b}", "at position 1: \"a-b\" is not a field, which must match [a-z0-9_]{1,63}"},
      {"{" + std::string(64, 'a') + "}",
       "at position 1: \"" + std::string(63, 'a') + "…\" is not a field, which must match [a-z0-9_]{1,63}"},
  };
  for (const auto& [text, problem] : rows) EXPECT_EQ(Refusal(Template::Parse(text).status()), problem) << text;
  EXPECT_TRUE(Template::Parse("{" + std::string(63, 'a') + "}").ok());
}

// As the applications of a booking business write them.
EntityRules BookingRules() {
  return {
      {"appointment", Rule({"appointment:{id}"}, {"appointment:{id}", "calendar:{date}"},
                           {"availability:{staff_id}:{date}*", "dashboard:*"})},
      {"payment", Rule({}, {"client:{client_id}"}, {"*revenue*"})},
      {"client", Rule({"client:{id}"}, {"client:{id}"}, {"clients:page:*"})},
      {"service", Rule({"service:{id}"}, {"service:{id}"}, {"availability:*", "menu:??"})},
      {"user", Rule({}, {"user:{user_id}"}, {"analytics:*user_id:{user_id}*", "cache:*:*session{user_id}*"})},
  };
}

// What lies in the cache.
const Texts& Keys() {
  static const auto& keys = *new Texts{
      "analytics:daily:user_id:42:2026",
      "analytics:user_id:421",
      "analytics:user_id:7",
      "appointment:9",
      "availability:3:2026-03-01",
      "availability:3:2026-03-01:room2",
      "availability:3:2026-03-02",
      "availability:4:2026-03-01",
      "cache:eu:my_session42_x",
      "cache:session42",
      "client:5",
      "clients:page:1",
      "dashboard:",
      "dashboard:today",
      "menu:de",
      "menu:deu",
      "monthly_revenue",
      "report:revenue:2026",
      "service:1",
  };
  return keys;
}

Texts KeysThatMatch(const Texts& patterns) {
  Texts matching;
  for (const std::string& key : Keys()) {
    for (const std::string& pattern : patterns) {
      if (!MatchesPattern(pattern, key)) continue;
      matching.push_back(key);
      break;
    }
  }
  return matching;
}

struct Row {
  std::string what;
  std::vector<EntityChange> changes;
  Expansion stale;  // of all the changes, one after the other
  Texts matching;
};

const std::vector<Row>& Rows() {
  static const auto& rows = *new std::vector<Row>{
      {.what = "an appointment is made, or cancelled",
       .changes = {{"appointment", {{"id", "9"}, {"staff_id", "3"}, {"date", "2026-03-01"}}}},
       .stale = {.keys = {"appointment:9"},
                 .tags = {"appointment:9", "calendar:2026-03-01"},
                 .patterns = {"availability:3:2026-03-01*", "dashboard:*"}},
       .matching = {"availability:3:2026-03-01", "availability:3:2026-03-01:room2", "dashboard:", "dashboard:today"}},
      {.what = "an appointment moves to another day, and is one change for each of the two",
       .changes = {{"appointment", {{"id", "9"}, {"staff_id", "3"}, {"date", "2026-03-01"}}},
                   {"appointment", {{"id", "9"}, {"staff_id", "3"}, {"date", "2026-03-02"}}}},
       .stale = {.keys = {"appointment:9", "appointment:9"},
                 .tags = {"appointment:9", "calendar:2026-03-01", "appointment:9", "calendar:2026-03-02"},
                 .patterns = {"availability:3:2026-03-01*", "dashboard:*", "availability:3:2026-03-02*",
                              "dashboard:*"}},
       .matching = {"availability:3:2026-03-01", "availability:3:2026-03-01:room2", "availability:3:2026-03-02",
                    "dashboard:", "dashboard:today"}},
      {.what = "a payment",
       .changes = {{"payment", {{"client_id", "5"}}}},
       .stale = {.keys = {}, .tags = {"client:5"}, .patterns = {"*revenue*"}},
       .matching = {"monthly_revenue", "report:revenue:2026"}},
      {.what = "a client's data",
       .changes = {{"client", {{"id", "5"}}}},
       .stale = {.keys = {"client:5"}, .tags = {"client:5"}, .patterns = {"clients:page:*"}},
       .matching = {"clients:page:1"}},
      {.what = "a service's price",
       .changes = {{"service", {{"id", "1"}}}},
       .stale = {.keys = {"service:1"}, .tags = {"service:1"}, .patterns = {"availability:*", "menu:??"}},
       .matching = {"availability:3:2026-03-01", "availability:3:2026-03-01:room2", "availability:3:2026-03-02",
                    "availability:4:2026-03-01", "menu:de"}},
      {.what = "a user's rights",
       .changes = {{"user", {{"user_id", "42"}}}},
       .stale = {.keys = {}, .tags = {"user:42"}, .patterns = {"analytics:*user_id:42*", "cache:*:*session42*"}},
       .matching = {"analytics:daily:user_id:42:2026", "analytics:user_id:421", "cache:eu:my_session42_x"}},
  };
  return rows;
}

TEST(ExpandEntityTest, SaysWhatApplicationsInvalidate) {
  const EntityRules rules = BookingRules();
  for (const Row& row : Rows()) {
    Expansion all;
    for (const EntityChange& change : row.changes) {
      const absl::StatusOr<Expansion> stale = ExpandEntity(rules, change);
      ASSERT_TRUE(stale.ok()) << row.what << ": " << stale.status();
      all.keys.insert(all.keys.end(), stale->keys.begin(), stale->keys.end());
      all.tags.insert(all.tags.end(), stale->tags.begin(), stale->tags.end());
      all.patterns.insert(all.patterns.end(), stale->patterns.begin(), stale->patterns.end());
    }
    EXPECT_EQ(all.keys, row.stale.keys) << row.what;
    EXPECT_EQ(all.tags, row.stale.tags) << row.what;
    EXPECT_EQ(all.patterns, row.stale.patterns) << row.what;
    EXPECT_EQ(KeysThatMatch(all.patterns), row.matching) << row.what;
  }
}

TEST(ExpandEntityTest, GivesEachResultOnce) {
  const EntityRules rules = {{"move", Rule({}, {"day:{from}", "day:{to}", "day:{from}"}, {"*:{from}", "*:{to}"})}};
  const absl::StatusOr<Expansion> stale = ExpandEntity(rules, {"move", {{"from", "1"}, {"to", "1"}}});
  ASSERT_TRUE(stale.ok()) << stale.status();
  EXPECT_EQ(stale->tags, Texts{"day:1"});
  EXPECT_EQ(stale->patterns, Texts{"*:1"});
}

TEST(ExpandEntityTest, NamesWhatIsWrong) {
  struct Wrong {
    EntityChange change;
    std::string problem;
  };
  const std::vector<Wrong> rows = {
      {{"apointment", {{"id", "9"}}},
       "name: \"apointment\" is not an entity of the namespace (it has: appointment, client, payment, service, user)"},
      {{"", {}}, "name: \"\" is not an entity of the namespace (it has: appointment, client, payment, service, user)"},
      {{"appointment", {{"id", "9"}, {"date", "2026-03-01"}}},
       "fields: \"staff_id\" of entity \"appointment\" is missing"},
      {{"client", {}}, "fields: \"id\" of entity \"client\" is missing"},
      {{"client", {{"id", "5"}, {"name", "Ann"}}}, "fields: \"name\" is not a field of entity \"client\" (it has: id)"},
      {{"client", {{"id", "5"}, {"id", "6"}}}, "fields: \"id\" is there twice"},
      {{"user", {{"user_id", "4*"}}}, "fields: \"user_id\" goes into a pattern and must not be empty or hold * or ?"},
      {{"user", {{"user_id", "?"}}}, "fields: \"user_id\" goes into a pattern and must not be empty or hold * or ?"},
  };
  for (const Wrong& row : rows) {
    EXPECT_EQ(Refusal(ExpandEntity(BookingRules(), row.change).status()), row.problem);
  }
  EXPECT_EQ(Refusal(ExpandEntity({}, {"client", {}}).status()),
            "name: \"client\" is not an entity of the namespace (it has: none)");
}

// Only a pattern gives wildcards a meaning.
TEST(ExpandEntityTest, LeavesWildcardsInKeysAndTagsAlone) {
  const absl::StatusOr<Expansion> stale = ExpandEntity(BookingRules(), {"payment", {{"client_id", "*?"}}});
  ASSERT_TRUE(stale.ok()) << stale.status();
  EXPECT_EQ(stale->tags, Texts{"client:*?"});
}

TEST(ExpandEntityTest, KeepsToTheLimits) {
  const EntityRules rules = {
      {"key", Rule({"{id}"}, {}, {})}, {"tag", Rule({}, {"{id}"}, {})}, {"pattern", Rule({}, {}, {"{id}*"})}};
  const auto expand = [&rules](std::string_view name, size_t bytes) {
    const std::string id(bytes, 'x');
    return ExpandEntity(rules, {name, {{"id", id}}}).status();
  };
  const std::string shown = "\"" + std::string(63, 'x') + "…\"";
  EXPECT_TRUE(expand("key", 512).ok());
  EXPECT_EQ(Refusal(expand("key", 513)), "fields: they make the key " + shown + ": 513 bytes, the limit is 512");
  EXPECT_EQ(Refusal(expand("key", 0)), "fields: they make the key \"\": empty, must be 1 to 512 bytes");
  EXPECT_TRUE(expand("tag", 128).ok());
  EXPECT_EQ(Refusal(expand("tag", 129)), "fields: they make the tag " + shown + ": 129 bytes, the limit is 128");
  EXPECT_EQ(Refusal(expand("tag", 0)), "fields: they make the tag \"\": empty, must be 1 to 128 bytes");
  EXPECT_TRUE(expand("pattern", 127).ok());
  EXPECT_EQ(Refusal(expand("pattern", 128)),
            "fields: they make the pattern " + shown + ": 129 bytes, the limit is 128");
}

}  // namespace
}  // namespace larder
