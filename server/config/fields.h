// Values of the configuration's schema, written from text and read with their defaults.
#ifndef LARDER_SERVER_CONFIG_FIELDS_H_
#define LARDER_SERVER_CONFIG_FIELDS_H_

#include <google/protobuf/descriptor.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/message.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "server/config/findings.h"

namespace larder {

// Fields that hold one value, durations included.
bool IsScalar(const google::protobuf::FieldDescriptor& field);
bool IsDuration(const google::protobuf::FieldDescriptor& field);
// Sizes: fields whose name ends in `_bytes`.
bool IsSize(const google::protobuf::FieldDescriptor& field);

// Writes `text` into a scalar field. INVALID_ARGUMENT saying what is wrong with the text.
absl::Status SetScalar(google::protobuf::Message& message, const google::protobuf::FieldDescriptor& field,
                       std::string_view text);

// Milliseconds, cut to what 64 bits hold.
int64_t ToMillis(const google::protobuf::Duration& duration);
google::protobuf::Duration FromMillis(int64_t milliseconds);

// The default of a number, and the range it must be in.
template <typename T>
struct Bounds {
  T fallback;
  T min;
  T max;
};

// Reads one message of the configuration. What it does not set comes from another one that stands in for it, if there
// is one, and then from the default. Values out of range are added to the findings.
class Section {
 public:
  // All must outlive this.
  Section(std::string path, const google::protobuf::Message& message, Findings* findings,
          const Section* stand_in = nullptr)
      : path_(std::move(path)), message_(message), findings_(findings), stand_in_(stand_in) {}

  bool IsSet(const std::string& field) const { return Setter(field) != nullptr; }
  // Whole numbers and sizes as they are, durations in milliseconds.
  int64_t Integer(const std::string& field, const Bounds<int64_t>& bounds) const;
  double Real(const std::string& field, const Bounds<double>& bounds) const;
  bool Flag(const std::string& field, bool fallback) const;
  std::string Text(const std::string& field, const std::string& fallback) const;

  // The path at which the value was given; if it was not, at which it could be.
  std::string PathOf(const std::string& field) const;
  void AddProblem(const std::string& field, std::string_view what) const { findings_->AddProblem(PathOf(field), what); }

 private:
  // The section that sets the field: this, its stand-in, or none.
  const Section* Setter(const std::string& field) const;
  const google::protobuf::FieldDescriptor& Field(const std::string& field) const;

  const std::string path_;
  const google::protobuf::Message& message_;
  Findings* const findings_;
  const Section* const stand_in_;
};

}  // namespace larder

#endif  // LARDER_SERVER_CONFIG_FIELDS_H_
