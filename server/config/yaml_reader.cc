#include "server/config/yaml_reader.h"

#include <google/protobuf/descriptor.h>
#include <yaml-cpp/yaml.h>

#include <map>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/config/fields.h"
#include "server/config/text.h"

namespace larder {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

std::vector<std::string> FieldNames(const Descriptor& descriptor) {
  std::vector<std::string> names;
  for (int i = 0; i < descriptor.field_count(); ++i) names.emplace_back(descriptor.field(i)->name());
  return names;
}

std::string Join(const std::string& path, const std::string& name) {
  return path.empty() ? name : absl::StrCat(path, ".", name);
}

// Whether a quoted text may stand for the field: a quoted number or truth value is of the wrong type.
bool TakesQuoted(const FieldDescriptor& field) {
  return field.cpp_type() == FieldDescriptor::CPPTYPE_STRING || IsDuration(field) || IsSize(field);
}

class Reader {
 public:
  Reader(const std::string& name, Findings& findings) : name_(name), findings_(findings) {}

  void ReadMessage(const YAML::Node& node, const std::string& path, Message& message) {
    ForEachPair(node, path, "fields", [&](const std::string& name, const YAML::Node& key, const YAML::Node& value) {
      const Descriptor& descriptor = *message.GetDescriptor();
      const FieldDescriptor* field = descriptor.FindFieldByName(name);
      if (field == nullptr) {
        findings_.AddProblemAt(Origin(key), Join(path, PathName(name)),
                               absl::StrCat("unknown field", DidYouMean(name, FieldNames(descriptor))));
        return;
      }
      const std::string field_path = Join(path, name);
      findings_.SetOrigin(field_path, Origin(key));
      ReadField(value, field_path, message, *field);
    });
  }

  std::string Origin(const YAML::Node& node) const { return Origin(node.Mark()); }
  std::string Origin(const YAML::Mark& mark) const {
    return mark.is_null() ? name_ : absl::StrCat(name_, ":", mark.line + 1);
  }

 private:
  // Calls `read(name, key, value)` for each pair of a mapping, but for those that are given twice.
  template <typename Read>
  void ForEachPair(const YAML::Node& node, const std::string& path, std::string_view of, const Read& read) {
    if (node.IsNull()) return;
    if (!node.IsMap()) {
      findings_.AddProblemAt(Origin(node), path, absl::StrCat("must be a mapping of ", std::string(of)));
      return;
    }
    std::map<std::string, int> lines;
    for (const auto& pair : node) {
      if (!pair.first.IsScalar()) {
        findings_.AddProblemAt(Origin(pair.first), path, "a name must be a plain word");
        continue;
      }
      const std::string& name = pair.first.Scalar();
      const auto [first, is_new] = lines.emplace(name, pair.first.Mark().line + 1);
      if (!is_new) {
        findings_.AddProblemAt(Origin(pair.first), Join(path, PathName(name)),
                               absl::StrCat("given twice, first in line ", first->second));
        continue;
      }
      read(name, pair.first, pair.second);
    }
  }

  void ReadField(const YAML::Node& node, const std::string& path, Message& message, const FieldDescriptor& field) {
    if (field.is_map()) {
      ReadMap(node, path, message, field);
    } else if (field.is_repeated()) {
      ReadList(node, path, message, field);
    } else if (IsScalar(field)) {
      ReadScalar(node, path, message, field);
    } else {
      ReadMessage(node, path, *message.GetReflection()->MutableMessage(&message, &field));
    }
  }

  void ReadMap(const YAML::Node& node, const std::string& path, Message& message, const FieldDescriptor& field) {
    const FieldDescriptor& key_field = *field.message_type()->map_key();
    const FieldDescriptor& value_field = *field.message_type()->map_value();
    ForEachPair(node, path, "names", [&](const std::string& name, const YAML::Node& key, const YAML::Node& value) {
      const std::string entry_path = Join(path, PathName(name));
      findings_.SetOrigin(entry_path, Origin(key));
      Message* entry = message.GetReflection()->AddMessage(&message, &field);
      entry->GetReflection()->SetString(entry, &key_field, name);
      ReadField(value, entry_path, *entry, value_field);
    });
  }

  // The schema has lists of texts only.
  void ReadList(const YAML::Node& node, const std::string& path, Message& message, const FieldDescriptor& field) {
    if (!node.IsSequence()) {
      findings_.AddProblem(path, node.IsNull() ? "has no value" : "must be a list; write for example [\"a\", \"b\"]");
      return;
    }
    for (size_t i = 0; i < node.size(); ++i) {
      const YAML::Node element = node[i];
      const std::string element_path = absl::StrCat(path, "[", i, "]");
      findings_.SetOrigin(element_path, Origin(element));
      if (element.IsScalar()) {
        message.GetReflection()->AddString(&message, &field, element.Scalar());
      } else {
        findings_.AddProblem(element_path, element.IsNull() ? "has no value" : "must be a single value");
      }
    }
  }

  void ReadScalar(const YAML::Node& node, const std::string& path, Message& message, const FieldDescriptor& field) {
    if (node.IsNull()) {
      findings_.AddProblem(path, "has no value");
      return;
    }
    if (!node.IsScalar()) {
      findings_.AddProblemAt(Origin(node), path, "must be a single value");
      return;
    }
    // yaml-cpp tags what is quoted with "!".
    if (node.Tag() == "!" && !TakesQuoted(field)) {
      findings_.AddProblem(path, absl::StrCat(Quote(node.Scalar()), " must stand without quotation marks"));
      return;
    }
    const absl::Status status = SetScalar(message, field, node.Scalar());
    if (!status.ok()) findings_.AddProblem(path, std::string(status.message()));
  }

  const std::string name_;
  Findings& findings_;
};

}  // namespace

void ReadYaml(const std::string& name, const std::string& text, Message& message, Findings& findings) {
  Reader reader(name, findings);
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(text);
    if (documents.size() > 1) {
      findings.AddProblemAt(reader.Origin(documents[1]), "", "a second document; there may be one only");
    }
    if (!documents.empty()) reader.ReadMessage(documents.front(), "", message);
  } catch (const YAML::Exception& error) {
    findings.AddProblemAt(reader.Origin(error.mark), "", absl::StrCat("neither YAML nor JSON: ", error.msg));
  } catch (const std::exception& error) {
    findings.AddProblemAt(name, "", absl::StrCat("neither YAML nor JSON: ", error.what()));
  }
}

}  // namespace larder
