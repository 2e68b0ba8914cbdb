#include "tests/unit/config/config_test_util.h"
#include "tests/unit/config/every_field.h"

namespace larder {
namespace {

using Texts = std::vector<std::string>;

Texts TextsOf(const std::vector<Template>& templates) {
  Texts texts;
  for (const Template& text : templates) texts.push_back(text.Text());
  return texts;
}

class LoadEntitiesTest : public ConfigTest {};

TEST_F(LoadEntitiesTest, ReadsListsInBothForms) {
  const ServerSettings settings = Settings(kEveryField);
  const EntityRule& client = Find(settings, "shop")->entities.at("client");
  EXPECT_EQ(TextsOf(client.keys), (Texts{"client:{id}", "c"}));
  EXPECT_EQ(TextsOf(client.tags), (Texts{"client:{id}", "of:{{{owner}}}"}));
  EXPECT_EQ(TextsOf(client.patterns), Texts{"clients:*"});
}

TEST_F(LoadEntitiesTest, ReadsJson) {
  const ServerSettings settings =
      Settings("{\"defaults\": {\"entities\": {\"client\": {\"tags\": [\"client:{id}\", \"7\"]}}}}");
  EXPECT_EQ(TextsOf(settings.namespaces[0].entities.at("client").tags), (Texts{"client:{id}", "7"}));
}

TEST_F(LoadEntitiesTest, ReplacesARuleOfTheDefaultsWhole) {
  const ServerSettings settings = Settings(kEveryField);
  const EntityRules& plain = Find(settings, "plain")->entities;
  EXPECT_EQ(plain.size(), 2);
  EXPECT_EQ(TextsOf(plain.at("client").tags), Texts{"client:{id}"});
  EXPECT_TRUE(plain.at("client").keys.empty());
  const EntityRules& shop = Find(settings, "shop")->entities;
  EXPECT_EQ(shop.size(), 2);
  EXPECT_EQ(TextsOf(shop.at("payment").patterns), Texts{"*revenue*"});
  EXPECT_EQ(shop.at("client").keys.size(), 2);
}

TEST_F(LoadEntitiesTest, NamesTheProblemAndItsPlace) {
  const std::string too_long(129, 't');
  const std::vector<std::pair<std::string, std::string>> rows = {
      {"{Client: {tags: [a]}}", "Client: a name must match [a-z0-9_-]{1,63}"},
      {"{client: }", "client: has neither keys nor tags nor patterns"},
      {"{client: {tags: []}}", "client: has neither keys nor tags nor patterns"},
      {"{client: {keys: [k], tag: [a]}}", "client.tag: unknown field; did you mean \"tags\"?"},
      {"{client: {keys: [k], tags: a}}", "client.tags: must be a list; write for example [\"a\", \"b\"]"},
      {"{client: {keys: [k], tags: {a: b}}}", "client.tags: must be a list; write for example [\"a\", \"b\"]"},
      {"{client: {keys: [k], tags: }}", "client.tags: has no value"},
      {"{client: {tags: [a, ~]}}", "client.tags[1]: has no value"},
      {"{client: {tags: [a, [b]]}}", "client.tags[1]: must be a single value"},
      {"{client: {tags: [a, {id}]}}", "client.tags[1]: must be a single value"},
      {"{client: {tags: ['']}}", "client.tags[0]: empty, must be 1 to 128 bytes"},
      {"{client: {tags: ['x{id}" + too_long + "']}}", "client.tags[0]: 130 bytes without its fields, the limit is 128"},
      {"{client: {patterns: ['" + too_long + "']}}",
       "client.patterns[0]: 129 bytes without its fields, the limit is 128"},
      {"{client: {keys: ['c:{id}', 'c:{id']}}",
       "client.keys[1]: \"c:{id\": at position 3: a { without its }; write {{ for a brace"},
      {"{client: {patterns: ['c:{Id}*']}}",
       "client.patterns[0]: \"c:{Id}*\": at position 3: \"Id\" is not a field, which must match [a-z0-9_]{1,63}"},
  };
  for (const auto& [yaml, problem] : rows) {
    EXPECT_EQ(Problems("defaults: {\n  entities: " + yaml + "}\n"), "larder.yaml:2: defaults.entities." + problem)
        << yaml;
  }
}

TEST_F(LoadEntitiesTest, TellsAllProblemsAtOnceAndEachOnce) {
  EXPECT_EQ(
      Problems("defaults:\n"
               "  entities:\n"
               "    a:\n"
               "      tags:\n"
               "        - x\n"
               "        - x}\n"
               "      keys: ['{']\n"
               "namespaces:\n"
               "  one:\n"
               "  two:\n"
               "    entities:\n"
               "      b:\n"),
      "larder.yaml:7: defaults.entities.a.keys[0]: \"{\": at position 1: a { without its }; write {{ for a brace\n"
      "larder.yaml:6: defaults.entities.a.tags[1]: \"x}\": at position 2: a } without its {; write }} for a "
      "brace\n"
      "larder.yaml:12: namespaces.two.entities.b: has neither keys nor tags nor patterns");
}

TEST_F(LoadEntitiesTest, BoundsRulesAndTemplates) {
  std::string entities = "namespaces:\n  default:\n    entities:\n";
  for (int i = 0; i < 200; ++i) entities += "      e" + std::to_string(i) + ": {tags: [a]}\n";
  EXPECT_EQ(Settings(entities).namespaces[0].entities.size(), 200);
  EXPECT_EQ(Problems(entities + "      more: {tags: [a]}\n"),
            "larder.yaml:3: namespaces.default.entities: 201 entities, the limit is 200");
  std::string tags;
  for (int i = 0; i < 100; ++i) tags += "t" + std::to_string(i) + ", ";
  EXPECT_EQ(Settings("defaults: {entities: {a: {tags: [" + tags + "]}}}").namespaces[0].entities.at("a").tags.size(),
            100);
  EXPECT_EQ(Problems("defaults: {entities: {a: {tags: [" + tags + "more]}}}"),
            "larder.yaml:1: defaults.entities.a.tags: 101, the limit is 100");
}

}  // namespace
}  // namespace larder
