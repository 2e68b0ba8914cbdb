#include "larder/value.h"

#include <utility>

#include "client/src/value_access.h"
#include "core/entry.h"

namespace larder {

Value::Value(std::string_view bytes, std::string_view content_type)
    : entry_(Entry::Create(EntryMeta(), content_type.substr(0, internal::kMaxContentTypeBytes), bytes).Leak()) {}

Value::Value(const Value& other) {
  EntryRef held = EntryRef::Adopt(other.entry_);
  entry_ = EntryRef(held).Leak();
  held.Leak();  // still the other's
}

Value::~Value() { EntryRef::Adopt(entry_); }

std::string_view Value::bytes() const { return entry_ == nullptr ? std::string_view() : entry_->value(); }

std::string_view Value::content_type() const { return entry_ == nullptr ? std::string_view() : entry_->content_type(); }

}  // namespace larder
