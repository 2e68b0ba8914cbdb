// Where a Watch stream has come to, as callers carry it.
#ifndef LARDER_SERVER_RPC_WATCH_CURSOR_H_
#define LARDER_SERVER_RPC_WATCH_CURSOR_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace larder {

// COHERENCE W4. Positions of another incarnation mean nothing.
struct WatchCursor {
  friend bool operator==(const WatchCursor&, const WatchCursor&) = default;

  uint64_t incarnation = 0;
  uint64_t sequence = 0;
};

std::string EncodeWatchCursor(const WatchCursor& cursor);
// None if the bytes are no cursor.
std::optional<WatchCursor> DecodeWatchCursor(std::string_view bytes);

}  // namespace larder

#endif  // LARDER_SERVER_RPC_WATCH_CURSOR_H_
