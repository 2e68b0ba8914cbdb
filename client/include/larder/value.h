// The bytes of a cached value.
#ifndef LARDER_VALUE_H_
#define LARDER_VALUE_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "larder/export.h"

namespace larder {

class Entry;

namespace internal {
struct ValueAccess;
}

// A counted handle on the bytes of a value and its content type. Copying it copies no bytes, and the bytes stay as they
// are for as long as any handle lives, whatever becomes of the cache. As thread-safe as a shared_ptr.
class LARDER_EXPORT Value {
 public:
  // No bytes, no content type.
  Value() = default;
  // Copies both once. `content_type` may have up to 255 bytes; what is longer is cut.
  explicit Value(std::string_view bytes, std::string_view content_type = {});
  Value(const Value& other);
  Value(Value&& other) noexcept : entry_(std::exchange(other.entry_, nullptr)) {}
  Value& operator=(Value other) noexcept {
    std::swap(entry_, other.entry_);
    return *this;
  }
  ~Value();

  // Valid while this handle lives.
  std::string_view bytes() const;
  std::string_view content_type() const;

  size_t size() const { return bytes().size(); }
  std::string ToString() const { return std::string(bytes()); }

 private:
  friend struct internal::ValueAccess;

  Entry* entry_ = nullptr;
};

}  // namespace larder

#endif  // LARDER_VALUE_H_
