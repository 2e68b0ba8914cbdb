// The client's way between its users' handles and the near tier's entries.
#ifndef LARDER_CLIENT_SRC_VALUE_ACCESS_H_
#define LARDER_CLIENT_SRC_VALUE_ACCESS_H_

#include <cstddef>
#include <utility>

#include "core/entry.h"
#include "larder/value.h"

namespace larder::internal {

inline constexpr size_t kMaxContentTypeBytes = 255;

struct ValueAccess {
  static Value FromEntry(EntryRef entry) {
    Value value;
    value.entry_ = entry.Leak();
    return value;
  }
};

}  // namespace larder::internal

#endif  // LARDER_CLIENT_SRC_VALUE_ACCESS_H_
