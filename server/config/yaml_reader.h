// Reads a YAML or JSON text into the configuration's schema.
#ifndef LARDER_SERVER_CONFIG_YAML_READER_H_
#define LARDER_SERVER_CONFIG_YAML_READER_H_

#include <google/protobuf/message.h>

#include <string>

#include "server/config/findings.h"

namespace larder {

// Fills `message` with what `text` says, noting where each value stands as `<name>:<line>`. Unknown fields, fields
// given twice, wrong types and missing units are added to the findings; the rest is read all the same.
void ReadYaml(const std::string& name, const std::string& text, google::protobuf::Message& message, Findings& findings);

}  // namespace larder

#endif  // LARDER_SERVER_CONFIG_YAML_READER_H_
