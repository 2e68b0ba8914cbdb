#ifndef LARDER_TESTS_UNIT_CONFIG_SCHEMA_PATHS_H_
#define LARDER_TESTS_UNIT_CONFIG_SCHEMA_PATHS_H_

#include <google/protobuf/descriptor.h>

#include <set>
#include <string>

#include "larder/config/v1/config.pb.h"
#include "server/config/fields.h"

namespace larder {

inline void CollectSchemaPaths(const google::protobuf::Descriptor& message, const std::string& path,
                               std::set<std::string>& paths) {
  for (int i = 0; i < message.field_count(); ++i) {
    const google::protobuf::FieldDescriptor& field = *message.field(i);
    const std::string field_path = path.empty() ? std::string(field.name()) : path + "." + std::string(field.name());
    if (field.is_map()) {
      paths.insert(field_path);
      const google::protobuf::FieldDescriptor& value = *field.message_type()->map_value();
      if (IsScalar(value) || value.message_type() == config::v1::NamespaceConfig::descriptor()) continue;
      CollectSchemaPaths(*value.message_type(), field_path + ".<name>", paths);
    } else if (field.is_repeated() || IsScalar(field)) {
      paths.insert(field_path);
    } else {
      CollectSchemaPaths(*field.message_type(), field_path, paths);
    }
  }
}

// Paths of all fields, as docs/configuration.md heads them. `defaults` stands for the fields of a namespace, `<name>`
// for a name.
inline std::set<std::string> SchemaPaths() {
  std::set<std::string> paths;
  CollectSchemaPaths(*config::v1::ServerConfig::descriptor(), "", paths);
  return paths;
}

}  // namespace larder

#endif  // LARDER_TESTS_UNIT_CONFIG_SCHEMA_PATHS_H_
