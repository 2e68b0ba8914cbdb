#ifndef LARDER_TESTS_UNIT_CONFIG_CONFIG_TEST_UTIL_H_
#define LARDER_TESTS_UNIT_CONFIG_CONFIG_TEST_UTIL_H_

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "server/config/server_config.h"

namespace larder {

// A folder of its own for each test, removed at its end.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "larder-config-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::string path() const { return path_; }

  // Writes a file, with the folders it lies in, and returns its whole path.
  std::string Write(const std::string& name, const std::string& content) const {
    const std::filesystem::path file = std::filesystem::path(path_) / name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << content;
    return file.string();
  }

 private:
  std::string path_;
};

class ConfigTest : public testing::Test {
 protected:
  // Loads `yaml` as a file on a machine of 4 CPUs and 2 GiB.
  absl::StatusOr<LoadedConfig> Load(const std::string& yaml, const Environment& environment = {}) {
    return LoadConfig({folder_.Write("larder.yaml", yaml), environment, resources_});
  }

  ServerSettings Settings(const std::string& yaml, const Environment& environment = {}) {
    absl::StatusOr<LoadedConfig> loaded = Load(yaml, environment);
    EXPECT_TRUE(loaded.ok()) << loaded.status();
    return loaded.ok() ? loaded->settings : ServerSettings();
  }

  // The problems, a line for each, with the file's folder taken away.
  std::string Problems(const std::string& yaml, const Environment& environment = {}) {
    const absl::Status status = Load(yaml, environment).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << "for: " << yaml;
    std::string message(status.message());
    const std::string folder = folder_.path() + "/";
    for (size_t at = message.find(folder); at != std::string::npos; at = message.find(folder)) {
      message.erase(at, folder.size());
    }
    return message;
  }

  static const NamespacePolicy* Find(const ServerSettings& settings, const std::string& name) {
    for (const NamespacePolicy& policy : settings.namespaces) {
      if (policy.name == name) return &policy;
    }
    return nullptr;
  }

  TemporaryFolder folder_;
  Resources resources_{4, int64_t{2} << 30};
};

}  // namespace larder

#endif  // LARDER_TESTS_UNIT_CONFIG_CONFIG_TEST_UTIL_H_
