#include "server/redis/cluster_map.h"

#include <algorithm>
#include <charconv>

#include "absl/strings/str_split.h"

namespace larder {
namespace {

std::optional<int> NumberOf(std::string_view text, int least, int most) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < least || number > most) return std::nullopt;
  return number;
}

std::optional<RedisEndpoint> EndpointOf(std::string_view text, const std::string& default_host) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const std::optional<int> port = NumberOf(text.substr(colon + 1), 1, 65'535);
  if (!port.has_value()) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  return RedisEndpoint{host.empty() ? default_host : std::string(host), *port};
}

// `ip:port@bus-port[,name[,...]]`: by what it is to be reached, and the other if there is one.
std::vector<RedisEndpoint> NodeEndpoints(std::string_view text, const std::string& default_host, bool by_name) {
  const std::vector<std::string_view> parts = [&] {
    std::vector<std::string_view> found;
    while (true) {
      const size_t comma = text.find(',');
      found.push_back(text.substr(0, comma));
      if (comma == std::string_view::npos) return found;
      text.remove_prefix(comma + 1);
    }
  }();
  std::optional<RedisEndpoint> endpoint = EndpointOf(parts[0].substr(0, parts[0].find('@')), default_host);
  if (!endpoint.has_value()) return {};
  if (parts.size() < 2 || parts[1].empty()) return {*endpoint};
  const RedisEndpoint named{std::string(parts[1]), endpoint->port};
  return by_name ? std::vector{named, *endpoint} : std::vector{*endpoint, named};
}

bool HasFlag(std::string_view flags, std::string_view flag) {
  while (true) {
    const size_t comma = flags.find(',');
    if (flags.substr(0, comma) == flag) return true;
    if (comma == std::string_view::npos) return false;
    flags.remove_prefix(comma + 1);
  }
}

// `first` or `first-last`. Slots that are on their way, in brackets, are where they were.
bool AddSlots(std::string_view text, ClusterMaster& master) {
  if (text.empty() || text.front() == '[') return true;
  const size_t dash = text.find('-');
  const std::optional<int> first = NumberOf(text.substr(0, dash), 0, kHashSlots - 1);
  const std::optional<int> last =
      dash == std::string_view::npos ? first : NumberOf(text.substr(dash + 1), 0, kHashSlots - 1);
  if (!first.has_value() || !last.has_value() || *last < *first) return false;
  master.slots.emplace_back(*first, *last);
  return true;
}

uint16_t Crc16(std::string_view text) {
  constexpr uint16_t kPolynomial = 0x1021;
  uint16_t crc = 0;
  for (char c : text) {
    crc = static_cast<uint16_t>(crc ^ (static_cast<uint8_t>(c) << 8));
    for (int bit = 0; bit < 8; ++bit) {
      crc = static_cast<uint16_t>((crc & 0x8000) != 0 ? (crc << 1) ^ kPolynomial : crc << 1);
    }
  }
  return crc;
}

}  // namespace

int HashSlotOf(std::string_view key) {
  if (const size_t open = key.find('{'); open != std::string_view::npos) {
    const size_t close = key.find('}', open + 1);
    if (close != std::string_view::npos && close > open + 1) key = key.substr(open + 1, close - open - 1);
  }
  return Crc16(key) % kHashSlots;
}

std::optional<std::vector<ClusterMaster>> ParseClusterNodes(std::string_view text, const RedisEndpoint& asked,
                                                            bool by_name) {
  constexpr size_t kFieldsBeforeSlots = 8;
  std::vector<ClusterMaster> masters;
  for (absl::string_view line : absl::StrSplit(absl::string_view(text.data(), text.size()), '\n', absl::SkipEmpty())) {
    const std::vector<std::string> fields = absl::StrSplit(line, ' ', absl::SkipEmpty());
    if (fields.size() < kFieldsBeforeSlots) return std::nullopt;
    const std::string& flags = fields[2];
    if (!HasFlag(flags, "master") || HasFlag(flags, "noaddr") || HasFlag(flags, "handshake")) continue;
    const std::vector<RedisEndpoint> endpoints = NodeEndpoints(fields[1], asked.host, by_name);
    if (endpoints.empty()) return std::nullopt;
    ClusterMaster master{.id = fields[0], .endpoint = endpoints.front(), .slots = {}};
    if (endpoints.size() > 1) master.alias = endpoints.back();
    for (size_t i = kFieldsBeforeSlots; i < fields.size(); ++i) {
      if (!AddSlots(fields[i], master)) return std::nullopt;
    }
    if (HasFlag(flags, "fail") && master.slots.empty()) continue;
    masters.push_back(std::move(master));
  }
  std::sort(masters.begin(), masters.end(),
            [](const ClusterMaster& left, const ClusterMaster& right) { return left.id < right.id; });
  return masters;
}

std::optional<Redirection> ParseRedirection(std::string_view error, const RedisEndpoint& asked) {
  const size_t first = error.find(' ');
  const size_t second = first == std::string_view::npos ? first : error.find(' ', first + 1);
  if (second == std::string_view::npos) return std::nullopt;
  const std::string_view word = error.substr(0, first);
  if (word != "MOVED" && word != "ASK") return std::nullopt;
  const std::optional<int> slot = NumberOf(error.substr(first + 1, second - first - 1), 0, kHashSlots - 1);
  const std::optional<RedisEndpoint> endpoint = EndpointOf(error.substr(second + 1), asked.host);
  if (!slot.has_value() || !endpoint.has_value()) return std::nullopt;
  return Redirection{word == "ASK", *slot, *endpoint};
}

}  // namespace larder
