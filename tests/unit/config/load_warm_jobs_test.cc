#include "tests/unit/config/config_test_util.h"
#include "tests/unit/config/every_field.h"

namespace larder {
namespace {

class LoadWarmJobsTest : public ConfigTest {};

TEST_F(LoadWarmJobsTest, ReadsThemByName) {
  const std::vector<WarmJobPolicy> expected = {
      {.name = "file", .file = "/etc/larder/warm.jsonl"},
      {.name = "hot", .hottest = 1'000},
      {.name = "list", .prefix = "menu:", .hold_readiness_ms = 60'000},
      {.name = "menu",
       .keys = {"a", "b"},
       .at_start = false,
       .every_ms = 3'600'000,
       .concurrency = 2,
       .max_per_second = 100},
  };
  const ServerSettings settings = Settings(kEveryField);
  EXPECT_TRUE(Find(settings, "shop")->warm_jobs == expected);
  EXPECT_TRUE(Find(settings, "plain")->warm_jobs.empty());
}

TEST_F(LoadWarmJobsTest, LoadFromTheOriginOfTheDefaultsToo) {
  const ServerSettings settings =
      Settings("defaults: {origin: {target: 'a:1'}}\nnamespaces: {shop: {warm_jobs: {all: {prefix: ''}}}}\n");
  EXPECT_EQ(Find(settings, "shop")->warm_jobs.at(0).prefix, "");
}

TEST_F(LoadWarmJobsTest, NamesTheProblemAndItsPlace) {
  const std::vector<std::pair<std::string, std::string>> rows = {
      {"A: {file: a}", "A: a name must match [a-z0-9_-]{1,63}"},
      {"w: ", "w: has none of keys, prefix, file and hottest"},
      {"w: {keys: []}", "w: has none of keys, prefix, file and hottest"},
      {"w: {keys: [a], hottest: 5}", "w: has keys and hottest, must have one of them"},
      {"w: {prefix: a, file: b}", "w: has prefix and file, must have one of them"},
      {"w: {keys: [a, '']}", "w.keys[1]: key: empty, must be 1 to 8 bytes"},
      {"w: {keys: [a, 123456789]}", "w.keys[1]: key: 9 bytes, the limit is 8"},
      {"w: {prefix: 123456789}", "w.prefix: 9 bytes, the limit is 8"},
      {"w: {file: ''}", "w.file: empty, must name a file"},
      {"w: {hottest: 0}", "w.hottest: 0, must be 1 to 100000"},
      {"w: {file: a, at_start: 1}", "w.at_start: \"1\" is neither true nor false"},
      {"w: {file: a, every: 999ms}", "w.every: 999ms, must be 1s to 30d"},
      {"w: {file: a, every: 0}", "w.every: 0s, must be 1s to 30d"},
      {"w: {file: a, concurrency: 1001}", "w.concurrency: 1001, must be 1 to 1000"},
      {"w: {file: a, max_per_second: -1}", "w.max_per_second: -1, must be 0 to 1000000"},
      {"w: {file: a, hold_readiness: 2h}", "w.hold_readiness: 2h, must be 0s to 1h"},
      {"w: {file: a, at_start: false, hold_readiness: 1m}", "w.hold_readiness: 1m contradicts at_start: false"},
  };
  for (const auto& [yaml, problem] : rows) {
    EXPECT_EQ(Problems("namespaces:\n"
                       "  shop:\n"
                       "    max_key_bytes: 8\n"
                       "    origin: {target: 'a:1'}\n"
                       "    warm_jobs: {" +
                       yaml + "}\n"),
              "larder.yaml:5: namespaces.shop.warm_jobs." + problem)
        << yaml;
  }
}

TEST_F(LoadWarmJobsTest, NeedAnOriginButForAFile) {
  for (const std::string source : {"keys: [a]", "prefix: a", "hottest: 5"}) {
    EXPECT_EQ(Problems("namespaces: {shop: {warm_jobs: {w: {" + source + "}}}}\n"),
              "larder.yaml:1: namespaces.shop.warm_jobs.w." + source.substr(0, source.find(':')) +
                  ": needs an origin, which namespaces.shop does not have");
  }
  EXPECT_EQ(Find(Settings("namespaces: {shop: {warm_jobs: {w: {file: a}}}}\n"), "shop")->warm_jobs.size(), 1);
}

TEST_F(LoadWarmJobsTest, BelongToANamespace) {
  EXPECT_EQ(Problems("defaults: {warm_jobs: {w: {file: a}}}\n"),
            "larder.yaml:1: defaults.warm_jobs: not allowed here; give them in a namespace");
}

TEST_F(LoadWarmJobsTest, HaveBounds) {
  std::string jobs = "namespaces:\n  default:\n    warm_jobs:\n";
  for (int i = 0; i < 20; ++i) jobs += "      w" + std::to_string(i) + ": {file: a}\n";
  EXPECT_EQ(Settings(jobs).namespaces[0].warm_jobs.size(), 20);
  EXPECT_EQ(Problems(jobs + "      more: {file: a}\n"),
            "larder.yaml:3: namespaces.default.warm_jobs: 21 jobs, the limit is 20");
  std::string keys = "namespaces: {default: {origin: {target: 'a:1'}, warm_jobs: {w: {keys: [";
  for (int i = 0; i < 10'000; ++i) keys += std::to_string(i) + ",";
  EXPECT_EQ(Settings(keys + "]}}}}").namespaces[0].warm_jobs[0].keys.size(), 10'000);
  EXPECT_EQ(Problems(keys + "more]}}}}"),
            "larder.yaml:1: namespaces.default.warm_jobs.w.keys: 10001 keys, the limit is 10000");
}

}  // namespace
}  // namespace larder
