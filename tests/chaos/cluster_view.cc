#include "tests/chaos/cluster_view.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace larder::chaos {
namespace {

// `id address flags master pings pongs epoch link slot...`
constexpr size_t kFieldsBeforeSlots = 8;

// Of `ip:port@bus-port[,...]`; 0: there is none.
int PortOf(absl::string_view address) {
  address = address.substr(0, address.find('@'));
  int port = 0;
  const size_t colon = address.rfind(':');
  if (colon == absl::string_view::npos || !absl::SimpleAtoi(address.substr(colon + 1), &port)) return 0;
  return port;
}

// `first` or `first-last`.
void GiveSlots(absl::string_view text, int port, std::vector<int>& owners) {
  const std::vector<absl::string_view> ends = absl::StrSplit(text, '-');
  int first = 0, last = 0;
  if (!absl::SimpleAtoi(ends.front(), &first) || !absl::SimpleAtoi(ends.back(), &last)) return;
  for (int slot = std::max(first, 0); slot <= std::min(last, kClusterSlots - 1); ++slot) {
    owners[static_cast<size_t>(slot)] = port;
  }
}

}  // namespace

ClusterView ClusterView::Parse(std::string_view nodes_text) {
  ClusterView view;
  const absl::string_view text(nodes_text.data(), nodes_text.size());
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    const std::vector<std::string> fields = absl::StrSplit(line, ' ', absl::SkipEmpty());
    if (fields.size() < kFieldsBeforeSlots) continue;
    const std::vector<std::string> flags = absl::StrSplit(fields[2], ',');
    const auto has = [&](const char* flag) { return std::find(flags.begin(), flags.end(), flag) != flags.end(); };
    Node node{.id = fields[0], .port = PortOf(fields[1]), .is_master = has("master")};
    const bool is_suspected = has("fail") || has("fail?") || has("handshake") || has("noaddr");
    node.is_well = !is_suspected && (has("myself") || fields[7] == "connected");
    if (!node.is_master) node.master = fields[3];
    for (size_t i = kFieldsBeforeSlots; i < fields.size(); ++i) {
      if (fields[i].front() == '[') {
        view.is_moving = true;
      } else {
        GiveSlots(fields[i], node.port, view.owners);
      }
    }
    view.nodes.push_back(std::move(node));
  }
  return view;
}

const ClusterView::Node* ClusterView::At(int port) const {
  const auto found = std::find_if(nodes.begin(), nodes.end(), [&](const Node& node) { return node.port == port; });
  return found == nodes.end() ? nullptr : &*found;
}

const ClusterView::Node* ClusterView::ReplicaOf(const Node& master) const {
  const auto found =
      std::find_if(nodes.begin(), nodes.end(), [&](const Node& node) { return node.master == master.id; });
  return found == nodes.end() ? nullptr : &*found;
}

}  // namespace larder::chaos
