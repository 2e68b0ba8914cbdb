// The tests' example sets every field of the schema, so that a field that is added is tested too.
#include "tests/unit/config/schema_paths.h"

#include <google/protobuf/message.h>
#include <gtest/gtest.h>

#include <vector>

#include "server/config/findings.h"
#include "server/config/yaml_reader.h"
#include "tests/unit/config/every_field.h"

namespace larder {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// As CollectSchemaPaths, of what is set; a namespace's fields count as those of `defaults`.
void CollectSetPaths(const Message& message, const std::string& path, std::set<std::string>& paths) {
  std::vector<const FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    const std::string field_path = path.empty() ? std::string(field->name()) : path + "." + std::string(field->name());
    if (field->is_map()) {
      paths.insert(field_path);
      const FieldDescriptor& value = *field->message_type()->map_value();
      for (int i = 0; !IsScalar(value) && i < message.GetReflection()->FieldSize(message, field); ++i) {
        const Message& entry = message.GetReflection()->GetRepeatedMessage(message, field, i);
        CollectSetPaths(entry.GetReflection()->GetMessage(entry, &value),
                        field_path == "namespaces" ? "defaults" : field_path + ".<name>", paths);
      }
    } else if (field->is_repeated() || IsScalar(*field)) {
      paths.insert(field_path);
    } else {
      CollectSetPaths(message.GetReflection()->GetMessage(message, field), field_path, paths);
    }
  }
}

TEST(EveryFieldTest, IsWhole) {
  Findings findings;
  config::v1::ServerConfig config;
  ReadYaml("larder.yaml", kEveryField, config, findings);
  ASSERT_TRUE(findings.ToStatus().ok()) << findings.ToStatus();
  std::set<std::string> set;
  CollectSetPaths(config, "", set);
  set.insert("store.redis.password_file");
  set.insert("store.redis.sentinel.password_file");
  EXPECT_EQ(set, SchemaPaths());
}

}  // namespace
}  // namespace larder
