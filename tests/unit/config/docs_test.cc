// docs/configuration.md is whole: it names every field of the schema and every environment variable.
#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>

#include "larder/config/v1/config.pb.h"
#include "server/config/environment.h"
#include "server/config/fields.h"

namespace larder {
namespace {

// Paths of all fields, as the page heads them. `defaults` stands for the fields of a namespace.
void CollectPaths(const google::protobuf::Descriptor& message, const std::string& path, std::set<std::string>& paths) {
  for (int i = 0; i < message.field_count(); ++i) {
    const google::protobuf::FieldDescriptor& field = *message.field(i);
    const std::string field_path = path.empty() ? std::string(field.name()) : path + "." + std::string(field.name());
    if (field.is_map() || IsScalar(field)) {
      paths.insert(field_path);
    } else {
      CollectPaths(*field.message_type(), field_path, paths);
    }
  }
}

std::string ReadPage() {
  std::ifstream file(LARDER_CONFIGURATION_PAGE);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(ConfigurationPageTest, NamesEveryField) {
  const std::string page = ReadPage();
  std::set<std::string> paths;
  CollectPaths(*config::v1::ServerConfig::descriptor(), "", paths);
  EXPECT_GT(paths.size(), 30);
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

}  // namespace
}  // namespace larder
