// docs/configuration.md is whole: it names every field of the schema and every environment variable.
#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>

#include "server/config/environment.h"
#include "tests/unit/config/config_test_util.h"
#include "tests/unit/config/schema_paths.h"

namespace larder {
namespace {

class ConfigurationPageExampleTest : public ConfigTest {};

std::string ReadPage() {
  std::ifstream file(LARDER_CONFIGURATION_PAGE);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(ConfigurationPageTest, NamesEveryField) {
  const std::string page = ReadPage();
  const std::set<std::string> paths = SchemaPaths();
  EXPECT_GT(paths.size(), 60);
  for (const std::string& path : paths) {
    EXPECT_TRUE(page.find("`" + path + "`") != std::string::npos) << path << " is missing in docs/configuration.md";
  }
}

TEST(ConfigurationPageTest, NamesEveryVariable) {
  const std::string page = ReadPage();
  for (const std::string& name : EnvironmentNames()) {
    EXPECT_TRUE(page.find("`" + name + "`") != std::string::npos) << name << " is missing in docs/configuration.md";
  }
}

// The page's YAML is what a reader copies.
TEST_F(ConfigurationPageExampleTest, CanBeLoaded) {
  const std::string page = ReadPage();
  const size_t start = page.rfind("```yaml\n", page.find("    warm_jobs:\n")) + 8;
  const ServerSettings settings = Settings(page.substr(start, page.find("```", start) - start));
  const NamespacePolicy* policy = Find(settings, "bookings");
  ASSERT_NE(policy, nullptr);
  EXPECT_EQ(policy->entities.size(), 5);
  EXPECT_EQ(policy->warm_jobs.size(), 3);
  const absl::StatusOr<Expansion> stale =
      ExpandEntity(policy->entities, {"appointment", {{"id", "9"}, {"staff_id", "3"}, {"date", "2026-03-01"}}});
  ASSERT_TRUE(stale.ok()) << stale.status();
  EXPECT_EQ(stale->keys, std::vector<std::string>{"appointment:9"});
  EXPECT_EQ(stale->tags, (std::vector<std::string>{"appointment:9", "calendar:2026-03-01"}));
  EXPECT_EQ(stale->patterns, (std::vector<std::string>{"availability:3:2026-03-01*", "dashboard:*"}));
}

}  // namespace
}  // namespace larder
