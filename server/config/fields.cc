#include "server/config/fields.h"

#include <algorithm>
#include <limits>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/config/text.h"
#include "server/config/units.h"

namespace larder {
namespace {

using google::protobuf::Duration;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

absl::Status SetInteger(Message& message, const FieldDescriptor& field, std::string_view text) {
  absl::StatusOr<int64_t> value = 0;
  if (IsSize(field)) {
    value = ParseBytes(text);
  } else if (int64_t number = 0; absl::SimpleAtoi(std::string(text), &number)) {
    value = number;
  } else {
    value = absl::InvalidArgumentError(absl::StrCat(Quote(text), " is not a whole number"));
  }
  if (!value.ok()) return value.status();
  const Reflection& reflection = *message.GetReflection();
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_INT64) {
    reflection.SetInt64(&message, &field, *value);
    return absl::OkStatus();
  }
  // What 32 bits do not hold is out of every range anyway; the ends are refused as well.
  const int64_t cut =
      std::clamp<int64_t>(*value, std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max());
  reflection.SetInt32(&message, &field, static_cast<int32_t>(cut));
  return absl::OkStatus();
}

absl::Status SetReal(Message& message, const FieldDescriptor& field, std::string_view text) {
  double value = 0;
  if (!absl::SimpleAtod(std::string(text), &value)) {
    return absl::InvalidArgumentError(absl::StrCat(Quote(text), " is not a number"));
  }
  message.GetReflection()->SetDouble(&message, &field, value);
  return absl::OkStatus();
}

absl::Status SetFlag(Message& message, const FieldDescriptor& field, std::string_view text) {
  if (text != "true" && text != "false") {
    return absl::InvalidArgumentError(absl::StrCat(Quote(text), " is neither true nor false"));
  }
  message.GetReflection()->SetBool(&message, &field, text == "true");
  return absl::OkStatus();
}

absl::Status SetDuration(Message& message, const FieldDescriptor& field, std::string_view text) {
  const absl::StatusOr<int64_t> value = ParseDuration(text);
  if (!value.ok()) return value.status();
  message.GetReflection()->MutableMessage(&message, &field)->CopyFrom(FromMillis(*value));
  return absl::OkStatus();
}

int64_t ReadInteger(const Message& message, const FieldDescriptor& field) {
  const Reflection& reflection = *message.GetReflection();
  if (IsDuration(field)) return ToMillis(static_cast<const Duration&>(reflection.GetMessage(message, &field)));
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_INT32) return reflection.GetInt32(message, &field);
  return reflection.GetInt64(message, &field);
}

std::string FormatInteger(const FieldDescriptor& field, int64_t value) {
  if (IsDuration(field)) return FormatDuration(value);
  return IsSize(field) && value >= 0 ? FormatBytes(value) : absl::StrCat(value);
}

}  // namespace

bool IsDuration(const FieldDescriptor& field) {
  return field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE && field.message_type() == Duration::descriptor();
}

bool IsScalar(const FieldDescriptor& field) {
  return !field.is_repeated() && (field.cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE || IsDuration(field));
}

bool IsSize(const FieldDescriptor& field) { return absl::EndsWith(std::string(field.name()), "_bytes"); }

absl::Status SetScalar(Message& message, const FieldDescriptor& field, std::string_view text) {
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
    case FieldDescriptor::CPPTYPE_INT64:
      return SetInteger(message, field, text);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return SetReal(message, field, text);
    case FieldDescriptor::CPPTYPE_BOOL:
      return SetFlag(message, field, text);
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return SetDuration(message, field, text);
    case FieldDescriptor::CPPTYPE_STRING:
      message.GetReflection()->SetString(&message, &field, std::string(text));
      return absl::OkStatus();
    default:
      // The schema has no other types; one that is added to it is noticed by the test that sets every field.
      return absl::InternalError(absl::StrCat("no text form for a field of type ", std::string(field.cpp_type_name())));
  }
}

int64_t ToMillis(const Duration& duration) {
  constexpr int64_t kMaxSeconds = std::numeric_limits<int64_t>::max() / 1'000 - 1;
  return std::clamp(duration.seconds(), -kMaxSeconds, kMaxSeconds) * 1'000 + duration.nanos() / 1'000'000;
}

Duration FromMillis(int64_t milliseconds) {
  Duration duration;
  duration.set_seconds(milliseconds / 1'000);
  duration.set_nanos(static_cast<int32_t>(milliseconds % 1'000) * 1'000'000);
  return duration;
}

const FieldDescriptor& Section::Field(const std::string& field) const {
  return *message_.GetDescriptor()->FindFieldByName(field);
}

const Section* Section::Setter(const std::string& field) const {
  if (message_.GetReflection()->HasField(message_, &Field(field))) return this;
  return stand_in_ == nullptr ? nullptr : stand_in_->Setter(field);
}

std::string Section::PathOf(const std::string& field) const {
  const Section* setter = Setter(field);
  return absl::StrCat(setter == nullptr ? path_ : setter->path_, ".", field);
}

int64_t Section::Integer(const std::string& field, const Bounds<int64_t>& bounds) const {
  const Section* setter = Setter(field);
  if (setter == nullptr) return bounds.fallback;
  const FieldDescriptor& descriptor = Field(field);
  const int64_t value = ReadInteger(setter->message_, descriptor);
  if (value < bounds.min || value > bounds.max) {
    AddProblem(field,
               absl::StrCat(FormatInteger(descriptor, value), ", must be ", FormatInteger(descriptor, bounds.min),
                            " to ", FormatInteger(descriptor, bounds.max)));
    return bounds.fallback;
  }
  return value;
}

double Section::Real(const std::string& field, const Bounds<double>& bounds) const {
  const Section* setter = Setter(field);
  if (setter == nullptr) return bounds.fallback;
  const double value = setter->message_.GetReflection()->GetDouble(setter->message_, &Field(field));
  // Written so that what is not a number fails too.
  if (!(value >= bounds.min && value <= bounds.max)) {
    AddProblem(field, absl::StrCat(value, ", must be ", bounds.min, " to ", bounds.max));
    return bounds.fallback;
  }
  return value;
}

bool Section::Flag(const std::string& field, bool fallback) const {
  const Section* setter = Setter(field);
  return setter == nullptr ? fallback : setter->message_.GetReflection()->GetBool(setter->message_, &Field(field));
}

std::string Section::Text(const std::string& field, const std::string& fallback) const {
  const Section* setter = Setter(field);
  return setter == nullptr ? fallback : setter->message_.GetReflection()->GetString(setter->message_, &Field(field));
}

}  // namespace larder
